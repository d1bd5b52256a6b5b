import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  parseDay,
  parseMicros,
  parseTime,
  textOfDay,
  textOfMicros,
  textOfTime,
} from '../../engine/types/times.ts'

test('days and moments are what JavaScript writes, and are read back', () => {
  fc.assert(
    fc.property(fc.integer({ min: -99_999_999, max: 99_999_999 }), days => {
      assert.equal(textOfDay(days), new Date(days * 86_400_000).toISOString().slice(0, -14))
    }),
  )
  fc.assert(
    fc.property(fc.integer({ min: -2_147_483_647, max: 2_147_483_647 }), days => {
      assert.equal(parseDay(textOfDay(days)), days)
    }),
  )
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n) + 1n, max: 2n ** 63n - 1n }), fc.boolean(), (micros, zoned) => {
      assert.equal(parseMicros(textOfMicros(micros, zoned), zoned), micros)
    }),
  )
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 86_400_000_000 }), micros => {
      assert.equal(parseTime(textOfTime(BigInt(micros))), BigInt(micros))
    }),
  )
})

test('what is no day, no time and no moment is none', () => {
  for (const text of [
    '2026-02-29',
    '2026-13-01',
    '2026-00-10',
    '2026-1-1',
    '26-01-01',
    '',
    '2026-01-01T00:00',
  ])
    assert.equal(parseDay(text), undefined, text)
  for (const text of ['24:00:01', '12:60', '1:00', '12:00:00.1234567', ''])
    assert.equal(parseTime(text), undefined, text)
  assert.equal(parseMicros('2026-01-01T10:00:00+02:00', true), parseMicros('2026-01-01 08:00Z', true))
  for (const [text, zoned] of [
    ['2026-01-01T10:00:00Z', false],
    ['2026-01-01T10:00:00', true],
    ['2026-01-01', false],
    ['infinityT10:00:00', false],
    ['+294247-01-10T04:00:54.775808', false],
  ] as const)
    assert.equal(parseMicros(text, zoned), undefined, text)
})
