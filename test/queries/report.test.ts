import assert from 'node:assert/strict'
import { test } from 'node:test'
import { renderReport } from '../../src/report/html.ts'
import { sample } from './reportSample.ts'

test('every figure of the run appears', () => {
  const page = renderReport(sample)
  const figures = [
    ...[
      'member_data_warehouse_sync',
      '2025-12-02T0200-7f3a',
      'succeeded',
      '1 min 43 s',
      '2025-12-02 02:00:00',
    ],
    ...['73,788', '13,788', '0.47 %', 'limit 5.00 %', '0.9816', 'target 0.9500', '78,305', '78,525'],
    ...['38,412', '1,204', '36,988', '220', '21,380', '2025-11-30 23:53:30.123456+00', 'whole table'],
    ...[
      'read lock not allowed',
      'fee_negative',
      '1,002',
      'email_repaired',
      '27,013',
      '12 payments are of unknown',
    ],
    ...['38,192', '1 differ', 'member_id 7001 to 7596', 'member_id = 7113 differs', 'all rows', 'equal'],
    ...['2.88 %', '957,001', '-20110.40', 'at most 24 h', 'missed', 'extract.payments', '48.2 s'],
  ]
  for (const figure of figures) assert.ok(page.includes(figure), `${figure} is missing`)
})

test('text of the data is never markup', () => {
  const evil = `</title><script>alert("x")</script>'&`
  const page = renderReport({
    ...sample,
    job: evil,
    run: evil,
    extracts: [{ name: evil, from: evil, rows: 1, parts: 1, since: evil, note: evil }],
    checks: [{ name: evil, model: evil, level: 'stop', rows: 1, samples: [{ reason: evil, record: evil }] }],
    loads: [
      { table: evil, to: evil, staged: 1, inserted: 1, updated: 0, deleted: 0, unchanged: 0, older: 0 },
    ],
    profile: [
      { model: evil, columns: [{ name: evil, type: evil, nullShare: 0, distinct: 1, min: evil, max: evil }] },
    ],
    tasks: [{ name: evil, startMs: 0, endMs: 1 }],
    error: { code: evil, message: evil, hint: evil },
  })
  assert.doesNotMatch(page, /<script/i)
  assert.ok(!page.includes(evil))
  assert.equal(page.split('</title>').length, page.split('<title>').length)
  assert.ok(page.includes('&#60;script&#62;'))
})

test('the page needs nothing but itself', () => {
  assert.doesNotMatch(renderReport(sample), /\b(?:src|href)=|@import|url\(/)
})

test('a failed run says why; what never happened is said, not left blank', () => {
  const page = renderReport({
    ...sample,
    status: 'failed',
    loads: [],
    models: [],
    tasks: [],
    errorRate: 0.050001,
    error: { code: 'QUALITY_GATE', message: 'too many rows are bad', hint: 'Mend the source.' },
  })
  for (const text of [
    'QUALITY_GATE',
    'too many rows are bad',
    'Mend the source.',
    'Nothing was loaded.',
    '5.01 %',
  ])
    assert.ok(page.includes(text), `${text} is missing`)
})
