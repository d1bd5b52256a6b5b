import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Batch, isValid, type Vector } from '../../../engine/batch/batch.ts'
import { BatchBuilder } from '../../../engine/batch/builder.ts'
import { EngineError } from '../../../engine/errors.ts'
import type { ExtractSpec, LaneModule, Range, Read } from '../../../engine/ports.ts'
import type { Column } from '../../../engine/types/logical.ts'
import { connect, disconnect, postgresError, quoteLiteral } from '../../../src/connectors/postgres/connect.ts'
import { CopyDecoder } from '../../../src/connectors/postgres/decode.ts'
import { PostgresSource } from '../../../src/connectors/postgres/source.ts'
import { converse, Framer, MESSAGE, socketOf } from '../../../src/connectors/postgres/wire.ts'
import { freshPostgres } from '../../servers.ts'

const extract = (table: string, columns: ExtractSpec['columns'] = {}): ExtractSpec => ({
  name: table,
  from: 'pg',
  key: [],
  columns,
  options: { table },
})

// A value as text that the server's cast of its own text is compared with.
function textOf(vector: Vector, row: number): string | null {
  if (!isValid(vector, row)) return null
  const { data, offsets, column } = vector
  const { type } = column
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
  const big = () => view.getBigInt64(row * 8, true)
  switch (type.kind) {
    case 'bool':
      return data[row] === 1 ? 't' : 'f'
    case 'int':
      if (type.bits === 64) return String(big())
      if (type.bits === 16) return String(view.getInt16(row * 2, true))
      return String(type.signed ? view.getInt32(row * 4, true) : view.getUint32(row * 4, true))
    case 'float':
      return String(type.bits === 32 ? view.getFloat32(row * 4, true) : view.getFloat64(row * 8, true))
    case 'decimal': {
      const value = (view.getBigInt64(row * 16 + 8, true) << 64n) | view.getBigUint64(row * 16, true)
      const digits = String(value < 0n ? -value : value).padStart(type.scale + 1, '0')
      const cut = digits.length - type.scale
      const text = type.scale ? `${digits.slice(0, cut)}.${digits.slice(cut)}` : digits
      return value < 0n ? `-${text}` : text
    }
    case 'date':
      return String(view.getInt32(row * 4, true))
    case 'time':
    case 'timestamp':
      return String(big())
    case 'text':
      return Buffer.from(data.subarray(offsets![row]!, offsets![row + 1])).toString('utf8')
    case 'binary':
      return `\\x${Buffer.from(data.subarray(offsets![row]!, offsets![row + 1])).toString('hex')}`
  }
}

// The server's own reading of a column, in the notation of textOf.
function expected(column: Column): string {
  const name = `"${column.name}"`
  switch (column.type.kind) {
    case 'bool':
      return `CASE ${name} WHEN true THEN 't' WHEN false THEN 'f' END`
    case 'date':
      return `(${name} - date '1970-01-01')::text`
    case 'time':
      return `(extract(epoch from ${name}) * 1000000)::bigint::text`
    case 'timestamp':
      return `(extract(epoch from ${name}) * 1000000)::bigint::text`
    default:
      return column.native.startsWith('character(') ? name : `${name}::text`
  }
}

async function readAll(url: string, table: string, options: Partial<Read> = {}) {
  const source = new PostgresSource({ name: 'pg', url })
  const schema = await source.describe(extract(table))
  const read: Read = {
    extract: table,
    where: `pg.${table}`,
    columns: schema.columns,
    key: schema.key,
    options: { table },
    limits: { rows: 64, bytes: 1 << 20 },
    ...options,
  }
  const snapshot = await source.open(2)
  const rows: (string | null)[][] = []
  let chunks = 0
  const module = (await import(snapshot.ticket.module)) as LaneModule
  const lane = await module.openLane(snapshot.ticket.payload)
  try {
    const write = (batch: Batch) => {
      for (let row = 0; row < batch.rows; row++) rows.push(batch.vectors.map(vector => textOf(vector, row)))
    }
    const ranges: (Range | undefined)[] = await snapshot.ranges(read)
    for (const first of ranges)
      for (let range = first; range; chunks++)
        range = await lane.read(read, range, 256, { write, file: async () => {} })
  } finally {
    await lane.close()
    await snapshot.close()
    await source.close()
  }
  return { schema, rows, chunks }
}

