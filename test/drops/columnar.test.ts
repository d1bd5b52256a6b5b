import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'
import * as arrow from 'apache-arrow'
import { Table, writeParquet } from 'parquet-wasm/node'
import { readFooter } from '../../engine/parquet/footer.ts'
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
  return (await import('node:fs')).readFileSync(path)
}

/** A Parquet file of Arrow columns, as other writers make it. */
function parquetOf(columns: Record<string, arrow.Vector>): Buffer {
  const table = new arrow.Table(columns)
  return Buffer.from(writeParquet(Table.fromIPCStream(arrow.tableToIPC(table, 'stream'))))
}

const nanos = (values: bigint[], zone: string | null) =>
  new arrow.Vector([
    arrow.makeData({
      type: new arrow.TimestampNanosecond(zone),
      length: values.length,
      data: BigInt64Array.from(values),
    }),
  ]) as arrow.Vector

test('moments of nanoseconds: microseconds where all fit, their text where not, with a zone or without', async () => {
  const whole = 1_700_000_000_123_456_000n
  const type = async (values: bigint[], zone: string | null) => {
    const { types, rows } = await read({ 'a.parquet': parquetOf({ t: nanos(values, zone) }) })
    return [types[0], ...rows.flat()]
  }
  assert.deepEqual(await type([whole, -1000n], null), [
    'TIMESTAMP',
    '2023-11-14 22:13:20.123456',
    '1969-12-31 23:59:59.999999',
  ])
  assert.deepEqual(await type([whole], 'UTC'), ['TIMESTAMP WITH TIME ZONE', '2023-11-14 22:13:20.123456+00'])
  assert.deepEqual(await type([whole + 789n], null), ['VARCHAR', '2023-11-14 22:13:20.123456789'])
  assert.deepEqual(await type([whole + 789n, -1n], 'UTC'), [
    'VARCHAR',
    '2023-11-14 22:13:20.123456789+00',
    '1969-12-31 23:59:59.999999999+00',
  ])
  const declared = await read(
    { 'a.parquet': parquetOf({ t: nanos([whole, whole + 1n], 'UTC') }) },
    { schema: { t: 'TIMESTAMPTZ' } },
  ).catch(error => error)
  assert.match(declared.message, /line 2: t: "2023-11-14 22:13:20.123456001\+00"/)
})

