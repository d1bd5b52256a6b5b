import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { isValid } from '../../engine/batch/batch.ts'
import { BatchBuilder } from '../../engine/batch/builder.ts'
import type { EngineError } from '../../engine/errors.ts'
import { encodeParquet } from '../../engine/parquet/encode.ts'
import { readParquet, rowsOf } from '../../engine/parquet/read.ts'
import { Duck, quote } from '../../engine/sql/duckdb.ts'
import { LocalStaging } from '../../engine/staging/local.ts'
import { copyBuckets, copyFile, copyParts } from '../../engine/staging/parts.ts'
import { filesSql } from '../../engine/staging/read.ts'
import { readManifest, writeManifest } from '../../engine/staging/store.ts'
import type { Column, LogicalType } from '../../engine/types/logical.ts'

const folder = mkdtempSync(join(tmpdir(), 'nightfreight-staging-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const column = (name: string, type: LogicalType): Column => ({ name, type, nullable: true, native: 'test' })
const COLUMNS = [
  column('i64', { kind: 'int', bits: 64, signed: true }),
  column('u64', { kind: 'int', bits: 64, signed: false }),
  column('text', { kind: 'text' }),
  column('bool', { kind: 'bool' }),
  column('decimal', { kind: 'decimal', precision: 38, scale: 9 }),
  column('instant', { kind: 'timestamp', zoned: true }),
]

const nullable = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null })
const row = fc.tuple(
  nullable(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n)),
  nullable(fc.bigInt(0n, 2n ** 64n - 1n)),
  nullable(fc.string({ unit: 'grapheme' })),
  nullable(fc.boolean()),
  nullable(fc.bigInt(-(10n ** 38n) + 1n, 10n ** 38n - 1n)),
  nullable(fc.bigInt(-(10n ** 16n), 10n ** 16n)),
)

function build(rows: (bigint | string | boolean | null)[][]): BatchBuilder {
  const builder = new BatchBuilder('test', COLUMNS, { rows: 1000, bytes: 1 << 20 })
  for (const values of rows) {
    const at = builder.rows
    for (const [index, value] of values.entries()) {
      const target = builder.columns[index]!
      if (value === null) target.setNull(at)
      else if (typeof value === 'string') target.appendText(at, value)
      else if (typeof value === 'boolean') target.u8[at] = value ? 1 : 0
      else if (target.width === 16) {
        target.big[2 * at] = BigInt.asIntN(64, value)
        target.big[2 * at + 1] = value >> 64n
      } else target.big[at] = BigInt.asIntN(64, value)
    }
    builder.endRow()
  }
  return builder
}

test('what is staged is what DuckDB reads, and what is read back is what was staged', async () => {
  const duck = await Duck.open({})
  await fc.assert(
    fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 60 }), async rows => {
      const builder = build(rows)
      const path = join(folder, 'part.parquet')
      writeFileSync(path, encodeParquet(builder.batch()))
      assert.equal(await rowsOf(path), rows.length)
      const read = await duck.rows(
        `SELECT i64::VARCHAR, u64::VARCHAR, text, bool, replace(decimal::VARCHAR, '.', ''),
           epoch_us(instant)::VARCHAR FROM read_parquet(${quote(path)})`,
      )
      const expected = rows.map(([i, u, text, bool, decimal, instant]) => [
        i?.toString() ?? null,
        u?.toString() ?? null,
        text,
        bool,
        decimal === null ? null : scaled(decimal),
        instant?.toString() ?? null,
      ])
      assert.deepEqual(
        read.map(values => Object.values(values)),
        expected,
      )
      await readParquet(path, async batch => {
        assert.equal(batch.rows, rows.length)
        for (const [index, vector] of batch.vectors.entries())
          for (let at = 0; at < batch.rows; at++) assert.equal(isValid(vector, at), rows[at]![index] !== null)
      })
    }),
    { numRuns: 500 },
  )
  duck.close()
})

const scaled = (value: bigint) => {
  const digits = (value < 0n ? -value : value).toString().padStart(10, '0')
  return (value < 0n ? '-' : '') + digits
}

test('a batch is full at its row limit and at its byte limit', () => {
  const few = new BatchBuilder('test', [column('a', { kind: 'bool' })], { rows: 3, bytes: 1000 })
  for (let row = 0; row < 3; row++) {
    assert.equal(few.full, false)
    few.endRow()
  }
  assert.equal(few.full, true)
  const wide = new BatchBuilder('test', [column('a', { kind: 'text' })], { rows: 1000, bytes: 1000 })
  wide.columns[0]!.appendText(0, 'x'.repeat(2000))
  wide.endRow()
  assert.equal(wide.full, true)
})