const RANDOM: Record<string, string> = {
  boolean: 'random() < 0.5',
  smallint: '(random() * 65535 - 32768)::int2',
  integer: '(random() * 4294967295 - 2147483648)::int4',
  bigint: "('x' || md5(random()::text))::bit(64)::bigint",
  oid: '(random() * 4294967295)::bigint::oid',
  real: '((random() - 0.5) * 10 ^ (random() * 60 - 30))::real',
  'double precision': '(random() - 0.5) * 10 ^ (random() * 400 - 200)',
  'numeric(5,0)': '((random() - 0.5) * 199999)::numeric(5,0)',
  'numeric(9,4)': '((random() - 0.5) * 199999)::numeric(9,4)',
  'numeric(18,7)': '(((random() - 0.5) * 1e17)::bigint / 1e7)::numeric(18,7)',
  'numeric(30,10)': "(('x' || md5(random()::text))::bit(64)::bigint::numeric / 33333)::numeric(30,10)",
  'numeric(38,3)':
    "((('x' || md5(random()::text))::bit(60)::bigint)::numeric * 1e16 * (random() - 0.5)::numeric)::numeric(38,3)",
  'numeric(38,38)': '(random()::numeric / 10 ^ (random() * 30)::int)::numeric(38,38)',
  numeric: '(random()::numeric * 10 ^ (random() * 50)::int)',
  text: "repeat('é€😀', (random() * 20)::int)",
  'varchar(40)': 'left(md5(random()::text), (random() * 40)::int)',
  'char(6)': 'left(md5(random()::text), (random() * 6)::int)',
  name: 'md5(random()::text)::name',
  bytea: "decode(md5(random()::text), 'hex')",
  date: "date '0001-01-01' + (random() * 3000000)::int",
  time: "time '00:00' + random() * interval '23:59:59'",
  timestamp: "timestamp '0001-01-01' + random() * interval '9000 years'",
  timestamptz: "timestamptz '1900-01-01 00:00+00' + random() * interval '200 years'",
  timetz: "(time '00:00' + random() * interval '23:59:59')::timetz",
  interval: "random() * interval '400 days'",
  money: '(random() * 1000)::numeric::money',
  uuid: 'gen_random_uuid()',
  json: "json_build_object('a', random())",
  jsonb: "jsonb_build_array(random(), 'x')",
  inet: "('10.0.0.' || (random() * 255)::int)::inet",
  'integer[]': 'array[(random() * 9)::int, null]',
  '"char"': `chr(65 + (random() * 25)::int)::"char"`,
  int4range: 'int4range(1, 2 + (random() * 9)::int)',
}

test('every type reads as the server itself reads it', async t => {
  const db = await freshPostgres(t)
  const types = Object.entries(RANDOM)
  await db.query(
    `CREATE TABLE every (id int PRIMARY KEY, ${types.map(([type], i) => `c${i} ${type}`).join(', ')})`,
  )
  const values = types.map(([, sql]) => `CASE WHEN random() < 0.1 THEN NULL ELSE ${sql} END`)
  await db.query(`INSERT INTO every SELECT g, ${values.join(', ')} FROM generate_series(1, 2000) g`)
  await db.query('ANALYZE every')
  const { schema, rows, chunks } = await readAll(db.url, 'every')
  assert.ok(chunks > 3, `${chunks} chunks`)
  assert.deepEqual(schema.key, ['id'])
  await db.query("SET TimeZone = 'UTC'; SET extra_float_digits = 1")
  const select = schema.columns.map((column, i) => `${expected(column)} AS v${i}`)
  const wanted = await db.query<Record<string, string | null>>(
    `SELECT ${select.join(', ')} FROM every ORDER BY id`,
  )
  const got = rows.sort((a, b) => Number(a[0]) - Number(b[0]))
  assert.equal(got.length, wanted.length)
  schema.columns.forEach((column, index) => {
    for (const [row, want] of wanted.entries()) {
      const [actual, server] = [got[row]![index]!, want[`v${index}`]!]
      const same =
        column.type.kind === 'float' && server !== null
          ? Number(actual) === (column.type.bits === 32 ? Math.fround(Number(server)) : Number(server))
          : actual === server
      assert.ok(same, `${column.native} row ${row}: ${actual} instead of ${server}`)
    }
  })
})