test('what Arrow counts in units that Parquet has no type for is a day, a time, a moment or a duration, not a number', async () => {
  const vector = (type: arrow.DataType, values: bigint[] | number[]) =>
    new arrow.Vector([
      arrow.makeData({
        type,
        length: values.length,
        data:
          typeof values[0] === 'bigint'
            ? BigInt64Array.from(values as bigint[])
            : Int32Array.from(values as number[]),
      } as never),
    ]) as arrow.Vector
  const day = 86_400_000n
  const columns = {
    n: vector(new arrow.Int64(), [1n, 2n]),
    day: vector(new arrow.DateMillisecond(), [20_000n * day, -day]),
    time: vector(new arrow.TimeSecond(), [3661, 0]),
    moment: vector(new arrow.TimestampSecond(null), [1_700_000_000n, -1n]),
    instant: vector(new arrow.TimestampSecond('Europe/Berlin'), [1_700_000_000n, -1n]),
    took_s: vector(new arrow.DurationSecond(), [36n * 3600n, -1n]),
    took_ms: vector(new arrow.DurationMillisecond(), [90_061_500n, 0n]),
    took_us: vector(new arrow.DurationMicrosecond(), [1n, -(2n ** 63n)]),
    took_ns: vector(new arrow.DurationNanosecond(), [1n, 1_000_000_000_000n]),
  }
  const expected = [
    [
      '1',
      '2024-10-04',
      '01:01:01',
      '2023-11-14 22:13:20',
      '2023-11-14 22:13:20+00',
      '36:00:00',
      '25:01:01.5',
      '00:00:00.000001',
      '00:00:00.000000001',
    ],
    [
      '2',
      '1969-12-31',
      '00:00:00',
      '1969-12-31 23:59:59',
      '1969-12-31 23:59:59+00',
      '-00:00:01',
      '00:00:00',
      '-2562047788:00:54.775808',
      '00:16:40',
    ],
  ]
  const stream = (of: typeof columns) => Buffer.from(arrow.tableToIPC(new arrow.Table(of), 'stream'))
  const second = (values: arrow.Vector) => {
    const [{ type, length, values: data }] = values.data as [arrow.Data]
    return new arrow.Vector([
      arrow.makeData({ type, length, data, nullCount: 1, nullBitmap: Uint8Array.of(1) } as never),
    ])
  }
  const nulls = Object.fromEntries(
    Object.entries(columns).map(([name, values]) => [name, second(values)]),
  ) as typeof columns
  const [one, two] = expected
  for (const [name, file, rowsOf] of [
    ['a.parquet', parquetOf(columns), [one, two]],
    ['a.arrow', stream(columns), [one, two]],
    ['n.parquet', parquetOf(nulls), [one, two!.map(() => null)]],
    ['n.arrow', stream(nulls), [one, two!.map(() => null)]],
  ] as const) {
    const { types, rows } = await read({ [name]: file })
    const texts = Array.from({ length: 4 }, () => 'VARCHAR')
    assert.deepEqual(
      types,
      ['BIGINT', 'DATE', 'TIME', 'TIMESTAMP', 'TIMESTAMP WITH TIME ZONE', ...texts],
      name,
    )
    assert.deepEqual(rows, rowsOf, name)
  }
  const odd = parquetOf({
    id: vector(new arrow.Int64(), [1n]),
    d: vector(new arrow.DateMillisecond(), [day + 1n]),
  })
  await assert.rejects(read({ 'a.parquet': odd }), {
    message: /column d holds a day with a time of day/,
    hint: /^Declare the columns that are wanted in schema: /,
  })
  assert.deepEqual((await read({ 'a.parquet': odd }, { schema: { id: 'BIGINT' } })).rows, [['1']])
  const within = new arrow.Struct([
    arrow.Field.new('n', new arrow.Int64()),
    arrow.Field.new('took', new arrow.DurationSecond()),
  ])
  const nested = { v: arrow.vectorFromArray([{ n: 1n, took: 1n }], within) }
  await assert.rejects(read({ 'a.parquet': parquetOf(nested) }), {
    code: 'TYPE_UNSUPPORTED',
    message: /column v holds days, times or durations/,
  })
  const plain = new arrow.Struct([
    arrow.Field.new('n', new arrow.Int64()),
    arrow.Field.new('at', new arrow.TimestampMicrosecond()),
  ])
  const whole = { v: arrow.vectorFromArray([{ n: 1n, at: 0 }], plain) }
  assert.deepEqual((await read({ 'a.parquet': parquetOf(whole) })).rows, [
    ['{"n":1,"at":"1970-01-01 00:00:00"}'],
  ])
})

test('columns that GeoParquet speaks of are bytes as they are, whatever it says of them', async () => {
  const point = '0101000000000000000000f03f0000000000000040'
  for (const geo of [
    '{"version":"1.0.0","primary_column":"g","columns":{"g":{"encoding":"WKB"}}}',
    '{"version":"1.0.0","primary_column":"g","columns":{"g":{"encoding":"WKB","geometry_types":["Point"]}}}',
    '{"version":"0.1"}',
    'nothing',
  ]) {
    const sql = `SELECT 1 AS id, from_hex('${point}') AS g`
    const file = await written(sql, `, KV_METADATA { geo: ${quote(geo)} }`)
    const { types, rows } = await read({ 'a.parquet': file })
    assert.deepEqual(types, ['INTEGER', 'BLOB'], geo)
    assert.equal(rows.length, 1)
  }
})

