import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BatchBuilder } from '../../../engine/batch/builder.ts'
import { ByteSummer, RowSummer, sameSum } from '../../../engine/batch/rowSum.ts'
import type { Column, LogicalType } from '../../../engine/types/logical.ts'
import { CopyDecoder } from '../../../src/connectors/postgres/decode.ts'
import { COPY_HEADER, COPY_TRAILER, CopyEncoder } from '../../../src/connectors/postgres/encode.ts'

const LIMITS = { rows: 10_000, bytes: 1 << 24 }

/** Scaled integers of every number of digits, many of them with zeros at either end. */
const scaled = (precision: number) =>
  fc
    .tuple(fc.bigInt({ min: 0n, max: 10n ** BigInt(precision) - 1n }), fc.nat(precision), fc.nat(precision))
    .map(([value, cut, zeros]) => (value / 10n ** BigInt(cut)) * 10n ** BigInt(Math.min(zeros, cut)))
    .chain(value => fc.constantFrom(value, -value))

const cases = fc.integer({ min: 1, max: 38 }).chain(precision =>
  fc.record({
    precision: fc.constant(precision),
    scale: fc.nat(precision),
    values: fc.array(fc.option(scaled(precision)), { minLength: 1, maxLength: 60 }),
    times: fc.constantFrom(1, 1, 100),
  }),
)

/** Rows of values, a scaled integer or bytes each, as they are after a COPY to and fro. */
function thereAndBack(columns: Column[], rows: (bigint | Buffer | null)[][]) {
  const sent = new BatchBuilder('t', columns, LIMITS)
  for (const [row, values] of rows.entries()) {
    for (const [index, value] of values.entries()) {
      const column = sent.columns[index]!
      if (value === null) column.setNull(row)
      else if (typeof value !== 'bigint') column.append(row, value, 0, value.length)
      else if (column.width === 16) {
        column.big[2 * row] = BigInt.asIntN(64, value)
        column.big[2 * row + 1] = value >> 64n
      } else {
        const bytes = Buffer.alloc(8)
        bytes.writeBigInt64LE(BigInt.asIntN(64, value))
        column.u8.set(bytes.subarray(0, column.width), row * column.width)
      }
    }
    sent.endRow()
  }
  const read = new BatchBuilder('t', columns, LIMITS)
  const decoder = new CopyDecoder('t', read, columns.length, () => assert.fail('full'))
  const [sentBytes, readBytes] = [new ByteSummer(), new ByteSummer()]
  decoder.message(COPY_HEADER, 0, COPY_HEADER.length)
  for (const bytes of new CopyEncoder('t', sentBytes).encode(sent.batch())) {
    decoder.message(bytes, 0, bytes.length)
    for (let at = 0; at < bytes.length; ) {
      let end = at + 2
      for (const _ of columns) end += 4 + Math.max(0, bytes.readInt32BE(end))
      readBytes.add(new DataView(bytes.buffer, bytes.byteOffset), at, end)
      at = end
    }
  }
  decoder.message(COPY_TRAILER, 0, COPY_TRAILER.length)
  decoder.end()
  assert.ok(sameSum(sentBytes.sum, readBytes.sum), 'the bytes of a row are another')
  const sumOf = (builder: BatchBuilder) => {
    const summer = new RowSummer()
    summer.add(builder.batch())
    return summer.sum
  }
  assert.ok(!sameSum(sumOf(sent), sentBytes.sum), 'sums of two kinds are never the same')
  assert.ok(sameSum(sumOf(sent), sumOf(read)), 'a value is another')
}

const column = (type: LogicalType, index: number): Column => ({
  name: `c${index}`,
  type,
  nullable: true,
  native: type.kind,
})

test('decimals are decoded as they were encoded, also beside others of other lengths', () =>
  fc.assert(
    fc.property(cases, ({ precision, scale, values, times }) => {
      const type: LogicalType = { kind: 'decimal', precision, scale }
      const rows = Array.from({ length: times }, () => values).flat()
      thereAndBack(
        [type, type].map(column),
        rows.map((value, row) => [value, rows[rows.length - 1 - row]!]),
      )
    }),
  ))

const whole = (bits: bigint) => fc.bigInt({ min: -(2n ** (bits - 1n)), max: 2n ** (bits - 1n) - 1n })
const MICROS = 86_400_000_000n
const KINDS: [LogicalType, fc.Arbitrary<bigint | Buffer>][] = [
  [{ kind: 'bool' }, fc.bigInt({ min: 0n, max: 1n })],
  [{ kind: 'int', bits: 16, signed: true }, whole(16n)],
  [{ kind: 'int', bits: 32, signed: true }, whole(32n)],
  [{ kind: 'int', bits: 64, signed: true }, whole(64n)],
  [{ kind: 'float', bits: 32 }, whole(32n)],
  [{ kind: 'float', bits: 64 }, whole(64n)],
  [{ kind: 'date' }, fc.bigInt({ min: -100_000n, max: 100_000n })],
  [{ kind: 'time' }, fc.bigInt({ min: 0n, max: MICROS })],
  [{ kind: 'timestamp', zoned: true }, fc.bigInt({ min: -(10n ** 16n), max: 10n ** 16n })],
  [
    { kind: 'text' },
    fc.string({ unit: fc.constantFrom('a', 'é', '€', '😀'), maxLength: 90 }).map(Buffer.from),
  ],
  [{ kind: 'binary' }, fc.uint8Array({ maxLength: 90 }).map(Buffer.from)],
]
const row = fc.tuple(...KINDS.map(([, value]) => fc.option(value)))

test('values of every type are decoded as they were encoded', () =>
  fc.assert(
    fc.property(fc.array(row, { minLength: 1, maxLength: 50 }), rows =>
      thereAndBack(KINDS.map(([type]) => type).map(column), rows),
    ),
  ))