test('edges of the ranges: kept exactly or refused', async t => {
  const db = await freshPostgres(t)
  const one = async (type: string, value: string) => {
    await db.query(
      `DROP TABLE IF EXISTS edge; CREATE TABLE edge (v ${type}); INSERT INTO edge VALUES (${value})`,
    )
    return (await readAll(db.url, 'edge')).rows[0]![0]
  }
  assert.equal(await one('bigint', "'-9223372036854775808'"), '-9223372036854775808')
  assert.equal(await one('numeric(38,0)', `-${'9'.repeat(38)}`), `-${'9'.repeat(38)}`)
  assert.equal(await one('numeric(4,4)', '0.0001'), '0.0001')
  assert.equal(await one('numeric(38,20)', '0.00000000000000000001'), '0.00000000000000000001')
  assert.equal(await one('numeric(3,-2)', '12300'), '12300')
  assert.equal(await one('date', "'4713-01-01 BC'"), '-2440550')
  assert.equal(await one('double precision', "'-Infinity'"), '-Infinity')
  assert.equal(await one('char(5)[]', "array['a']::char(5)[]"), '{"a    "}')
  const inexact: [string, string][] = [
    ['date', "'infinity'"],
    ['timestamp', "'-infinity'"],
    ['timestamptz', "'infinity'"],
    ['timestamp', "'294276-12-31 23:59:59'"],
    ['numeric(9,2)', "'NaN'"],
  ]
  for (const [type, value] of inexact)
    await assert.rejects(one(type, value), { code: 'VALUE_INEXACT' }, `${type} ${value}`)
})

test('domains, domains of domains and domains of char(n) keep their values', async t => {
  const db = await freshPostgres(t)
  await db.query(`CREATE DOMAIN a AS numeric(9,2); CREATE DOMAIN b AS a; CREATE DOMAIN c AS char(4);
    CREATE TABLE d (a a, b b, c c); INSERT INTO d VALUES (1.5, 2.25, 'x')`)
  assert.deepEqual((await readAll(db.url, 'd')).rows, [['1.50', '2.25', 'x   ']])
})

test('the text policy stages a column in the server’s notation', async t => {
  const db = await freshPostgres(t)
  await db.query(`CREATE TABLE p (d date, n numeric(5,2)); INSERT INTO p VALUES ('infinity', 'NaN')`)
  const source = new PostgresSource({ name: 'pg', url: db.url })
  const { columns } = await source.describe(extract('p', { d: 'text', n: 'text' }))
  await source.close()
  const read = columns.map(column => ({
    ...column,
    type: { kind: 'text' } as const,
    policy: 'text' as const,
  }))
  assert.deepEqual((await readAll(db.url, 'p', { columns: read })).rows, [['infinity', 'NaN']])
})