test('decimals of more than 38 digits are their text', async () => {
  const type = new arrow.Decimal(1, 45, 256)
  const value = 12345678901234567890123456789012345678901n
  const words = (number: bigint) =>
    Array.from({ length: 8 }, (_, word) =>
      Number((BigInt.asUintN(256, number) >> BigInt(32 * word)) & 0xffffffffn),
    )
  const data = arrow.makeData({ type, length: 2, data: Uint32Array.from([...words(value), ...words(-5n)]) })
  const { types, rows } = await read({ 'a.parquet': parquetOf({ v: new arrow.Vector([data]) }) })
  assert.deepEqual([types, rows], [['VARCHAR'], [['1234567890123456789012345678901234567890.1'], ['-0.5']]])
})

test('unsigned integers, and names that clash', async () => {
  const big = await read({ 'a.parquet': await written('SELECT 18446744073709551615::UBIGINT AS u') })
  assert.deepEqual([big.types, big.rows], [['UBIGINT'], [['18446744073709551615']]])
  const clash = parquetOf({ Name: arrow.vectorFromArray([1]), name: arrow.vectorFromArray([2]) })
  await assert.rejects(read({ 'a.parquet': clash }), {
    message: /columns Name and name, which differ in case only/,
  })
})

test('a page that does not have its checksum is damaged', async () => {
  // A file of one INT32 column whose page header has a checksum, written by hand.
  const page = Buffer.from([7, 0, 0, 0])
  const file = (sum: number) => {
    const zigzag = (value: number) => {
      const bytes: number[] = []
      for (let rest = ((value << 1) ^ (value >> 31)) >>> 0; ; rest >>>= 7) {
        bytes.push(rest > 127 ? (rest & 127) | 128 : rest)
        if (rest <= 127) return bytes
      }
    }
    const header = [
      0x15,
      0,
      0x15,
      8,
      0x15,
      8,
      0x15,
      ...zigzag(sum | 0),
      0x1c,
      0x15,
      2,
      0x15,
      0,
      0x15,
      6,
      0x15,
      6,
      0,
      0,
    ]
    const size = header.length + page.length
    const chunk = [
      0x26,
      8,
      0x1c,
      0x15,
      2,
      0x19,
      0x15,
      0,
      0x19,
      0x18,
      1,
      97,
      0x15,
      0,
      0x16,
      2,
      0x16,
      ...zigzag(size),
      0x16,
      ...zigzag(size),
      0x26,
      8,
      0,
      0,
    ]
    const schema = [0x48, 1, 115, 0x15, 2, 0, 0x15, 2, 0x25, 0, 0x18, 1, 97, 0]
    const footer = [
      0x15,
      2,
      0x19,
      0x2c,
      ...schema,
      0x16,
      2,
      0x19,
      0x1c,
      0x19,
      0x1c,
      ...chunk,
      0x16,
      ...zigzag(size),
      0x16,
      2,
      0,
      0,
    ]
    const length = Buffer.alloc(4)
    length.writeUInt32LE(footer.length)
    return Buffer.concat([
      Buffer.from('PAR1'),
      Buffer.from(header),
      page,
      Buffer.from(footer),
      length,
      Buffer.from('PAR1'),
    ])
  }
  assert.deepEqual((await read({ 'a.parquet': file(crc32(page)) })).rows, [['7']])
  await assert.rejects(read({ 'a.parquet': file(crc32(page) + 1) }), {
    message: /column a: a page does not have its checksum/,
  })
})

test("a row group larger than the lane's memory is read; want of memory is no fault of the file", async () => {
  const large = await written(
    'SELECT r AS id, repeat(md5(r::VARCHAR), 150) AS x FROM range(30000) AS t(r)',
    ', ROW_GROUP_SIZE 122880',
  )
  writeFileSync(join(folder, 'large.parquet'), large)
  assert.equal(readFooter(join(folder, 'large.parquet')).groups.length, 1)
  assert.equal((await read({ 'a.parquet': large })).rows.length, 30_000)
})

