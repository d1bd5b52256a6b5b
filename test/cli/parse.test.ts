import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseTime } from '../../src/cli/parse.ts'

test('times are ISO 8601, UTC where they name no offset; what is none is refused', () => {
  const times: [text: string, time: string][] = [
    ['2026-02-01', '2026-02-01T00:00:00.000Z'],
    ['2026-02-01 02:00:00', '2026-02-01T02:00:00.000Z'],
    ['2026-02-01T02:00', '2026-02-01T02:00:00.000Z'],
    ['2026-02-01T02:00:00.5Z', '2026-02-01T02:00:00.500Z'],
    ['2026-02-01T00:30:00.123456+02:00', '2026-01-31T22:30:00.123Z'],
    ['2026-01-31T23:30:00-0200', '2026-02-01T01:30:00.000Z'],
    ['2028-02-29', '2028-02-29T00:00:00.000Z'],
  ]
  for (const [text, time] of times) assert.equal(parseTime(text).toISOString(), time, text)
  for (const text of [
    '1',
    '2026',
    '2026-02-30',
    '2026-02-29',
    '2026-02-01T24:00',
    '02/01/2026',
    'tomorrow',
    '',
    '2026-02-01T25:00',
  ])
    assert.throws(() => parseTime(text), /Expected a time such as 2026-02-01/, text)
})
