import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import * as arrow from 'apache-arrow'
import { Compression, Table, WriterPropertiesBuilder, writeParquet } from 'parquet-wasm/node'
import { Duck, quote } from '../../engine/sql/duckdb.ts'
import { joinedAt } from '../../src/formats/parquetJoined.ts'
import { readerIn, testFolder } from './places.ts'

const folder = testFolder()
const read = readerIn(folder)
const duck = await Duck.open({ threads: 1 })
let made = 0

async function written(sql: string, options = ''): Promise<Buffer> {
  const path = join(folder, `made-${++made}.parquet`)
  await duck.run(`COPY (${sql}) TO ${quote(path)} (FORMAT parquet${options})`)
  return readFileSync(path)
}

function foundIn(bytes: Buffer): number | undefined {
  const path = join(folder, 'looked.parquet')
  writeFileSync(path, bytes)
  return joinedAt(path)
}

const rows = (count: number) => ({
  id: arrow.vectorFromArray(
    Array.from({ length: count }, (_, row) => BigInt(row)),
    new arrow.Int64(),
  ),
  name: arrow.vectorFromArray(
    Array.from({ length: count }, (_, row) => (row % 7 === 0 ? null : `name ${row % 11}`)),
    new arrow.Dictionary(new arrow.Utf8(), new arrow.Int32()),
  ),
})
const arrowOf = (count: number, kind: 'file' | 'stream') =>
  Buffer.from(arrow.tableToIPC(new arrow.Table(rows(count)), kind))

/** A file of polars, whose schema is no message. */
const BARE =
  'QVJST1cxAAAEAAAA8v///xQAAAAEAAEAAAAKAAsACAAKAAQA+P///wwAAAAIAAgAAAAEAAIAAAAwAAAABAAAAMT///8cAAAAEAAAAAgAAAABFAAAAAAAAPz///8EAAQAAQAAAHgAAADs////OAAAACAAAAAYAAAAAQIAABAAEgAEABAAEQAIAAAADAAAAAAA9P///0AAAAABAAAACAAJAAQACAACAAAAaWQAAAAAAAD/////wAAAAAQAAADs////wAAAAAAAAAAUAAAABAADAAwAEwAQABIADAAEAOr///8CAAAAAAAAAGwAAAAQAAAAAAAKABQABAAMABAABQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABAAAAAAAAAAQAAAAAAAAAAAAAAAAAAAAEAAAAAAAAAAGAAAAAAAAACAAAAAAAAAAAIAAAAAAAAAAAAAAAIAAAACAAAAAAAAAAAAAAAAAAAAAgAAAAAAAAAAAAAAAAAAAAEAAAAAAAAAAgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEAAAAAAAAAAgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAYWIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAP////8AAAAABAAAAOz///9AAAAAOAAAABQAAAAEAAAADAASABAABAAIAAwAAQAAALAAAAAAAAAAyAAAAAAAAADAAAAAAAAAAAAAAAAAAAAA+P///wwAAAAIAAgAAAAEAAIAAAAwAAAABAAAAMT///8cAAAAEAAAAAgAAAABFAAAAAAAAPz///8EAAQAAQAAAHgAAADs////OAAAACAAAAAYAAAAAQIAABAAEgAEABAAEQAIAAAADAAAAAAA9P///0AAAAABAAAACAAJAAQACAACAAAAaWQAzwAAAEFSUk9XMQ=='

test('Arrow files and streams that were put together are refused; alone they are read', async () => {
  for (const kind of ['file', 'stream'] as const)
    for (const [first, second] of [
      [1, 1],
      [3, 3],
      [3, 500],
      [500, 3],
      [0, 3],
      [3, 0],
    ] as const) {
      const [one, two] = [arrowOf(first, kind), arrowOf(second, kind)]
      assert.equal((await read({ 'a.arrow': two })).rows.length, second)
      await assert.rejects(
        read({ 'a.arrow': Buffer.concat([one, two]) }),
        { code: 'DECODE_FAILED' },
        `${kind} ${first} ${second}`,
      )
    }
  const same = arrowOf(3, 'stream')
  await assert.rejects(read({ 'a.arrow': Buffer.concat([same, same]) }), {
    message: new RegExp(`it has more than its messages, from byte ${same.length} on`),
  })
  const file = arrowOf(3, 'file')
  await assert.rejects(read({ 'a.arrow': Buffer.concat([file, file]) }), {
    message: /it has more than its messages, from byte \d+ on: files may have been put together/,
  })
})

test('an Arrow file of several batches is read whole, a stream without an end mark, too', async () => {
  const { schema, batches } = new arrow.Table(rows(5))
  const twice = new arrow.Table(schema, [...batches, ...batches])
  const file = Buffer.from(arrow.tableToIPC(twice, 'file'))
  assert.equal((await read({ 'a.arrow': file })).rows.length, 10)
  const bare = Buffer.from(BARE, 'base64')
  assert.deepEqual((await read({ 'a.arrow': bare })).rows, [
    ['1', 'a'],
    ['2', 'b'],
  ])
  await assert.rejects(read({ 'a.arrow': Buffer.concat([bare, bare]) }), {
    message: /more than its messages/,
  })
  const stream = arrowOf(5, 'stream')
  assert.equal(stream.readUInt32LE(stream.length - 8), 0xffffffff)
  assert.equal((await read({ 'a.arrow': stream.subarray(0, -8) })).rows.length, 5)
})

test('Parquet files that were put together are refused', async () => {
  const of = (count: number, from = 0) =>
    written(`SELECT r + ${from} AS id, 'x' || r AS name FROM range(${count}) AS t(r)`)
  for (const [first, second] of [
    [3, 3],
    [0, 3],
    [3, 0],
    [3, 20_000],
    [20_000, 3],
  ] as const) {
    const [one, two] = [await of(first), await of(second, 100)]
    await assert.rejects(
      read({ 'a.parquet': Buffer.concat([one, two]) }),
      {
        code: 'DECODE_FAILED',
        message: new RegExp(`has another file from byte ${one.length} on: files were put together`),
        hint: /Have each Parquet file by itself/,
      },
      `${first} ${second}`,
    )
  }
})

test('no Parquet file that stands alone is taken for two, whoever wrote it and whatever it holds', async () => {
  const mark = "'PAR1PAR1' || r"
  for (const options of ['', ', COMPRESSION uncompressed', ', PARQUET_VERSION v2', ', ROW_GROUP_SIZE 2048'])
    for (const sql of [
      `SELECT r AS id, ${mark} AS name FROM range(9000) AS t(r)`,
      `SELECT r % 10 AS id, 'PAR1PAR1' AS name, [${mark}] AS list FROM range(9000) AS t(r)`,
      'SELECT 1 AS id WHERE false',
    ])
      assert.equal(foundIn(await written(sql, options)), undefined, `${sql} ${options}`)
  const table = () => Table.fromIPCStream(arrow.tableToIPC(new arrow.Table(rows(5000)), 'stream'))
  for (const compression of [Compression.UNCOMPRESSED, Compression.LZ4, Compression.ZSTD]) {
    const properties = new WriterPropertiesBuilder().setCompression(compression).build()
    const file = Buffer.from(writeParquet(table(), properties))
    assert.equal(foundIn(file), undefined)
    assert.equal(foundIn(Buffer.concat([file, file])), file.length)
  }
})
