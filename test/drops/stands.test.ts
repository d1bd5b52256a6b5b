import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import * as arrow from 'apache-arrow'
import { Table, writeParquet } from 'parquet-wasm/node'
import { Duck, quote } from '../../engine/sql/duckdb.ts'
import { readerIn, testFolder } from './places.ts'

const folder = testFolder()
const read = readerIn(folder)
let made = 0

/** A Parquet file that DuckDB writes. */
async function written(sql: string, options = ''): Promise<Buffer> {
  const duck = await Duck.open({ threads: 1 })
  const path = join(folder, `made-${++made}.parquet`)
  await duck.run(`COPY (${sql}) TO ${quote(path)} (FORMAT parquet${options})`)
  duck.close()
  return readFileSync(path)
}

/** A Parquet file of Arrow columns, as other writers make it. */
const parquetOf = (columns: Record<string, arrow.Vector>) =>
  Buffer.from(writeParquet(Table.fromIPCStream(arrow.tableToIPC(new arrow.Table(columns), 'stream'))))

test('a file of the columns and types that are staged is staged as it is', async () => {
  const all = `SELECT r AS id, r::DECIMAL(12,2) AS d, DATE '2026-01-01' + r::INTEGER AS day, now()::TIMESTAMPTZ AS at,
    if(r % 3 = 0, NULL, 'v' || r % 7) AS v, r::DOUBLE AS f, r % 2 = 0 AS b FROM range(5000) AS t(r)`
  for (const codec of ['snappy', 'zstd', 'gzip', 'uncompressed']) {
    const file = await written(all, `, COMPRESSION ${codec}, ROW_GROUP_SIZE 2048, WRITE_BLOOM_FILTER false`)
    const { rows, staged } = await read({ 'a.parquet': file })
    assert.equal(rows.length, 5000)
    assert.ok(staged[0]!.equals(file), codec)
  }
  const vectors = {
    n: arrow.vectorFromArray([1, 2], new arrow.Int32()),
    t: arrow.vectorFromArray(['a', 'b'], new arrow.Utf8()),
  }
  const own = parquetOf(vectors)
  assert.ok((await read({ 'a.parquet': own })).staged[0]!.equals(own))
})

test('a file that is not so in every way is written anew, with the same rows', async () => {
  const table = 'SELECT r AS id, r % 10 AS n FROM range(3000) AS t(r)'
  const plain = await written(table)
  const { rows } = await read({ 'a.parquet': plain })
  const anew = async (file: Buffer, options = {}) => {
    const found = await read({ 'a.parquet': file }, options)
    assert.ok(!found.staged[0]!.equals(file))
    assert.deepEqual(found.rows, rows)
  }
  const schema = { id: 'BIGINT', n: 'BIGINT' }
  await anew(await written(`SELECT *, 1 AS more FROM (${table})`), { schema })
  await anew(await written(`SELECT n, id FROM (${table})`), { schema })
  await anew(await written(`SELECT id, n::INTEGER AS n FROM (${table})`), { schema })
  const words = parquetOf({
    id: arrow.vectorFromArray(['a', 'b'], new arrow.Dictionary(new arrow.Utf8(), new arrow.Int32())),
  })
  const found = await read({ 'a.parquet': words })
  assert.deepEqual(found.rows, [['a'], ['b']])
  assert.ok(!found.staged[0]!.equals(words), 'who goes by its Arrow schema would be given numbers')
})

test('row groups of more than a lane may hold, whatever their size in the file, and filters that nobody has looked at, are written anew', async () => {
  const large = await written(
    `SELECT repeat('x', 2000) AS v FROM range(3000)`,
    ', COMPRESSION zstd, WRITE_BLOOM_FILTER false',
  )
  const bloom = await written('SELECT r % 7 AS v FROM range(3000) AS t(r)', ', COMPRESSION zstd')
  for (const file of [large, bloom]) {
    const { rows, staged } = await read({ 'a.parquet': file })
    assert.equal(rows.length, 3000)
    assert.ok(!staged[0]!.equals(file))
  }
})