test('partitions, inheritance and views hold every row once; since cuts', async t => {
  const db = await freshPostgres(t)
  await db.query(`CREATE TABLE part (id int, at timestamptz) PARTITION BY RANGE (id);
    CREATE TABLE part_a PARTITION OF part FOR VALUES FROM (0) TO (500);
    CREATE TABLE "part.B" PARTITION OF part FOR VALUES FROM (500) TO (2000);
    INSERT INTO part SELECT g, timestamptz '2026-01-01 00:00+00' + g * interval '1 hour' FROM generate_series(0, 999) g;
    CREATE TABLE parent (id int); CREATE TABLE child () INHERITS (parent);
    INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2);
    CREATE VIEW seen AS SELECT id FROM part; ANALYZE`)
  const ids = (rows: (string | null)[][]) => rows.map(([id]) => Number(id)).sort((a, b) => a - b)
  const all = Array.from({ length: 1000 }, (_, id) => id)
  assert.deepEqual(ids((await readAll(db.url, 'part')).rows), all)
  assert.deepEqual(ids((await readAll(db.url, 'seen')).rows), all)
  assert.deepEqual(ids((await readAll(db.url, 'parent')).rows), [1, 2])
  const since = { column: 'at', value: '2026-01-01 10:00:00+00' }
  assert.equal((await readAll(db.url, 'part', { since })).rows.length, 990)
})

test('a partitioned table is read under its own grants and row security', async t => {
  const db = await freshPostgres(t)
  const role = `reader_${db.name}`
  await db.query(`CREATE TABLE guarded (id int) PARTITION BY LIST (id);
    CREATE TABLE guarded_1 PARTITION OF guarded FOR VALUES IN (1);
    CREATE TABLE guarded_2 PARTITION OF guarded FOR VALUES IN (2);
    INSERT INTO guarded VALUES (1), (2);
    CREATE ROLE ${role} LOGIN PASSWORD 'pw'; GRANT SELECT ON guarded TO ${role}`)
  const url = new URL(db.url)
  url.username = role
  url.password = 'pw'
  try {
    assert.equal((await readAll(url.href, 'guarded')).rows.length, 2)
    await db.query(`GRANT SELECT ON guarded_1, guarded_2 TO ${role};
      ALTER TABLE guarded ENABLE ROW LEVEL SECURITY; CREATE POLICY one ON guarded USING (id = 1)`)
    assert.deepEqual((await readAll(url.href, 'guarded')).rows, [['1']])
  } finally {
    await db.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
  }
})

test('a lane whose connection died fails at once', async t => {
  const db = await freshPostgres(t)
  const client = await connect({ url: db.url }, 'pg')
  socketOf(client).destroy()
  await assert.rejects(converse(client, 'SELECT 1', { message() {} }), { code: 'CONNECTION_LOST' })
  await disconnect(client)
})

test('failures are named, and none shows the password', async t => {
  const db = await freshPostgres(t)
  await db.query('CREATE TABLE members (id int)')
  const source = new PostgresSource({ name: 'legacy', url: db.url })
  await source.probe()
  await assert.rejects(source.describe(extract('member')), (error: EngineError) => {
    assert.equal(error.code, 'TABLE_MISSING')
    assert.match(`${error.message} ${error.hint}`, /legacy.*members/)
    return true
  })
  const refused = await connect({ url: 'postgres://me:s3cret@127.0.0.1:1/x' }, 'legacy').catch(e => e)
  assert.equal(refused.code, 'CONNECTION_FAILED')
  const elsewhere = db.url.replace(/[^/]+$/, 'nowhere')
  await assert.rejects(new PostgresSource({ name: 'legacy', url: elsewhere }).probe(), {
    code: 'DATABASE_MISSING',
  })
  const invalid = await connect({ url: 'postgres://me:s3cret@[bad/x' }, 'legacy').catch(e => e)
  for (const error of [refused, invalid]) {
    assert.ok(error instanceof EngineError && error.message.startsWith('legacy'))
    assert.doesNotMatch(`${error.message} ${error.hint} ${error.stack}`, /s3cret/)
  }
  const codes = {
    '28P01': 'AUTH_FAILED',
    '42501': 'PERMISSION_DENIED',
    '42703': 'COLUMN_MISSING',
    '57014': 'TIMEOUT',
    '40001': 'DEADLOCK',
    '57P01': 'CONNECTION_LOST',
    '23505': 'CONSTRAINT_VIOLATED',
    '53100': 'RESOURCE_EXHAUSTED',
  }
  for (const [state, code] of Object.entries(codes))
    assert.equal(postgresError(Object.assign(new Error('x'), { code: state }), 'legacy').code, code)
  const odd = String.raw`it's \ 'odd'`
  assert.equal((await db.query<{ v: string }>(`SELECT ${quoteLiteral(odd)} AS v`))[0]!.v, odd)
})

