import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'
import {
  binary,
  encodeStruct,
  type Fields,
  i32,
  i64,
  list,
  struct,
  text,
} from '../../engine/parquet/thrift.ts'
import { Duck, quote } from '../../engine/sql/duckdb.ts'
import { night } from './nights.ts'
import { localPlace, readerIn, testFolder } from './places.ts'

const folder = testFolder()
const read = readerIn(folder)
let made = 0

async function written(sql: string): Promise<Buffer> {
  const duck = await Duck.open({ threads: 1 })
  const path = join(folder, `made-${++made}.parquet`)
  await duck.run(`COPY (${sql}) TO ${quote(path)} (FORMAT parquet)`)
  duck.close()
  return readFileSync(path)
}

test('bytes of a Parquet file are the text that they are in UTF-8, and else no value of a text', async () => {
  const text = 'O\'Brien, é \\ "x"'
  const sql = `SELECT unnest([1, 2, 3]) AS id, unnest([encode(${quote(text)}), NULL, ''::BLOB]) AS name`
  const schema = { id: 'INTEGER', name: 'VARCHAR' }
  const { rows } = await read({ 'a.parquet': await written(sql) }, { schema })
  assert.deepEqual(rows, [
    ['1', text],
    ['2', null],
    ['3', ''],
  ])
  const bytes = await written("SELECT 1 AS id, '\\xFFa'::BLOB AS name")
  await assert.rejects(read({ 'a.parquet': bytes }, { schema }), {
    message: /line 1: name: "\\\\xFFa" is not a value that VARCHAR holds exactly/,
  })
  const both = await read({ 'a.csv': `id,name\n0,é\n`, 'b.parquet': await written(sql) })
  assert.deepEqual(both.types, ['BIGINT', 'VARCHAR'])
  assert.deepEqual(
    both.rows.map(row => row[1]),
    ['é', text, null, ''],
  )
})

test('a number of a Parquet file that a column of floats does not hold is no value of it', async () => {
  for (const [value, type] of [
    ['9007199254740993::BIGINT', 'DOUBLE'],
    ['9223372036854775807::BIGINT', 'DOUBLE'],
    ['16777217::INTEGER', 'FLOAT'],
    ['1234567890123456.78::DECIMAL(18,2)', 'DOUBLE'],
    ['16777217::DOUBLE::DECIMAL(10,1)', 'FLOAT'],
    ['1e300::DOUBLE', 'FLOAT'],
  ] as const)
    await assert.rejects(
      read({ 'a.parquet': await written(`SELECT ${value} AS v`) }, { schema: { v: type } }),
      { message: /is not a value that (DOUBLE|FLOAT) holds exactly/ },
      value,
    )
  const held = await read(
    {
      'a.parquet': await written(
        "SELECT unnest([0.1, 123456789.12, NULL]::DECIMAL(18,2)[]) AS v, unnest([1, 9007199254740992, NULL]::BIGINT[]) AS n, unnest(['nan', '-inf', '0.5']::DOUBLE[]) AS f, unnest([0.1, 16777217, -0.1234567890123]::DOUBLE[]) AS g",
      ),
    },
    { schema: { v: 'DOUBLE', n: 'DOUBLE', f: 'FLOAT', g: 'FLOAT' } },
  )
  // Of a double the nearest float is meant, as of a text.
  assert.deepEqual(held.rows, [
    ['0.1', '1.0', 'nan', '0.1'],
    ['123456789.12', '9007199254740992.0', '-inf', '16777216.0'],
    [null, null, '0.5', '-0.12345679'],
  ])
})

test('a double is no value of a FLOAT that was guessed of other files, and its row goes to the quarantine', async () => {
  const place = localPlace(join(folder, 'late'))
  await place.put('0.parquet', await written('SELECT unnest([0.5, 0.1]::FLOAT[]) AS v'))
  const late = await written('SELECT unnest([0.25, 0.1, 16777217]::DOUBLE[]) AS v')
  const source = () => {
    const own = place.source()
    const open = own.open.bind(own)
    // Once the columns are known.
    return Object.assign(own, {
      open: async (...given: Parameters<typeof open>) => {
        await place.put('1.parquet', late)
        return open(...given)
      },
    })
  }
  const { rows, rejected, types } = await night({ source }, { files: '*' })
  assert.deepEqual(types, ['FLOAT'])
  assert.deepEqual(rows.flat(), ['0.5', '0.1', '0.25'])
  assert.deepEqual(
    rejected.map(({ value }) => value),
    ['0.1', '16777217.0'],
  )
})

