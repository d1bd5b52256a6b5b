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