const COLUMNS: Column[] = [
  { name: 'i', type: { kind: 'int', bits: 32, signed: true }, nullable: true, native: 'integer' },
  { name: 's', type: { kind: 'text' }, nullable: true, native: 'text' },
  { name: 'n', type: { kind: 'decimal', precision: 20, scale: 2 }, nullable: true, native: 'numeric(20,2)' },
]
const header = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1')
const int16 = (...values: number[]) => Buffer.concat(values.map(v => Buffer.from([(v >> 8) & 255, v & 255])))
const field = (bytes?: Buffer) =>
  Buffer.concat([
    Buffer.from(bytes ? [0, 0, 0, bytes.length] : [255, 255, 255, 255]),
    bytes ?? Buffer.alloc(0),
  ])
const tuple = (i: number, s: string) =>
  Buffer.concat([
    int16(3),
    field(Buffer.from([0, 0, 0, i])),
    field(Buffer.from(s)),
    field(int16(2, 0, 0, 2, i, 2500)),
  ])
const message = (body: Buffer) => {
  const head = Buffer.alloc(5, 'd')
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

function decode(pieces: Buffer[]): (string | null)[][] {
  const rows: (string | null)[][] = []
  const builder = new BatchBuilder('pg.t', COLUMNS, { rows: 3, bytes: 1 << 20 })
  const flush = () => {
    const batch = builder.batch()
    for (let row = 0; row < batch.rows; row++) rows.push(batch.vectors.map(vector => textOf(vector, row)))
    builder.reset()
  }
  const decoder = new CopyDecoder('pg.t', builder, COLUMNS.length, flush)
  const framer = new Framer({
    message: (type, bytes, from, to) => {
      if (type === MESSAGE.copyData) decoder.message(bytes, from, to)
    },
  })
  for (const piece of pieces) framer.push(piece)
  decoder.end()
  flush()
  return rows
}

test('bytes decode the same however they are cut', () => {
  const bodies = [header, ...Array.from({ length: 10 }, (_, i) => tuple(i, 'é'.repeat(i * 5))), int16(-1)]
  const bytes = Buffer.concat(bodies.map(message))
  const whole = decode([bytes])
  assert.equal(whole.length, 10)
  assert.deepEqual(decode(Array.from(bytes, (_, at) => bytes.subarray(at, at + 1))), whole)
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(bytes.length), { maxLength: 20 }), cuts => {
      const at = [0, ...cuts.sort((a, b) => a - b), bytes.length]
      assert.deepEqual(decode(at.slice(1).map((end, i) => bytes.subarray(at[i], end))), whole)
    }),
  )
})

test('truncated and hostile bytes end in DECODE_FAILED', () => {
  const body = Buffer.concat([header, tuple(1, 'text'), tuple(2, 'more')])
  const failed = (pieces: Buffer[]) => assert.throws(() => decode(pieces), { code: 'DECODE_FAILED' })
  for (let end = 0; end <= body.length; end++) failed([message(body.subarray(0, end))])
  fc.assert(
    fc.property(fc.nat(body.length - 1), fc.integer({ min: 0, max: 255 }), (at, byte) => {
      const bad = Buffer.concat([body, int16(-1)])
      bad[at] = byte
      try {
        decode([message(bad)])
      } catch (error) {
        assert.ok(error instanceof EngineError, String(error))
        assert.match(error.code, /DECODE_FAILED|VALUE_INEXACT/)
      }
    }),
    { numRuns: 2000 },
  )
})