test('files of a night that have integers and doubles for a column of doubles round neither', async () => {
  const place = localPlace(join(folder, 'drifting'))
  await place.put('0.parquet', await written('SELECT 0.5::DOUBLE AS v'))
  const first = await night(place, { files: '*' })
  await place.put('1.parquet', await written('SELECT 9007199254740993::BIGINT AS v'))
  await place.put('2.parquet', await written('SELECT 2.5::DOUBLE AS v'))
  const second = await night(place, { files: '*' }, first).catch(error => error)
  const said = second instanceof Error ? second.message : JSON.stringify([second.rows, second.rejected])
  assert.doesNotMatch(said, /9007199254740992/)
  assert.match(said, /9007199254740993/)
})

interface HandmadeColumn {
  physical?: number
  codec?: number
  encoding?: number
  /** Of its page, by the page's header. */
  size?: number
}

/** A file of one row, whose columns are a, b and so on. */
function handmade(...columns: HandmadeColumn[]): Buffer {
  const pages: Uint8Array[] = []
  let at = 4
  const chunks = columns.map(({ physical = 1, codec = 0, encoding = 0, size }, index) => {
    const page = Buffer.alloc(physical === 3 ? 12 : 4)
    page[0] = 7
    const of: Fields = { 1: i32(1), 2: i32(encoding), 3: i32(3), 4: i32(3) }
    const bytes = size ?? page.length
    const crc = bytes < 0 ? 0 : crc32(page)
    const header = encodeStruct({
      1: i32(0),
      2: i32(page.length),
      3: i32(bytes),
      4: i32(crc | 0),
      5: struct(of),
    })
    const length = i64(header.length + page.length)
    const offset = i64(at)
    pages.push(header, page)
    at += header.length + page.length
    const chunk: Fields = {
      1: i32(physical),
      2: list([i32(encoding)]),
      3: list([text(nameOf(index))]),
      4: i32(codec),
      5: i64(1),
      6: length,
      7: length,
      9: offset,
    }
    return struct({ 2: offset, 3: struct(chunk) })
  })
  const group: Fields = { 1: list(chunks), 2: i64(at - 4), 3: i64(1) }
  const footer = encodeStruct({
    1: i32(1),
    2: list([
      struct({ 4: text('s'), 5: i32(columns.length) }),
      ...columns.map(({ physical = 1 }, index) =>
        struct({ 1: i32(physical), 3: i32(0), 4: binary(Buffer.from(nameOf(index))) }),
      ),
    ]),
    3: i64(1),
    4: list([struct(group)]),
  })
  const tail = Buffer.alloc(8, 'PAR1PAR1')
  tail.writeUInt32LE(footer.length)
  return Buffer.concat([Buffer.from('PAR1'), ...pages, footer, tail])
}

const nameOf = (index: number) => String.fromCharCode(97 + index)

test('a page whose length is none, or beyond its column, is damaged', { timeout: 30_000 }, async () => {
  assert.deepEqual((await read({ 'a.parquet': handmade({}) })).rows, [['7']])
  for (const size of [-20, -1, 5, 1_000_000])
    await assert.rejects(read({ 'a.parquet': handmade({ size }) }), {
      code: 'DECODE_FAILED',
      message: new RegExp(`column a: a page of ${size} bytes is none of its chunk: it is damaged`),
    })
})

test('moments of INT96 are read of no file that another reader rewrites: it has 64 bits for them', async () => {
  await assert.rejects(read({ 'a.parquet': handmade({ physical: 3, codec: 5 }) }), {
    code: 'TYPE_UNSUPPORTED',
    message: /column a holds moments of nanoseconds \(INT96\), which cannot be read exactly/,
    hint: /snappy or zstd/,
  }) // BYTE_STREAM_SPLIT of an integer, which has the file rewritten.
  const beside = { 'a.parquet': handmade({ encoding: 9 }, { physical: 3 }) }
  assert.deepEqual((await read(beside, { schema: { a: 'INTEGER' } })).rows, [['7']])
  for (const schema of [undefined, { a: 'INTEGER', b: 'TIMESTAMP' }])
    await assert.rejects(read(beside, { ...(schema && { schema }) }), {
      code: 'TYPE_UNSUPPORTED',
      message: /column b holds moments of nanoseconds/,
    })
})