/** Streams of two rows, (1, a) and (2, b…b), as pyarrow writes them. */
const STREAMS = {
  lz4: '/////6gAAAAQAAAAAAAKAAwABgAFAAgACgAAAAABBAAMAAAACAAIAAAABAAIAAAABAAAAAIAAABAAAAABAAAANj///8AAAEFEAAAABgAAAAEAAAAAAAAAAEAAAB4AAAABAAEAAQAAAAQABQACAAGAAcADAAAABAAEAAAAAAAAQIQAAAAHAAAAAQAAAAAAAAAAgAAAGlkAAAIAAwACAAHAAgAAAAAAAABQAAAAAAAAAD/////2AAAABQAAAAAAAAADAAYAAYABQAIAAwADAAAAAADBAAcAAAAeAAAAAAAAAAAAAAADAAcABAABAAIAAwADAAAAHgAAAAcAAAAFAAAAAIAAAAAAAAAAAAAAAQABAAEAAAABQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAACUAAAAAAAAAKAAAAAAAAAAAAAAAAAAAACgAAAAAAAAAIwAAAAAAAABQAAAAAAAAACMAAAAAAAAAAAAAAAIAAAACAAAAAAAAAAAAAAAAAAAAAgAAAAAAAAAAAAAAAAAAABAAAAAAAAAABCJNGGBAgg4AAAAiAQABAIACAAAAAAAAAAAAAAAAAAAMAAAAAAAAAAQiTRhgQIIMAACAAAAAAAEAAAA9AAAAAAAAAAAAAAAAPQAAAAAAAAAEIk0YYECCDAAAAC9hYgEAI1BiYmJiYgAAAAAAAAAAAP////8AAAAA',
  zstd: '/////6gAAAAQAAAAAAAKAAwABgAFAAgACgAAAAABBAAMAAAACAAIAAAABAAIAAAABAAAAAIAAABAAAAABAAAANj///8AAAEFEAAAABgAAAAEAAAAAAAAAAEAAAB4AAAABAAEAAQAAAAQABQACAAGAAcADAAAABAAEAAAAAAAAQIQAAAAHAAAAAQAAAAAAAAAAgAAAGlkAAAIAAwACAAHAAgAAAAAAAABQAAAAAAAAAD/////4AAAABQAAAAAAAAADAAYAAYABQAIAAwADAAAAAADBAAcAAAAaAAAAAAAAAAAAAAADAAeABAABAAIAAwADAAAAIAAAAAkAAAAGAAAAAIAAAAAAAAAAAAAAAAABgAIAAcABgAAAAAAAAEFAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIQAAAAAAAAAoAAAAAAAAAAAAAAAAAAAAKAAAAAAAAAAdAAAAAAAAAEgAAAAAAAAAGQAAAAAAAAAAAAAAAgAAAAIAAAAAAAAAAAAAAAAAAAACAAAAAAAAAAAAAAAAAAAAEAAAAAAAAAAotS/9IBCBAAABAAAAAAAAAAIAAAAAAAAAAAAAAAAAAAwAAAAAAAAAKLUv/SAMYQAAAAAAAAEAAAA9AAAAAAAAPQAAAAAAAAAotS/9ID1FAAAQYWIBAJAAFgAAAAAAAAD/////AAAAAA==',
  'views of zstd':
    '/////6gAAAAQAAAAAAAKAAwABgAFAAgACgAAAAABBAAMAAAACAAIAAAABAAIAAAABAAAAAIAAABAAAAABAAAANj///8AAAEYEAAAABgAAAAEAAAAAAAAAAEAAAB4AAAABAAEAAQAAAAQABQACAAGAAcADAAAABAAEAAAAAAAAQIQAAAAHAAAAAQAAAAAAAAAAgAAAGlkAAAIAAwACAAHAAgAAAAAAAABQAAAAAAAAAD/////+AAAABQAAAAAAAAADAAaAAYABQAIAAwADAAAAAADBAAgAAAAeAAAAAAAAAAAAAAAAAAOACAAFAAEAAgADAAQAA4AAACUAAAAOAAAACwAAAAQAAAAAgAAAAAAAAAAAAAAAQAAAAEAAAAAAAAAAAAAAAAABgAIAAcABgAAAAAAAAEFAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIQAAAAAAAAAoAAAAAAAAAAAAAAAAAAAAKAAAAAAAAAAtAAAAAAAAAFgAAAAAAAAAGQAAAAAAAAAAAAAAAgAAAAIAAAAAAAAAAAAAAAAAAAACAAAAAAAAAAAAAAAAAAAAEAAAAAAAAAAotS/9IBCBAAABAAAAAAAAAAIAAAAAAAAAAAAAAAAAACAAAAAAAAAAKLUv/SAg5QAAsAEAAABhADwAAABiYmJiAAAAAAAAAAABABsoAgAAADwAAAAAAAAAKLUv/SA8RQAAEGJiAQA/ARYAAAAAAAAA/////wAAAAA=',
}

