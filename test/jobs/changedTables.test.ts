import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { EngineError } from '../../engine/errors.ts'
import { MysqlSource } from '../../src/connectors/mysql/source.ts'
import { type FreshDatabase, freshMariadb, freshPostgres, type Hooks } from '../servers.ts'
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
    async fails(schema: string) {
      return (await load(schema)).error as EngineError
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
  const hint = await refused(
    'evolve',
    /w\.t\.n: must become bigint, and would no longer be of the domain pos$/,
  )
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

test('Postgres: a column whose domain asks for a value, and that none is loaded for, is refused', async t => {
  const database = await freshPostgres(t)
  await database.query(`CREATE DOMAIN given AS int NOT NULL; CREATE TABLE t (id int PRIMARY KEY, n given);
    CREATE TABLE from_t (id int PRIMARY KEY); INSERT INTO from_t VALUES (1)`)
  const { refused } = await loading(t, database)
  assert.equal(
    await refused('evolve', /w\.t\.n: must have a value, and none is loaded$/),
    'Add n to from, or give it a default.',
  )
})

for (const [kind, open, own, coming, value] of [
  ['Postgres', freshPostgres, 'int GENERATED BY DEFAULT AS IDENTITY', 'numeric(6,2)', '1.25'],
  ['MariaDB', freshMariadb, 'datetime ON UPDATE now()', 'varchar(9)', "'soon'"],
] as const)
  test(`${kind}: a change that the server alone knows to refuse says which, and what to do`, async t => {
    const database = await open(t)
    const { query } = database
    await query(`CREATE TABLE t (id int PRIMARY KEY, n ${own}); CREATE TABLE from_t (id int PRIMARY KEY, n ${coming});
      INSERT INTO from_t VALUES (1, ${value})`)
    const { fails } = await loading(t, database)
    const { code, hint } = await fails('evolve')
    assert.equal(code, 'TARGET_INCOMPATIBLE')
    assert.match(hint!, /^Nothing was loaded\. The table does not allow ALTER TABLE .*; Change it by hand/)
  })

/** The columns of a table but its first, as the server writes them. */
async function written({ query }: FreshDatabase, table: string): Promise<string[]> {
  const [shown] = await query<{ 'Create Table': string }>(`SHOW CREATE TABLE ${table}`)
  const lines = shown!['Create Table'].split('\n').filter(line => line.startsWith('  `'))
  return lines.slice(1).map(line => line.trim().replace(/,$/, ''))
}

test('MariaDB: a text that gets longer keeps its character set, its compression and all else that it has', async t => {
  const database = await freshMariadb(t)
  const { query } = database
  await query(`CREATE TABLE t (id int PRIMARY KEY,
      c varchar(5) COLLATE utf8mb4_bin NOT NULL DEFAULT 'a b' COMMENT 'it''s' CHECK (c <> 'x'), d varchar(5) COMPRESSED INVISIBLE) CHARACTER SET utf8mb4;
    CREATE TABLE from_t (id int PRIMARY KEY, c varchar(5) NOT NULL, d varchar(5) COMPRESSED) CHARACTER SET latin1; INSERT INTO from_t VALUES (1, 'a', 'b')`)
  const { loads } = await loading(t, database)
  await loads('apply-safe')
  await query('ALTER TABLE from_t MODIFY c varchar(10) NOT NULL, MODIFY d varchar(10) COMPRESSED')
  const before = await written(database, 't')
  await loads('apply-safe')
  assert.deepEqual(
    await written(database, 't'),
    before.map(line => line.replace('varchar(5)', 'varchar(10)')),
  )
})

test('MariaDB: under evolve a number that is too narrow becomes a wider one, and one of its own type stays', async t => {
  const database = await freshMariadb(t)
  const { query } = database
  await query(`CREATE TABLE t (id int PRIMARY KEY, a tinyint, b int unsigned, c mediumint, d decimal(4,2), e float, f datetime, g date, h mediumint);
    CREATE TABLE from_t (id int PRIMARY KEY, a int, b bigint, c mediumint, d decimal(6,1), e double, f datetime(6), g datetime(6), h int);
    INSERT INTO from_t VALUES (1, 70000, -1, 7, 12345.5, 0.1, '2026-01-31 01:02:03.5', '2026-01-31 01:02:03', 9000000)`)
  const { loads } = await loading(t, database)
  await loads('evolve')
  const types = (await written(database, 't')).map(line =>
    line
      .split(' ')
      .slice(1)
      .join(' ')
      .replace(/ (DEFAULT )?NULL.*/, ''),
  )
  assert.deepEqual(types, [
    'int(11)',
    'bigint(20)',
    'mediumint(9)',
    'decimal(7,2)',
    'double',
    'datetime(6)',
    'datetime(6)',
    'int(11)',
  ])
  assert.deepEqual(await query('SELECT a, b, c, d, e, h FROM t'), [
    { a: 70000, b: '-1', c: 7, d: '12345.50', e: 0.1, h: 9000000 },
  ])
})

test('MariaDB: a table that keeps its history is loaded by its key, and what it lacks is refused with what to type', async t => {
  const database = await freshMariadb(t)
  const { query } = database
  await query(`CREATE TABLE t (id int PRIMARY KEY, n int UNIQUE, since timestamp(6) GENERATED ALWAYS AS ROW START, till timestamp(6) GENERATED ALWAYS AS ROW END,
      PERIOD FOR SYSTEM_TIME (since, till)) WITH SYSTEM VERSIONING;
    CREATE TABLE from_t (id int PRIMARY KEY, n int); INSERT INTO from_t VALUES (1, 1), (2, 2)`)
  const { loads, refused } = await loading(t, database)
  await loads('apply-safe')
  await query('UPDATE from_t SET n = 3 WHERE id = 2')
  await loads('apply-safe')
  assert.deepEqual(await query('SELECT id, n FROM t FOR SYSTEM_TIME ALL ORDER BY since, id'), [
    { id: 1, n: 1 },
    { id: 2, n: 2 },
    { id: 2, n: 3 },
  ])
  await query('ALTER TABLE from_t ADD x int')
  const hint = await refused('apply-safe', /w\.t: keeps its history/)
  await query(/(SET .*?; .*?;)/.exec(hint)![1]!)
  await loads('apply-safe')
  const listed = await new MysqlSource({ name: 's', url: database.url }).tables(AbortSignal.timeout(60_000))
  assert.deepEqual(listed.find(({ name }) => name === 't')!.key, ['id'])
})

test('MariaDB: a number in an index that would have to become a text is refused beforehand; what the hint has typed takes it', async t => {
  const database = await freshMariadb(t)
  const { query } = database
  await query(`CREATE TABLE t (id int PRIMARY KEY, n int, KEY (n));
    CREATE TABLE from_t (id int PRIMARY KEY, n varchar(9)); INSERT INTO from_t VALUES (1, 'seven')`)
  const { loads, refused } = await loading(t, database)
  const hint = await refused('evolve', /w\.t\.n: must become a text, and no index holds that/)
  const typed = /(ALTER TABLE .*?;)/.exec(hint)![1]!
  assert.ok((await refused('manual', /w\.t\.n: VARCHAR does not fit/)).includes(typed))
  await query(typed)
  await loads('evolve')
  assert.deepEqual(await query('SELECT n FROM t'), [{ n: 'seven' }])
})

test('MariaDB: a text in an index that would have to be longer than that holds is refused beforehand; what the hint has typed takes it', async t => {
  const database = await freshMariadb(t)
  const { query } = database
  await query(`CREATE TABLE t (id int PRIMARY KEY, c varchar(9) CHARACTER SET latin1, KEY (c));
    CREATE TABLE from_t (id int PRIMARY KEY, c varchar(9) CHARACTER SET latin1); INSERT INTO from_t VALUES (1, 'a')`)
  const { loads, refused } = await loading(t, database)
  await loads('apply-safe')
  await query('ALTER TABLE from_t MODIFY c varchar(4000) CHARACTER SET latin1')
  const before = await written(database, 't')
  await refused('apply-safe', /w\.t\.c: must become varchar\(4000\), and no index holds that/)
  await query('ALTER TABLE from_t MODIFY c text CHARACTER SET latin1')
  const hint = await refused('apply-safe', /w\.t\.c: must become text, and no index holds that/)
  assert.deepEqual(await written(database, 't'), before)
  await query(/(ALTER TABLE .*?;)/.exec(hint)![1]!)
  await loads('apply-safe')
  assert.deepEqual(
    await written(database, 't'),
    before.map(line => line.replace('varchar(9)', 'varchar(3072)')),
  )
})

test('DuckDB: a table that is written anew keeps collations, comments and indexes; one that cannot be is refused beforehand', async t => {
  const job = await smallJob(t, 'duck', {
    'in/t.csv': 'id,code,n\n1,a,70000\n',
    'in/v.csv': 'id,n\n1,70000\n',
  })
  const { url, query } = await TARGETS.duckdb(t, job.home)
  job.yaml(`connections: { s: "file:in", w: "${url}" }
defaults: { load: { schema: evolve } }
extract:
  t: { from: s, files: t.csv, take: all, key: id, schema: { id: BIGINT, code: VARCHAR, n: INTEGER } }
  v: { from: s, files: v.csv, take: all, key: id, schema: { id: BIGINT, n: INTEGER } }
load: { t: { to: w, from: t, key: id }, c: { to: w, from: v, key: id }, p: { to: w, from: v, key: id } }
resources: { memory: 300MB, threads: 1 }
`)
  for (const sql of [
    'CREATE TABLE t (id BIGINT PRIMARY KEY, code VARCHAR COLLATE nocase, n SMALLINT, "the x" VARCHAR COLLATE noaccent)',
    'CREATE INDEX by_x ON t ("the x")',
    "COMMENT ON TABLE t IS 'a table'",
    "COMMENT ON COLUMN t.n IS 'it''s a number'",
    "COMMENT ON INDEX by_x IS 'an index'",
    'CREATE TABLE c (id BIGINT PRIMARY KEY, n SMALLINT, next BIGINT AS (n + 1))',
    'CREATE TABLE p (id BIGINT PRIMARY KEY, n SMALLINT)',
    'CREATE TABLE child (id BIGINT REFERENCES p (id))',
  ])
    await query(sql)
  const { error, outcome } = await job.run()
  assert.deepEqual(
    outcome.loaded.map(({ table }) => table),
    ['t'],
  )
  assert.match(String(error), /w\.c: n cannot be changed beside its key, indexes and constraints/)
  assert.match(String(error), /w\.p: n cannot be changed while child refers to the table/)
  assert.deepEqual(await query("SELECT sql, comment FROM duckdb_tables() WHERE table_name = 't'"), [
    {
      sql: 'CREATE TABLE t(id BIGINT, code VARCHAR COLLATE nocase, n INTEGER, "the x" VARCHAR COLLATE noaccent, PRIMARY KEY(id));',
      comment: 'a table',
    },
  ])
  assert.deepEqual(
    await query("SELECT comment FROM duckdb_columns() WHERE table_name = 't' AND column_name = 'n'"),
    [{ comment: "it's a number" }],
  )
  assert.deepEqual(await query("SELECT comment FROM duckdb_indexes() WHERE index_name = 'by_x'"), [
    { comment: 'an index' },
  ])
})
