import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { EngineError } from '../../engine/errors.ts'
import { type FreshDatabase, freshPostgres, type Hooks } from '../servers.ts'
import { TARGETS } from './openTargets.ts'
import { smallJob } from './small.ts'

/** A job that loads the table `from` of a database into its table `t`, beside `u` into `v`. */
async function loading(t: Hooks, { url, query }: FreshDatabase) {
  const job = await smallJob(t, 'changed', {})
  await query('CREATE TABLE u (id int PRIMARY KEY); INSERT INTO u VALUES (1)')
  const load = async (schema: string) => {
    job.yaml(`connections: { s: "${url}", w: "${url}" }
extract: { from: { from: s, table: from_t, key: id, drift: { incompatible: evolve } }, u: { from: s, table: u } }
load: { t: { to: w, from: from, key: id, schema: ${schema} }, v: { to: w, from: u, key: id } }
resources: { memory: 300MB, threads: 1 }
`)
    return job.run({ fresh: true })
  }
  return {
    async loads(schema: string) {
      const { error } = await load(schema)
      assert.equal(error, undefined, `${error} ${(error as EngineError)?.hint}`)
    },
    /** The table is refused beforehand, and the other one is loaded; what is to be typed. */
    async refused(schema: string, message: RegExp): Promise<string> {
      const { error, outcome } = await load(schema)
      const { code, hint } = error as EngineError
      assert.equal(code, 'TARGET_INCOMPATIBLE', String(error))
      assert.match(String(error), message)
      assert.deepEqual(
        outcome.loaded.map(({ table }) => table),
        ['v'],
      )
      return hint!
    },
  }
}

test('Postgres: a column of a domain keeps it: what it is too narrow for is refused', async t => {
  const database = await freshPostgres(t)
  const { query } = database
  await query(`CREATE DOMAIN pos AS int CHECK (VALUE > 0); CREATE TABLE t (id int PRIMARY KEY, n pos);
    CREATE TABLE from_t (id int PRIMARY KEY, n bigint); INSERT INTO from_t VALUES (1, 5), (2, -5)`)
  const { refused } = await loading(t, database)
  const hint = await refused('evolve', /w\.t\.n: must become bigint, and would no longer be of the domain pos$/)
  assert.match(hint, /CREATE DOMAIN .* AS bigint.* ALTER COLUMN "n" TYPE bigint;/)
  assert.deepEqual(
    await query(
      `SELECT data_type, domain_name FROM information_schema.columns WHERE table_name = 't' AND column_name = 'n'`,
    ),
    [{ data_type: 'integer', domain_name: 'pos' }],
  )
})

test('Postgres: a column that gets another type keeps its collation, storage and compression, its default and its comment', async t => {
  const database = await freshPostgres(t)
  const { query } = database
  await query(`CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    CREATE TABLE t (id int PRIMARY KEY, c varchar(5) COLLATE folded DEFAULT 'x' UNIQUE, n numeric(4,1) DEFAULT 1);
    COMMENT ON COLUMN t.c IS 'a code'; ALTER TABLE t ALTER c SET STORAGE EXTERNAL, ALTER c SET COMPRESSION pglz, ALTER c SET STATISTICS 7, ALTER n SET STORAGE EXTERNAL;
    CREATE TABLE from_t (id int PRIMARY KEY, c varchar(5), n numeric(4,1)); INSERT INTO from_t VALUES (1, 'a', 1)`)
  const { loads } = await loading(t, database)
  await loads('apply-safe')
  await query(`ALTER TABLE from_t ALTER c TYPE varchar(10), ALTER n TYPE numeric(6,1)`)
  await loads('apply-safe')
  const kept =
    await query(`SELECT attname AS name, format_type(atttypid, atttypmod) AS type, collname AS collation, attstorage AS storage,
      attcompression AS compression, attstattarget AS statistics, pg_get_expr(adbin, adrelid) AS fallback, col_description(attrelid, attnum) AS comment
    FROM pg_attribute LEFT JOIN pg_collation l ON l.oid = attcollation LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE attrelid = 't'::regclass AND attnum > 1 ORDER BY attnum`)
  assert.deepEqual(
    kept.map(row => Object.values(row).map(String).join(' ')),
    [
      "c character varying(10) folded e p 7 'x'::character varying a code",
      'n numeric(6,1) null e  null 1 null',
    ],
  )
  await assert.rejects(query(`INSERT INTO t VALUES (2, 'A')`), /duplicate key/)
})