test('statistics that are false hide no rows', async () => {
  const low = 1_234_567_890_123n
  const file = await written(
    `SELECT ${low} + r AS id FROM range(1000) AS t(r)`,
    ', COMPRESSION uncompressed, DICTIONARY_SIZE_LIMIT 0',
  )
  const pattern = Buffer.alloc(8)
  pattern.writeBigInt64LE(low)
  const places: number[] = []
  for (let at = file.indexOf(pattern); at >= 0; at = file.indexOf(pattern, at + 1)) places.push(at)
  assert.ok(places.length > 1, 'a value, and statistics of it')
  const wrong = Buffer.from(file)
  for (const at of places.slice(1)) wrong.writeBigInt64LE(low + 10n, at)
  writeFileSync(join(folder, 'false.parquet'), wrong)
  const hidden = `SELECT count(*) AS n FROM ${quote(join(folder, 'false.parquet'))} WHERE id = ${low}`
  const duck = await Duck.open({ threads: 1 })
  try {
    assert.deepEqual(await duck.rows(hidden), [{ n: 0 }], 'as the file lies')
    const { staged } = await read({ 'a.parquet': wrong })
    writeFileSync(join(folder, 'false.parquet'), staged[0]!)
    assert.deepEqual(await duck.rows(hidden), [{ n: 1 }])
  } finally {
    duck.close()
  }
})

/** Where a pattern is in a file's footer. */
function inFooter(file: Buffer, pattern: Uint8Array): number[] {
  const places: number[] = []
  const start = file.length - 8 - file.readUInt32LE(file.length - 8)
  for (let at = file.indexOf(pattern, start); at >= 0; at = file.indexOf(pattern, at + 1)) places.push(at)
  return places
}

test('a footer that contradicts itself is refused: who goes by one of its numbers loses rows', async () => {
  const file = await written('SELECT r AS id FROM range(12345) AS t(r)', ', WRITE_BLOOM_FILTER false')
  // As Thrift writes it, twice the number in pieces of seven bits: of the file, of its row group, of its column's values.
  const number = (count: number) =>
    Uint8Array.of(((2 * count) & 0x7f) | 0x80, (((2 * count) >> 7) & 0x7f) | 0x80, (2 * count) >> 14)
  const places = inFooter(file, number(12345))
  assert.equal(places.length, 3)
  for (const at of places) {
    const wrong = Buffer.from(file)
    wrong.set(number(12000), at)
    await assert.rejects(read({ 'a.parquet': wrong }), /12345.*12000|12000.*12345/)
  }
})

test('a value beyond its type, as its bytes could hold it, is no value', async () => {
  const decimals = await written(
    'SELECT 1234567.89::DECIMAL(9,2) AS d FROM range(10)',
    ', COMPRESSION uncompressed, DICTIONARY_SIZE_LIMIT 0',
  )
  const pattern = Buffer.alloc(4)
  pattern.writeInt32LE(123_456_789)
  const beyond = Buffer.from(decimals)
  for (let at = beyond.indexOf(pattern); at >= 0; at = beyond.indexOf(pattern))
    beyond.writeInt32LE(2_000_000_000, at)
  await assert.rejects(read({ 'a.parquet': beyond }), /column d has a value, by its statistics, that is none/)

  const times = await written(
    `SELECT TIME '10:00:00' + to_microseconds(r) AS tm FROM range(10) AS t(r)`,
    ', COMPRESSION uncompressed, DICTIONARY_SIZE_LIMIT 0',
  )
  const ten = Buffer.alloc(8)
  ten.writeBigInt64LE(36_000_000_005n)
  const [only, ...others] = [times.indexOf(ten), times.indexOf(ten, times.indexOf(ten) + 1)].filter(
    at => at >= 0,
  )
  assert.deepEqual(others, [], 'no statistics of it')
  for (const microseconds of [1n << 62n, -1n]) {
    const wrong = Buffer.from(times)
    wrong.writeBigInt64LE(microseconds, only)
    const { rows, rejected } = await read({ 'a.parquet': wrong })
    assert.equal(rows.length, 9)
    assert.deepEqual(
      rejected.map(({ column, value }) => [column, value]),
      [['tm', `${microseconds} microseconds`]],
    )
  }
})

test('whoever renames columns and keeps the schema that Arrow wrote beside them has his rows', async () => {
  const named = (name: string) => parquetOf({ [name]: arrow.vectorFromArray(['a', 'b'], new arrow.Utf8()) })
  const schema = (file: Buffer) => /ARROW:schema.{1,6}?([A-Za-z0-9+/=]{40,})/s.exec(file.toString('latin1'))!
  const [own, other] = [named('own'), named('oth')]
  const [to, from] = [schema(own), schema(other)]
  assert.equal(to[1]!.length, from[1]!.length)
  const renamed = Buffer.from(own)
  renamed.write(from[1]!, to.index + to[0].length - to[1]!.length, 'latin1')
  const { rows, staged } = await read({ 'a.parquet': renamed })
  assert.deepEqual(rows, [['a'], ['b']])
  assert.ok(!staged[0]!.equals(renamed), 'who goes by its Arrow schema would find no such column')
})
