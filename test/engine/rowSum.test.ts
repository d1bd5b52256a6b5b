import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Batch } from '../../engine/batch/batch.ts'
import { BatchBuilder } from '../../engine/batch/builder.ts'
import { ByteSummer, RowSummer, sameSum } from '../../engine/batch/rowSum.ts'
import type { Column, LogicalType } from '../../engine/types/logical.ts'

const TYPES: Record<string, LogicalType> = {
  flag: { kind: 'bool' },
  tiny: { kind: 'int', bits: 16, signed: true },
  whole: { kind: 'int', bits: 32, signed: true },
  large: { kind: 'int', bits: 64, signed: true },
  money: { kind: 'decimal', precision: 38, scale: 2 },
  text: { kind: 'text' },
  bytes: { kind: 'binary' },
}
const columns = Object.entries(TYPES).map(
  ([name, type]): Column => ({ name, type, nullable: true, native: '' }),
)

/** A value of each column, in its bytes; null for NULL. */
type Row = (Buffer | null)[]

const value = ({ type }: Column) => {
  const width = { bool: 1, int: 'bits' in type ? type.bits / 8 : 0, decimal: 16 }[type.kind as 'bool']
  const bytes = width
    ? fc.uint8Array({ minLength: width, maxLength: width })
    : fc.uint8Array({ maxLength: 9 })
  return fc.option(bytes.map(Buffer.from))
}
const row: fc.Arbitrary<Row> = fc.tuple(...columns.map(value)) as never

function batchOf(rows: Row[]): Batch {
  const builder = new BatchBuilder('t', columns, { rows: Math.max(1, rows.length), bytes: 1 << 20 })
  for (const values of rows) {
    for (const [index, bytes] of values.entries()) {
      const column = builder.columns[index]!
      if (bytes === null) column.setNull(builder.rows)
      else if (column.width === 0) column.append(builder.rows, bytes, 0, bytes.length)
      else column.u8.set(bytes, builder.rows * column.width)
    }
    builder.endRow()
  }
  return builder.batch()
}

function sumOf(...batches: Row[][]) {
  const summer = new RowSummer()
  for (const rows of batches) summer.add(batchOf(rows))
  return summer.sum
}

test('the same rows have the same sum, in any order and any batches', () =>
  fc.assert(
    fc.property(fc.array(row, { maxLength: 30 }), fc.nat(30), (rows, cut) => {
      const turned = rows.toReversed()
      assert.deepEqual(sumOf(turned.slice(0, cut), turned.slice(cut)), sumOf(rows))
    }),
  ))

test('a value that is another, NULL, or in another row gives another sum', () =>
  fc.assert(
    fc.property(fc.array(row, { minLength: 2, maxLength: 20 }), fc.nat(), fc.nat(), row, (rows, r, c, by) => {
      const at = r % rows.length
      const column = c % columns.length
      const same = (a: Row, b: Row) =>
        a.every(
          (bytes, i) =>
            Buffer.compare(bytes ?? Buffer.from('n'), b[i] ?? Buffer.from('n')) === 0 &&
            (bytes === null) === (b[i] === null),
        )
      const changed = rows.map((values, index) => (index === at ? values.with(column, by[column]!) : values))
      if (!same(changed[at]!, rows[at]!)) assert.ok(!sameSum(sumOf(changed), sumOf(rows)), 'changed')
      const other = (at + 1) % rows.length
      const swapped = rows
        .with(at, rows[at]!.with(column, rows[other]![column]!))
        .with(other, rows[other]!.with(column, rows[at]![column]!))
      const unseen =
        (same(swapped[at]!, rows[at]!) && same(swapped[other]!, rows[other]!)) ||
        (same(swapped[at]!, rows[other]!) && same(swapped[other]!, rows[at]!))
      if (!unseen) assert.ok(!sameSum(sumOf(swapped), sumOf(rows)), 'swapped')
      assert.ok(!sameSum(sumOf(rows.toSpliced(at, 1)), sumOf(rows)), 'left out')
      assert.ok(!sameSum(sumOf([...rows, rows[at]!]), sumOf(rows)), 'twice')
    }),
  ))

test('bytes do not move between neighbours unseen', () => {
  const [a, b, ...rest] = [Buffer.from('ab'), Buffer.from('c'), Buffer.from('a'), Buffer.from('bc')]
  const of = (text: Buffer | null, bytes: Buffer | null): Row => [null, null, null, null, null, text, bytes]
  assert.ok(!sameSum(sumOf([of(a, b)]), sumOf([of(rest[0]!, rest[1]!)])))
  assert.ok(!sameSum(sumOf([of(Buffer.alloc(0), null)]), sumOf([of(null, Buffer.alloc(0))])))
})

test('rows summed by their bytes: any order, any place; another byte, length or neighbour gives another sum', () => {
  const sum = (rows: Uint8Array[], gap: number) => {
    const summer = new ByteSummer()
    const view = new DataView(new ArrayBuffer(1000))
    for (const row of rows) {
      new Uint8Array(view.buffer).set(row, gap)
      summer.add(view, gap, gap + row.length)
    }
    return summer.sum
  }
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 40 })
  fc.assert(
    fc.property(fc.array(bytes, { minLength: 2 }), fc.nat(), fc.nat(), fc.nat(9), (rows, r, b, gap) => {
      const was = sum(rows, 0)
      assert.ok(sameSum(sum(rows.toReversed(), gap), was))
      const [at, other] = [r % rows.length, (r + 1) % rows.length]
      const [row, next] = [rows[at]!, rows[other]!]
      const place = b % row.length
      assert.ok(!sameSum(sum(rows.with(at, row.with(place, row[place]! ^ (1 << (b % 8)))), 0), was))
      assert.ok(!sameSum(sum(rows.with(at, Uint8Array.of(...row, 0)), 0), was))
      const moved = rows.with(at, row.slice(0, -1)).with(other, Uint8Array.of(row.at(-1)!, ...next))
      assert.ok(!sameSum(sum(moved, 0), was) || sortedText(moved) === sortedText(rows))
    }),
  )
})

const sortedText = (rows: Uint8Array[]) => rows.map(String).toSorted().join(';')
