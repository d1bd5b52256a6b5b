/** Texts that a column's type would round, or cut: they do not fit, as a number that is too great does not. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Duck } from '../../engine/sql/duckdb.ts'
import { freshPostgres } from '../servers.ts'
import { smallJob } from './small.ts'

/** By type: a text that it holds exactly, and those that it does not. */
const DUCKDB: [type: string, exact: string, ...inexact: string[]][] = [
  ['HUGEINT', '-15.0', '1.6', '12345678901234567890.4', '15e-1'],
  ['UHUGEINT', '1.50e1', '0.2', '1.55e1'],
  ['BIGNUM', '340282366920938463463374607431768211456', '1.6'],
  ['TIMESTAMP_S', '2020-01-01 00:00:00.000', '2020-01-01 00:00:00.9', '2020-01-01 00:00:00+02'],
  ['TIMESTAMP_MS', '2020-01-01 00:00:00.123000', '2020-01-01 00:00:00.1234'],
  ['TIMESTAMP_NS', '2020-01-01T00:00:00.123456789', '2020-01-01 00:00:00.1234567891'],
  ['TIME WITH TIME ZONE', '10:00:00.123456+01', '10:00:00.1234567+01'],
  ['INTERVAL', '1 day 10:00:00.123456', '00:00:00.1234567', '1.0000001 seconds'],
  ['INTEGER[]', '[1, NULL, 2.0]', '[1, 1.6]'],
  ['INTEGER[2]', '[1, 2]', '[1, 2.5]'],
  ['DECIMAL(5,1)[]', '[1.20, -3]', '[1.25]'],
  ['DATE[]', '[2020-01-01, 2020-01-02 00:00:00]', '[2020-01-01 10:00:00]'],
  ['TIME[]', '[10:00:00.5]', '[10:00:00.1234567]', '[2020-01-01 10:00:00]'],
  ['TIMESTAMP[]', '[2020-01-01 10:00:00.5]', '[2020-01-01 10:00:00.1234567]'],
  ['FLOAT[]', '[0.1, -1e30, nan, 0.10000000149011612]', '[0.12345678901]', '[1e40]', '[1e-46]'],
  ['DOUBLE[]', '[0.1, 0.30000000000000004, -inf, 0e9]', '[0.1234567890123456789]', '[1e400]', '[1e-400]'],
  ['STRUCT(a DOUBLE)', '{a: 1e308}', '{a: -1e999}'],
  ['BOOLEAN[]', '[yes, no]'],
  ['STRUCT(a INTEGER, "b c" VARCHAR[])[]', `[{a: 1, "b c": [x, y]}]`, `[{a: 1.6, "b c": []}]`],
  ['MAP(INTEGER, DECIMAL(3,1))', '{1=1.50, 2=2}', '{1=1.55}', '{1.5=1.5}'],
]

/** The same of Postgres, whose numbers raise. */
const POSTGRES: typeof DUCKDB = [
  ['interval', '1 day 10:00:00.123456', '00:00:00.1234567', '1.0000001 seconds'],
  ['timetz', '10:00:00.123456-01', '10:00:00.1234567-01', '2020-01-01 10:00:00+01'],
  ['time[]', '{10:00:00.5}', '{10:00:00.1234567}', '{2020-01-01 10:00:00}'],
  ['date[]', '{2020-01-01,2020-01-02 00:00:00}', '{2020-01-01 10:00:00}'],
  ['timestamp[]', '{2020-01-01 10:00:00.5}', '{2020-01-01 10:00:00.1234567}', '{2020-01-01 10:00:00+02}'],
  ['tsrange', '[2020-01-01 10:00:00,2020-01-02 10:00:00.123456)', '[2020-01-01 10:00:00.1234567,)'],
  ['double precision[]', '{0.1,0.30000000000000004}', '{0.1234567890123456789}'],
  ['real[]', '{0.1,-1e30,NaN}', '{0.12345678901}'],
  ['real[]', '{0.10000000149011612,2}'],
  ['point', '(0.1,2)', '(0.1234567890123456789,1)'],
  ['numeric[]', '{0.12345678901234567890123}'],
  ['int[]', '{1,2}', '{1.6}'],
]

const TYPES = { duckdb: DUCKDB, postgres: POSTGRES, 'postgres before 16': POSTGRES }
type Family = keyof typeof TYPES

async function duckdbFile(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'nightfreight-texts-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'w.duckdb')
  const query = async (sql: string) => {
    const duck = await Duck.open({ path })
    try {
      return await duck.rows(sql)
    } finally {
      duck.close()
    }
  }
  return { url: `duckdb://${path}`, query }
}

/** A database without the function that tells a text which a type refuses: it came with 16. */
async function olderPostgres(t: TestContext) {
  const database = await freshPostgres(t)
  await database.query('ALTER FUNCTION pg_catalog.pg_input_is_valid(text, text) RENAME TO of_16')
  return database
}