for (const [name, stream] of Object.entries(STREAMS))
  test(`Arrow with bodies of ${name}`, async () => {
    const bytes = Buffer.from(stream, 'base64')
    assert.deepEqual((await read({ 'a.arrow': bytes })).rows, [
      ['1', 'a'],
      ['2', 'b'.repeat(60)],
    ])
    for (const at of [40, bytes.length >> 1])
      await read({ 'a.arrow': bytes.subarray(0, at) }).then(
        ({ rows }) => assert.deepEqual(rows, []),
        error => assert.equal(error.code, 'DECODE_FAILED'),
      )
  })

test('nested columns are JSON text, and false levels are found', async () => {
  const nested = await written("SELECT [1, 2] AS l, {'a': 1, 'b': 'x'} AS s, MAP {'k': 1} AS m")
  assert.deepEqual((await read({ 'a.parquet': nested })).rows, [['[1,2]', '{"a":1,"b":"x"}', '{"k":1}']])
})

test('a column whose values no reader gives exactly is refused, and others of its file are read', async () => {
  const hint = /schema: of this extract, without this one/
  for (const [sql, what] of [
    ["SELECT 1 AS id, '[1]'::JSON::VARIANT AS v", /column v is a VARIANT/],
    ["SELECT 1 AS id, {'a': 1}::VARIANT AS v", /column v is a VARIANT/],
  ] as const) {
    const file = { 'a.parquet': await written(sql) }
    await assert.rejects(read(file), (error: { code: string; message: string; hint: string }) => {
      assert.equal(error.code, 'TYPE_UNSUPPORTED')
      assert.match(error.message, what)
      assert.match(error.hint, hint)
      return true
    })
    assert.deepEqual((await read(file, { schema: { id: 'INTEGER' } })).rows, [['1']])
  }
  const one = arrow.vectorFromArray([1], new arrow.Int32())
  const pair = new arrow.Struct(['a', 'A'].map(name => arrow.Field.new(name, new arrow.Int32())))
  const twins = parquetOf({ id: one, v: arrow.vectorFromArray([{ a: 1, A: 2 }], pair) })
  await assert.rejects(read({ 'a.parquet': twins }), {
    message: /column v has the fields a and A, which differ in case only/,
  })
  await assert.rejects(read({ 'a.parquet': parquetOf({ id: one, '': one }) }), {
    message: /column "" has a field without a name/,
  })
  await assert.rejects(read({ 'a.parquet': await written('SELECT 1 AS file_row_number') }), {
    message: /has a column file_row_number, by which rows are numbered here/,
  })
})

test('a text file beside Parquet is held to the notation of its types', async () => {
  const files = {
    'a.parquet': await written('SELECT 1 AS id, 501 AS zip'),
    'b.csv': Buffer.from('id,zip\n2,00501\n3,7\n'),
  }
  const { rows, rejected } = await read(files)
  assert.deepEqual(rows, [
    ['1', '501'],
    ['3', '7'],
  ])
  assert.deepEqual(
    rejected.map(({ column, value }) => [column, value]),
    [['zip', '00501']],
  )
})
