import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  between,
  both,
  either,
  isEmpty,
  NOT_NULL,
  NOTHING,
  points,
  type ValueSet,
  without,
} from '../../engine/sql/valueSet.ts'

/** Sets of whole numbers, and whether each has a value; halves lie between the values that are written. */
type Known = { set: ValueSet; has: (value: number) => boolean }
const HALVES = Array.from({ length: 25 }, (_, i) => i / 2 - 1)
const holds = (set: ValueSet, value: number) => !isEmpty(both(set, between(value, value)))

const bound = fc.option(fc.integer({ min: 0, max: 10 }), { nil: undefined })
const range = fc.record({ least: bound, most: bound, openLeast: fc.boolean(), openMost: fc.boolean() }).map(
  ({ least, most, openLeast, openMost }): Known => ({
    set: between(least, most, { least: openLeast, most: openMost }),
    has: value =>
      (least === undefined || value > least || (value === least && !openLeast)) &&
      (most === undefined || value < most || (value === most && !openMost)),
  }),
)
const some = fc
  .array(fc.integer({ min: 0, max: 10 }))
  .map((values): Known => ({ set: points(values), has: value => values.includes(value) }))
const known: fc.Arbitrary<Known> = fc.letrec<{ any: Known }>(tie => ({
  any: fc.oneof(
    { depthSize: 'small' },
    range,
    some,
    fc
      .tuple(tie('any'), tie('any'))
      .map(([a, b]) => ({ set: both(a.set, b.set), has: (v: number) => a.has(v) && b.has(v) })),
    fc
      .tuple(tie('any'), tie('any'))
      .map(([a, b]) => ({ set: either(a.set, b.set), has: (v: number) => a.has(v) || b.has(v) })),
    fc
      .tuple(tie('any'), tie('any'))
      .map(([a, b]) => ({ set: without(a.set, b.set), has: (v: number) => a.has(v) && !b.has(v) })),
  ),
})).any

test('sets of values are those that their parts say', () => {
  fc.assert(
    fc.property(known, ({ set, has }) => {
      for (const value of HALVES)
        assert.equal(holds(set, value), has(value), `${value} of ${JSON.stringify(set)}`)
      // What is beyond every number that is written, too.
      assert.equal(isEmpty(set), !HALVES.some(has) && !has(-1e9) && !has(1e9))
    }),
  )
})

test('texts have ranges, too, and NULL is none of them', () => {
  assert.ok(isEmpty(both(between('b', undefined), between(undefined, 'b', { most: true }))))
  assert.ok(
    isEmpty(without(NOT_NULL, either(without(NOT_NULL, points(['a'])), without(NOT_NULL, points(['b']))))),
  )
  assert.ok(!isEmpty(without({ ...NOT_NULL, isNull: true }, NOT_NULL)))
  assert.ok(isEmpty(NOTHING))
})