test('a batch of many rows keeps what was written before its buffers grew', () => {
  const value = (row: number) => (row % 7 === 0 ? null : row)
  const builder = new BatchBuilder('test', COLUMNS, { rows: 20_000, bytes: 1 << 24 })
  for (let row = 0; row < 20_000; row++) {
    assert.equal(builder.full, false)
    const n = value(row)
    for (const target of builder.columns)
      if (n === null) target.setNull(row)
      else if (target.width === 0) target.appendText(row, `text ${n}`)
      else if (target.width === 1) target.u8[row] = n % 2
      else if (target.width === 16) target.big.set([BigInt(n), -1n], 2 * row)
      else target.big[row] = BigInt(n)
    builder.endRow()
  }
  assert.equal(builder.full, true)
  for (const [index, { nulls, data, offsets, validity }] of builder.batch().vectors.entries()) {
    const { width } = builder.columns[index]!
    const numbers = width >= 8 && new BigInt64Array(data.buffer, data.byteOffset, data.byteLength / 8)
    assert.equal(nulls, Math.ceil(20_000 / 7))
    for (let row = 0; row < 20_000; row++) {
      const n = value(row)
      assert.equal((validity![row >> 3]! >> (row & 7)) & 1, n === null ? 0 : 1)
      if (n === null) continue
      if (offsets)
        assert.equal(Buffer.from(data.subarray(offsets[row], offsets[row + 1])).toString(), `text ${n}`)
      else if (numbers) assert.equal(numbers[width === 16 ? 2 * row : row], BigInt(n))
      else assert.equal(data[row], n % 2)
    }
  }
})

test('a value that its type cannot hold follows the policy of its column', () => {
  const date = (policy?: 'null' | 'quarantine'): Column => ({ ...column('d', { kind: 'date' }), policy })
  const failing = new BatchBuilder('legacy.members', [date()], { rows: 10, bytes: 1000 })
  assert.throws(
    () => failing.inexact(failing.columns[0]!, '0000-00-00', 'is not a date'),
    (error: EngineError) =>
      error.code === 'VALUE_INEXACT' && /legacy\.members\.d.*0000-00-00/.test(error.message),
  )
  const nulling = new BatchBuilder('t', [date('null')], { rows: 10, bytes: 1000 })
  nulling.inexact(nulling.columns[0]!, '0000-00-00', 'is not a date')
  nulling.endRow()
  assert.equal(nulling.nulled, 1)
  assert.equal(nulling.batch().vectors[0]!.nulls, 1)
  const rejecting = new BatchBuilder('t', [date('quarantine'), column('_nf_rejected', { kind: 'text' })], {
    rows: 10,
    bytes: 1000,
  })
  rejecting.inexact(rejecting.columns[0]!, '0000-00-00', 'is not a date')
  rejecting.endRow()
  rejecting.columns[0]!.i32[1] = 7
  rejecting.endRow()
  const [, reasons] = rejecting.batch().vectors
  assert.match(Buffer.from(reasons!.data).toString(), /"value":"0000-00-00"/)
  assert.equal(reasons!.nulls, 1)
})

test('a cut Parquet file is named, not read', async () => {
  const path = join(folder, 'cut.parquet')
  const bytes = encodeParquet(build([[1n, 1n, 'a', true, 1n, 1n]]).batch())
  for (const length of [0, 3, 20, bytes.length - 5]) {
    writeFileSync(path, bytes.subarray(0, length))
    await assert.rejects(
      readParquet(path, async () => {}),
      (error: EngineError) => error.code === 'STAGING_CORRUPT' && error.message.includes('cut.parquet'),
    )
  }
})

test('a manifest whose part is missing or cut does not exist', async () => {
  const staging = new LocalStaging(folder)
  writeFileSync(join(folder, 'a.bin'), 'abc')
  await writeManifest(staging, 'm/one.json', { parts: [{ file: 'a.bin', rows: 1, bytes: 3 }] })
  assert.equal((await readManifest(staging, 'm/one.json'))!.parts.length, 1)
  writeFileSync(join(folder, 'a.bin'), 'ab')
  assert.equal(await readManifest(staging, 'm/one.json'), undefined)
  assert.equal(await readManifest(staging, 'm/none.json'), undefined)
})

test('both zeros and every other kind of float are staged as they are, whatever repeats', async () => {
  const root = mkdtempSync(join(tmpdir(), 'nightfreight-floats-'))
  const duck = await Duck.open({ threads: 1 })
  try {
    for (const type of ['DOUBLE', 'FLOAT']) {
      const values = ['0', '-0', 'nan', 'infinity', '-infinity', '5e-324', '1.5'].map(v => `'${v}'::${type}`)
      const sql = `SELECT i, ([${values.join(', ')}])[i % 7 + 1] AS f FROM range(700) r(i)`
      const shown = (from: string) => duck.rows(`SELECT i, f::VARCHAR AS f FROM ${from} ORDER BY i`)
      const context = { duck, root }
      const expected = await shown(`(${sql})`)
      const one = [await copyFile(context, sql, `${type}.parquet`, { compression: 'snappy' })]
      const buckets = await copyBuckets(context, sql, 'i % 2', 2, `${type}-buckets`)
      for (const parts of [one, await copyParts(context, sql, `${type}-parts`), buckets.flat()])
        assert.deepEqual(await shown(filesSql(root, parts)), expected)
    }
  } finally {
    duck.close()
    rmSync(root, { recursive: true })
  }
})