for (const [kind, open] of Object.entries(TARGETS))
  test(`${kind}: a column that holds more than its source ever did is widened to what both hold`, async t => {
    const job = await smallJob(t, `both_${kind}`, {})
    const { url, query } = await open(t, job.home)
    mkdirSync(join(job.folder, 'in'))
    const night = async (type: string, rows: string, schema = 'apply-safe') => {
      writeFileSync(join(job.folder, 'in/t.csv'), `id,d\n${rows}\n`)
      job.yaml(`connections: { s: "file:in", w: "${url}" }
extract: { t: { from: s, files: t.csv, take: all, key: id, schema: { id: BIGINT, d: "${type}" } } }
load: { t: { to: w, from: t, key: id, schema: ${schema} } }
resources: { memory: 300MB, threads: 1 }
`)
      return job.run({ fresh: true })
    }
    const loads = async (type: string, rows: string) => {
      const { error } = await night(type, rows)
      assert.equal(error, undefined, `${error} ${(error as EngineError)?.hint}`)
    }
    await loads('DECIMAL(12,2)', '1,9999999.99')
    await loads('DECIMAL(5,2)', '2,1.25')
    await loads('DECIMAL(8,3)', '2,12345.678')
    const values = async () =>
      (await query('SELECT id, d FROM t ORDER BY id')).map(({ id, d }) => `${id} ${Number(d)}`)
    assert.deepEqual(await values(), ['1 9999999.99', '2 12345.678'])
    if (kind === 'lake') return
    const hint = ((await night('DECIMAL(9,5)', '2,1.00001', 'manual')).error as EngineError).hint!
    await query(/(ALTER TABLE .*?;)/.exec(hint)![1]!)
    await loads('DECIMAL(9,5)', '2,1.00001')
    assert.deepEqual(await values(), ['1 9999999.99', '2 1.00001'])
  })

test('Postgres: a column that a view, a CHECK or a key stands on is refused beforehand where the server would not change it', async t => {
  const database = await freshPostgres(t)
  const { query } = database
  await query(`CREATE TABLE t (id int PRIMARY KEY, n int, k int CHECK (k > 0)); CREATE VIEW seen AS SELECT n FROM t;
    CREATE TABLE from_t (id int PRIMARY KEY, n bigint, k bigint); INSERT INTO from_t VALUES (1, 5000000000, 5000000000)`)
  const { loads, refused } = await loading(t, database)
  const hint = await refused(
    'evolve',
    /w\.t\.n: must become bigint, and the server changes no column under view seen$/,
  )
  assert.match(hint, /drop view seen, ALTER TABLE "t" ALTER COLUMN "n" TYPE bigint; and make it again/)
  await query('DROP VIEW seen')
  await loads('evolve')
  await query(`ALTER TABLE from_t ALTER k TYPE text`)
  assert.match(
    await refused('evolve', /w\.t\.k: must become text.*constraint t_k_check/),
    /drop constraint t_k_check/,
  )
})

test('Postgres: what a hint has typed gives the column a type that takes what comes, by its domain of a domain, too', async t => {
  const database = await freshPostgres(t)
  const { query } = database
  await query(`CREATE DOMAIN word AS text; CREATE DOMAIN short AS word CHECK (length(VALUE) < 5);
    CREATE TABLE t (id int PRIMARY KEY, n int, b short NOT NULL);
    CREATE TABLE from_t (id int PRIMARY KEY, n boolean, b text); INSERT INTO from_t VALUES (1, true, 'abcd')`)
  const { loads, refused } = await loading(t, database)
  const hint = await refused('manual', /w\.t\.n: BOOLEAN does not fit integer exactly$/)
  await query(/(ALTER TABLE .*?;)/.exec(hint)![1]!)
  await loads('manual')
  assert.deepEqual(await query('SELECT n, b FROM t'), [{ n: 'true', b: 'abcd' }])
})
