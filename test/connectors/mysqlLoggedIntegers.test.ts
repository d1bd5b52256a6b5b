import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BatchBuilder } from '../../engine/batch/builder.ts'
import type { Column } from '../../engine/types/logical.ts'
import { readerOf } from '../../src/connectors/mysql/rowValues.ts'

/** Type of the log, bytes, and whether it has a sign, by what a column is called. */
const LOGGED = { tinyint: [1, 1], smallint: [2, 2], mediumint: [9, 3], int: [3, 4], bigint: [8, 8] } as const
const BITS = [8, 16, 32, 64] as const

test('a logged integer is read into a column that holds it, and refused by another', () => {
  const names = fc.constantFrom(...(Object.keys(LOGGED) as (keyof typeof LOGGED)[]))
  fc.assert(
    fc.property(
      names,
      fc.boolean(),
      fc.constantFrom(...BITS),
      fc.boolean(),
      fc.bigInt(),
      (name, unsigned, bits, signed, seed) => {
        const [type, length] = LOGGED[name]
        const size = BigInt(8 * length)
        const value = unsigned ? BigInt.asUintN(Number(size), seed) : BigInt.asIntN(Number(size), seed)
        const bytes = Buffer.alloc(8)
        bytes.writeBigUInt64LE(BigInt.asUintN(64, value))
        const column: Column = {
          name: 'n',
          type: { kind: 'int', bits, signed },
          nullable: true,
          native: name,
        }
        const builder = new BatchBuilder('t', [column], { rows: 4, bytes: 1000 })
        const into = builder.columns[0]!
        const reader = readerOf(
          { type, low: 0, high: 0, unsigned } as Parameters<typeof readerOf>[0],
          into,
          {} as never,
        )!
        const fits = signed ? BigInt.asIntN(bits, value) === value : BigInt.asUintN(bits, value) === value
        if (!fits) {
          assert.throws(() => reader(builder, into, 0, bytes, 0), { code: 'DECODE_FAILED' })
          return
        }
        assert.equal(reader(builder, into, 0, bytes, 0), length)
        const kept =
          bits === 64
            ? BigInt.asUintN(64, (BigInt(into.i32[1]!) << 32n) | BigInt(into.i32[0]! >>> 0))
            : bits === 32
              ? BigInt(into.i32[0]! >>> 0)
              : bits === 16
                ? BigInt(into.u16[0]!)
                : BigInt(into.u8[0]!)
        assert.equal(kept, BigInt.asUintN(bits, value))
      },
    ),
  )
})

const logged = (type: number, more = {}) =>
  ({ type, low: 0, high: 0, unsigned: true, ...more }) as Parameters<typeof readerOf>[0]

test('a year and bits are read into any number that holds them, and refused by another', () => {
  const types = fc.oneof(
    fc.record({ kind: fc.constant('int' as const), bits: fc.constantFrom(...BITS), signed: fc.boolean() }),
    fc.record({ kind: fc.constant('float' as const), bits: fc.constantFrom(32 as const, 64 as const) }),
    fc.record({
      kind: fc.constant('decimal' as const),
      precision: fc.integer({ min: 1, max: 38 }),
      scale: fc.constant(0),
    }),
  )
  const kinds = fc.constantFrom('year', 'bit', 'int', 'bigint')
  const rows = fc.array(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(kinds, types, rows, (kind, type, seeds) => {
      const builder = new BatchBuilder('t', [{ name: 'n', type, nullable: true, native: 'x' }], {
        rows: 4,
        bytes: 1000,
      })
      const into = builder.columns[0]!
      const of = { year: logged(13), bit: logged(16, { high: 8 }), int: logged(3), bigint: logged(8) }[kind]!
      const reader = readerOf(of, into, {} as never)!
      for (const [row, seed] of seeds.entries()) {
        const value = kind === 'year' ? seed % 256n : kind === 'int' ? seed % 2n ** 32n : seed
        const bytes = Buffer.alloc(8)
        if (kind === 'bit') bytes.writeBigUInt64BE(value)
        else bytes.writeBigUInt64LE(value)
        const meant = kind === 'year' && value > 0n ? value + 1900n : value
        const fits =
          type.kind === 'int'
            ? (type.signed ? BigInt.asIntN(type.bits, meant) : BigInt.asUintN(type.bits, meant)) === meant
            : type.kind === 'float'
              ? BigInt(type.bits === 32 ? Math.fround(Number(meant)) : Number(meant)) === meant
              : String(meant).length <= type.precision
        if (!fits) {
          assert.throws(() => reader(builder, into, row, bytes, 0), { code: 'DECODE_FAILED' })
          return
        }
        reader(builder, into, row, bytes, 0)
        assert.equal(valueAt(into, row), meant)
      }
    }),
    { numRuns: 500 },
  )
})

/** A value that no kind of column has as a negative one. */
function valueAt(
  { column: { type }, u8, f32, f64, width }: BatchBuilder['columns'][number],
  row: number,
): bigint {
  if (type.kind === 'float') return BigInt((type.bits === 32 ? f32 : f64)[row]!)
  const bytes = u8.subarray(row * width, (row + 1) * width)
  return BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`)
}
