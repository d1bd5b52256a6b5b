import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forecast, type PastTask } from '../../src/sla/forecast.ts'
import { dataLag, figure, hours, judge } from '../../src/sla/targets.ts'

const HOUR = 3600_000
const sla = { maxDuration: 6 * HOUR, maxDataLag: 24 * HOUR, maxErrorRate: 0.02, minQualityScore: 0.95 }

test('types and severities of violations; a promise kept to the limit is kept', () => {
  const missed = judge(sla, { duration: 7 * HOUR, dataLag: 25 * HOUR, errorRate: 0.021, qualityScore: 0.9 })
  assert.deepEqual(
    missed.map(({ type, severity, expected, actual, kept }) => [type, severity, expected, actual, kept]),
    [
      ['DURATION_EXCEEDED', 'HIGH', 6, 7, false],
      ['DATA_FRESHNESS', 'MEDIUM', 24, 25, false],
      ['ERROR_RATE_EXCEEDED', 'HIGH', 0.02, 0.021, false],
      ['QUALITY_BELOW_THRESHOLD', 'MEDIUM', 0.95, 0.9, false],
    ],
  )
  const of = { dataLag: 'orders', errorRate: 'members' }
  assert.deepEqual(
    judge(sla, { duration: 0, dataLag: 0, errorRate: 0, qualityScore: 1, of }).map(({ about }) => about),
    ['Run time', 'Age of the data of orders', 'Error rate of members', 'Quality score'],
  )
  const kept = judge(sla, { duration: 6 * HOUR, dataLag: 24 * HOUR, errorRate: 0.02, qualityScore: 0.95 })
  assert.ok(kept.length === 4 && kept.every(promise => promise.kept))
  const names = judge(sla, { duration: 0, errorRate: 0, qualityScore: 1 }).map(({ type }) => type)
  assert.ok(!names.includes('DATA_FRESHNESS'), 'what nobody can tell is not judged')
})

test('the stalest extract makes the age of the data', () => {
  const runAt = new Date('2026-02-01T02:00:00Z')
  const found = (...watermarks: (string | null)[]) =>
    dataLag(
      watermarks.map((watermark, index) => ({ extract: `e${index}`, watermark })),
      runAt,
    )
  const lag = (...watermarks: (string | null)[]) => found(...watermarks)?.millis
  assert.equal(found('2026-02-01', '2026-01-31', null)?.extract, 'e1')
  assert.equal(lag('2026-01-31 23:00:00.000000+00'), 3 * HOUR)
  assert.equal(lag('2026-02-01 03:30:00+02', '2026-02-01 01:59:59.5'), HOUR / 2)
  assert.equal(lag('2026-02-01 07:00:00+05:30'), HOUR / 2)
  assert.equal(lag('2026-02-01', '41', null), 2 * HOUR)
  assert.equal(lag('2026-03-01'), 0, 'a row of the future is not stale')
  assert.equal(lag('41', null, 'infinity'), undefined)
})

test('figures for people', () => {
  assert.deepEqual([6, 26, 1.5, 0.07, 0.0001].map(hours), [
    '6 h',
    '1 d 2 h',
    '1 h 30 min',
    '4 min 12 s',
    '0.36 s',
  ])
  assert.equal(figure('ERROR_RATE_EXCEEDED', 0.0512), '5.12 %')
})

const past: PastTask[] = ['r1', 'r2', 'r3'].flatMap((run, index) => [
  { run, task: 'extract.a', took: 100 + index, after: 50 },
  { run, task: 'load.w', took: 40, after: 10 },
])

test('a run will end when what earlier runs took, and its own rows, say', () => {
  const cases: [Parameters<typeof forecast>, number | undefined][] = [
    [[0, [], [], []], undefined],
    [[10, [{ task: 'extract.a', start: 0 }], [], past], 151],
    // Slower than ever: no sooner than now.
    [[300, [{ task: 'extract.a', start: 0 }], [], past], 350],
    // A tenth of the rows in 50: the rest takes 450, and then what followed the task.
    [
      [50, [{ task: 'extract.a', start: 0 }], [{ task: 'extract.a', start: 0, rows: 10, of: 100 }], past],
      550,
    ],
    // Without any history its rows alone tell.
    [[50, [{ task: 'extract.a', start: 0 }], [{ task: 'extract.a', start: 0, rows: 10, of: 100 }], []], 500],
    [[50, [], [{ task: 'extract.a', start: 0, rows: 1, of: 100 }], []], undefined],
    [[130, [{ task: 'extract.a', start: 0, end: 120 }], [], past], 170],
    [
      [
        140,
        [
          { task: 'extract.a', start: 0, end: 120 },
          { task: 'load.w', start: 125 },
        ],
        [],
        past,
      ],
      175,
    ],
    [[400, [{ task: 'extract.a', start: 0, end: 120 }], [], past], 400],
  ]
  for (const [given, expected] of cases) assert.equal(forecast(...given), expected, JSON.stringify(given))
})
