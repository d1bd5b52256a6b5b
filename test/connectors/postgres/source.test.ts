import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LaneModule, Read } from '../../../engine/contracts/source.ts'
import { EngineError } from '../../../engine/errors.ts'
import type { PlannedRead } from '../../../engine/plan/plan.ts'
import { connect, disconnect, postgresError, quoteLiteral } from '../../../src/connectors/postgres/connect.ts'
import { TargetSession } from '../../../src/connectors/postgres/session.ts'
import { PostgresSource } from '../../../src/connectors/postgres/source.ts'
import { converse, socketOf } from '../../../src/connectors/postgres/wire.ts'
import { type FreshDatabase, freshPostgres } from '../../servers.ts'
import { extractOf, readRows } from './reading.ts'

const readAll = (url: string, table: string, options?: Partial<Read>) =>
  readRows(url, extractOf(table), options)

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
  assert.equal(await one('date', "'4713-01-01 BC'"), '4713-01-01 BC')
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

/** Connects as a role that may read `tables`; it is dropped afterwards. */
async function asReader(db: FreshDatabase, tables: string, use: (url: string) => Promise<void>) {
  const role = `reader_${db.name}`
  await db.query(`CREATE ROLE ${role} LOGIN PASSWORD 'pw'; GRANT SELECT ON ${tables} TO ${role}`)
  const url = new URL(db.url)
  url.username = role
  url.password = 'pw'
  try {
    await use(url.href)
  } finally {
    await db.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
  }
}

test('a partitioned table is read under its own grants', async t => {
  const db = await freshPostgres(t)
  await db.query(`CREATE TABLE guarded (id int) PARTITION BY LIST (id);
    CREATE TABLE guarded_1 PARTITION OF guarded FOR VALUES IN (1);
    CREATE TABLE guarded_2 PARTITION OF guarded FOR VALUES IN (2);
    INSERT INTO guarded VALUES (1), (2)`)
  await asReader(db, 'guarded', async url => assert.equal((await readAll(url, 'guarded')).rows.length, 2))
})

test('row-level security that applies to our role is refused, wherever it hides rows; `filter` reads what it shows', async t => {
  const db = await freshPostgres(t)
  const secure = (table: string) =>
    `ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY; CREATE POLICY one ON ${table} USING (id = 1);`
  await db.query(`CREATE TABLE plain (id int); CREATE TABLE behind (id int);
    CREATE VIEW seen WITH (security_invoker) AS SELECT id FROM behind; CREATE VIEW owned AS SELECT id FROM behind;
    CREATE TABLE whole (id int) PARTITION BY LIST (id); CREATE TABLE whole_1 PARTITION OF whole DEFAULT;
    CREATE TABLE parts (id int) PARTITION BY LIST (id); CREATE TABLE parts_1 PARTITION OF parts DEFAULT;
    INSERT INTO plain VALUES (1), (2); INSERT INTO behind VALUES (1), (2);
    INSERT INTO whole VALUES (1), (2); INSERT INTO parts VALUES (1), (2);
    ${['plain', 'behind', 'whole', 'parts_1'].map(secure).join(' ')}`)
  await asReader(db, 'plain, behind, seen, owned, whole, whole_1, parts, parts_1', async url => {
    for (const table of ['plain', 'seen', 'whole', 'parts_1']) {
      await assert.rejects(
        readAll(url, table),
        (error: EngineError) =>
          error.code === 'PERMISSION_DENIED' &&
          error.message.includes(`pg.${table}`) &&
          error.message.includes('applies to role reader_'),
      )
      const spec = { ...extractOf(table), options: { table, row_security: 'filter' } }
      const { read, rows } = await readRows(url, spec)
      assert.deepEqual(rows, [['1']])
      assert.match((read as PlannedRead).notes.join(), /only rows that its policies show are read/)
    }
    // Read through what no policy is on.
    for (const table of ['owned', 'parts']) assert.equal((await readAll(url, table)).rows.length, 2)
    const session = new TargetSession({ name: 'pg', url })
    await assert.rejects(
      session.query('SET row_security = off; SELECT * FROM plain'),
      (error: EngineError) => error.code === 'PERMISSION_DENIED' && /BYPASSRLS/.test(error.hint ?? ''),
    )
    await session.close()
  })
  for (const table of ['plain', 'whole']) assert.equal((await readAll(db.url, table)).rows.length, 2)
})

test('a snapshot whose session is gone is a transient failure', async t => {
  const db = await freshPostgres(t)
  const source = new PostgresSource({ name: 'pg', url: db.url })
  const snapshot = await source.open(1, new AbortController().signal, [])
  await db.query(
    `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'`,
  )
  const { openLane } = (await import(snapshot.lane.module)) as LaneModule
  await assert.rejects(
    openLane(snapshot.lane.payload, new AbortController().signal),
    (error: EngineError) => {
      return (
        error.code === 'CONNECTION_LOST' && error.retryable && /hot_standby_feedback/.test(error.hint ?? '')
      )
    },
  )
  await snapshot.close()
})

test('a lane whose connection died fails at once', async t => {
  const db = await freshPostgres(t)
  const client = await connect({ url: db.url }, 'pg')
  socketOf(client).destroy()
  await assert.rejects(converse(client, 'pg.t', 'SELECT 1', { message() {} }), { code: 'CONNECTION_LOST' })
  await disconnect(client)
})

test('failures are named, and none shows the password', async t => {
  const db = await freshPostgres(t)
  await db.query('CREATE TABLE members (id int)')
  const source = new PostgresSource({ name: 'legacy', url: db.url })
  await source.probe()
  await assert.rejects(source.describe(extractOf('member')), (error: EngineError) => {
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

test('a name of three parts, and a table without a column, are told with what to write', async t => {
  const db = await freshPostgres(t)
  await db.query('CREATE TABLE bare (); CREATE SCHEMA s; CREATE TABLE s."a.b" (id int)')
  const describe = (table: string) =>
    new PostgresSource({ url: db.url, name: 'db' } as never).describe(extractOf(table))
  await assert.rejects(describe('bare'), {
    code: 'COLUMN_MISSING',
    message: /db\.bare: the table has no column/,
  })
  await assert.rejects(describe('s.a.b'), (error: { hint?: string }) => {
    assert.match(error.hint!, /table: '"s"\."a\.b"'/)
    return true
  })
  assert.equal((await describe('"s"."a.b"')).columns.length, 1)
})