const OPEN: Record<
  Family,
  (t: TestContext) => Promise<{ url: string; query(sql: string): Promise<object[]> }>
> = {
  duckdb: duckdbFile,
  postgres: freshPostgres,
  'postgres before 16': olderPostgres,
}

async function texts(t: TestContext, family: Family, onBadRow: string) {
  const { url, query } = await OPEN[family](t)
  const types = TYPES[family]
  // A timestamp as such is rounded, too, where that is not refused for the column.
  const moment = family === 'duckdb' ? 'TIMESTAMP_S' : 'timestamp'
  await query(
    `CREATE TABLE t (id BIGINT PRIMARY KEY, ${types.map(([type], at) => `c${at} ${type}`).join(', ')}, moment ${moment})`,
  )
  const inexact = types.flatMap(([, , ...wrong], at) => wrong.map(text => ({ [`c${at}`]: text })))
  if (family === 'duckdb') inexact.push({ moment: '2020-01-01 00:00:00.9' })
  const exact = Object.fromEntries(types.map(([, text], at) => [`c${at}`, text]))
  const rows = (...all: Record<string, string>[]) =>
    all.map((row, id) => `${JSON.stringify({ id, ...row })}\n`).join('')
  const job = await smallJob(t, 'texts', {
    'job.yaml': `connections: { s: "file:in", w: "${url}" }
extract: { t: { from: s, files: t.jsonl, take: all, key: id, schema: { id: BIGINT, ${types.map((_, at) => `c${at}: VARCHAR`).join(', ')}, moment: TIMESTAMP } } }
load: { t: { to: w, from: t, key: id, on_bad_row: ${onBadRow} } }
quality: { max_error_rate: 1 }
resources: { memory: 300MB, threads: 1 }
`,
    'in/t.jsonl': rows(exact, ...inexact),
  })
  const ids = async () =>
    (await query('SELECT id FROM t ORDER BY id')).map(row => Number((row as { id: unknown }).id))
  return { job, ids, inexact }
}

const REFUSED: Record<Family, RegExp> = {
  duckdb: /w\.t: c0: '1\.6' does not fit HUGEINT \(id '1'\); 3 rows are refused so/,
  postgres: /w\.t\.c0: '00:00:00\.1234567' \(id 1\) does not fit interval; 2 rows have such values/,
  'postgres before 16':
    /w\.t\.c0: '00:00:00\.1234567' \(id 1\) does not fit interval; 2 rows have such values/,
}

for (const family of Object.keys(TYPES) as Family[]) {
  test(`${family}: a text that a type would round goes to the quarantine; one that it holds is loaded`, async t => {
    const { job, ids, inexact } = await texts(t, family, 'quarantine')
    const { error, outcome } = await job.run()
    assert.equal(error, undefined)
    assert.deepEqual(await ids(), [0])
    assert.equal(outcome.accounts.loads[0]!.rejected, inexact.length)
  })

  test(`${family}: a text that a type would round keeps a load from going, which names it`, async t => {
    const { job, ids } = await texts(t, family, 'fail')
    const { error } = await job.run()
    assert.equal((error as { code?: string } | undefined)?.code, 'DATA_INVALID', String(error))
    assert.match(String(error), REFUSED[family])
    assert.deepEqual(await ids(), [])
  })
}

test('postgres before 16: who may make nothing temporary is told so where texts are parsed, and loads others', async t => {
  const warehouse = await olderPostgres(t)
  const role = `untemporary_${process.pid}`
  await warehouse.query(`CREATE ROLE ${role} LOGIN PASSWORD 'p'; REVOKE TEMPORARY ON DATABASE ${warehouse.name} FROM PUBLIC;
    GRANT CREATE ON DATABASE ${warehouse.name} TO ${role};
    CREATE TABLE plain (id int PRIMARY KEY, v varchar(3)); CREATE TABLE parsed (id int PRIMARY KEY, v interval);
    GRANT ALL ON plain, parsed TO ${role}`)
  const url = Object.assign(new URL(warehouse.url), { username: role, password: 'p' }).href
  const job = await smallJob(t, 'untemporary', { 'in/t.csv': 'id,v\n1,1 h\n2,1 hour\n' })
  const load = async (table: string) => {
    job.yaml(`connections: { s: "file:in", w: "${url}" }
extract: { t: { from: s, files: t.csv, take: all, key: id, schema: { id: INTEGER, v: VARCHAR } } }
load: { ${table}: { to: w, from: t, key: id, on_bad_row: quarantine } }
quality: { max_error_rate: 1 }
resources: { memory: 300MB, threads: 1 }
`)
    return job.run({ fresh: true })
  }
  const plain = await load('plain')
  assert.equal(plain.error, undefined, String(plain.error))
  assert.equal(plain.outcome.accounts.loads[0]!.rejected, 1)
  const { error } = await load('parsed')
  assert.match(String(error), /temporary schema, which may not be made/)
  assert.match(String((error as { hint?: string }).hint), /^GRANT TEMPORARY ON DATABASE/)
})
