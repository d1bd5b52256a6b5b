import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Duck } from '../../engine/sql/duckdb.ts'
import type { ErrorRecord } from '../../src/metadata/errorRecords.ts'
import { type FreshDatabase, freshMariadb, freshPostgres } from '../servers.ts'
import { smallJob } from './small.ts'

const source = await freshPostgres()
const mariadb = await freshMariadb()

interface Kind {
  name: string
  warehouse: FreshDatabase
  /** The target's table, its parent, and one row that it holds. */
  setup: string
  /** What each bad row is refused for, by its id. */
  reasons: Record<string, RegExp>
  staged: string
}

const KINDS: Kind[] = [
  {
    name: 'postgres',
    warehouse: source,
    setup: `CREATE TABLE parent (p int PRIMARY KEY); INSERT INTO parent VALUES (1);
      CREATE TABLE taken (id int PRIMARY KEY, name varchar(3) NOT NULL, n smallint CONSTRAINT positive CHECK (n > 0), d numeric(5,3),
        u uuid, p int CONSTRAINT up REFERENCES parent); INSERT INTO taken VALUES (0, 'old', 1, 1, NULL, 1)`,
    reasons: {
      2: /^name: 'long' does not fit character varying\(3\)$/,
      3: /^n: '40000' does not fit smallint$/,
      4: /^d: '100\.000' does not fit numeric\(5,3\)$/,
      5: /^u: 'none' does not fit uuid$/,
      6: /^name: may not be NULL$/,
      7: /^n '-5' violates positive: CHECK \(\(n > 0\)\)$/,
      8: /^p '3' violates up: FOREIGN KEY \(p\) REFERENCES parent\(p\)$/,
      9: /^name: holds a NUL byte/,
    },
    staged: "SELECT 1 FROM pg_class WHERE relname LIKE 'stg%'",
  },
  {
    name: 'mysql',
    warehouse: mariadb,
    setup: `CREATE TABLE parent (p int PRIMARY KEY); INSERT INTO parent VALUES (1);
      CREATE TABLE taken (id int PRIMARY KEY, name varchar(3) NOT NULL, n smallint, d decimal(5,3), u enum('one', 'two'), p int,
        CONSTRAINT positive CHECK (n > 0), CONSTRAINT up FOREIGN KEY (p) REFERENCES parent (p)) CHARACTER SET latin1;
      INSERT INTO taken VALUES (0, 'old', 1, 1, NULL, 1)`,
    reasons: {
      2: /^name: 'long' does not fit varchar\(3\)$/,
      3: /^n: '40000' does not fit smallint/,
      4: /^d: '100\.000' does not fit decimal\(5,3\)$/,
      5: /^u: 'none' does not fit enum\('one','two'\)$/,
      6: /^name: may not be NULL$/,
      7: /^n '-5' violates positive: CHECK \(`n` > 0\)$/,
      8: /^p '3' violates up: not in `parent`$/,
      9: /^name: 'ж.*' does not fit varchar\(3\)$/,
    },
    staged: String.raw`SHOW TABLES LIKE 'nightfreight\_stg\_%'`,
  },
]

for (const { name, warehouse, setup, reasons, staged } of KINDS)
  test(`${name}: rows that the table would refuse go to the quarantine with the reason, the others are loaded`, async () => {
    await source.query(`CREATE TABLE given_${name} (id int PRIMARY KEY, name text, n int, d numeric(9,3), u text, p int);
      INSERT INTO given_${name} VALUES (1, 'ok', 1, 1, NULL, 1), (2, 'long', 1, 1, NULL, 1), (3, 'a', 40000, 1, NULL, 1),
        (4, 'a', 1, 100, NULL, 1), (5, 'a', 1, 1, 'none', 1), (6, NULL, 1, 1, NULL, 1), (7, 'a', -5, 1, NULL, 1),
        (8, 'a', 1, 1, NULL, 3), (9, 'x', 1, 1, NULL, 1), (10, 'ok', NULL, NULL, NULL, NULL)`)
    await warehouse.query(setup)
    const yaml = (onBadRow: string) => `connections: { from: "${source.url}", to: "${warehouse.url}" }
extract: { given: { from: from, table: given_${name}, key: id } }
load: { taken: { to: to, from: out, key: id, deletes: hard, on_bad_row: ${onBadRow}, guard: { max_delete_share: 1 } } }
quality: { max_error_rate: 0.9 }
resources: { memory: 300MB, threads: 1 }
`
    const bad = name === 'postgres' ? 'chr(0)' : 'chr(1078)'
    const {
      run,
      yaml: write,
      metadata,
    } = await smallJob({ after }, `fit_${name}`, {
      'job.yaml': yaml('fail'),
      'out.sql': `SELECT * REPLACE (if(id = 9, ${bad}, name) AS name, d::DECIMAL(9,3) AS d) FROM given`,
    })
    const ids = async () =>
      (await warehouse.query<{ id: number }>('SELECT id FROM taken ORDER BY id')).map(({ id }) => id)

    const failed = await run()
    assert.equal(failed.status, 'FAILED')
    assert.deepEqual(await ids(), [0])
    assert.deepEqual(await warehouse.query(staged), [])

    write(yaml('quarantine'))
    const first = await run({ fresh: true })
    assert.equal(first.error, undefined)
    assert.equal(first.status, 'COMPLETED_WITH_ERRORS')
    assert.deepEqual(await ids(), [1, 10])
    const records = async () =>
      (await metadata.errors.list({ limit: 100 }))
        .filter(({ state }) => state === 'open')
        .map(({ record, reason }: ErrorRecord): [string, string] => [record.id!, reason])
    const found = await records()
    assert.deepEqual(found.map(([id]) => id).sort(), Object.keys(reasons))
    for (const [id, reason] of found) assert.match(reason, reasons[id]!)
    assert.equal(first.outcome.quality.errorRate, 0.8)
    assert.deepEqual(await warehouse.query(staged), [])

    // The table takes two of them by now; a row that it holds is bad tonight, and stays as it was.
    await warehouse.query('INSERT INTO parent VALUES (3)')
    await source.query(
      `UPDATE given_${name} SET n = 3 WHERE id = 3; UPDATE given_${name} SET n = -1 WHERE id = 1`,
    )
    const second = await run()
    assert.equal(second.error, undefined)
    assert.deepEqual(await ids(), [1, 3, 8, 10])
    assert.deepEqual(
      second.outcome.loaded.map(({ inserted, updated, deleted }) => [inserted, updated, deleted]),
      [[2, 0, 0]],
    )
    assert.equal(second.outcome.tables.at(-1)!.rejected, 7)
    const [kept] = await warehouse.query<{ n: number }>('SELECT n FROM taken WHERE id = 1')
    assert.equal(kept!.n, 1)
    // Nothing new: the bad rows are tried, and refused, again.
    const third = await run()
    assert.deepEqual(
      third.outcome.loaded.map(({ inserted, updated, deleted }) => [inserted, updated, deleted]),
      [[0, 0, 0]],
    )
    assert.equal(third.outcome.tables.at(-1)!.rejected, 7)
    // All are mended; and then nothing is new, bad or other.
    await source.query(
      `UPDATE given_${name} SET name = 'ok', n = 1, d = 1, u = NULL, p = 1 WHERE id <> 10; DELETE FROM given_${name} WHERE id = 9`,
    )
    for (const inserted of [5, 0, 0]) {
      const { error, status, outcome } = await run()
      assert.equal(error, undefined)
      assert.equal(status, 'SUCCESS')
      assert.equal(outcome.loaded[0]!.inserted, inserted)
    }
    assert.deepEqual(await ids(), [1, 2, 3, 4, 5, 6, 7, 8, 10])
  })

test('values that a system cannot be sent are named with their rows, whether they stop the load or go to the quarantine', async () => {
  await source.query('CREATE TABLE odd (id int PRIMARY KEY, secret text)')
  await source.query(`INSERT INTO odd SELECT i, 'who ' || i FROM generate_series(1, 9) AS i`)
  const cases: [FreshDatabase, string, RegExp][] = [
    [
      source,
      `'a' || chr(0) || 'b'`,
      /^to\.odd_out: v: holds a NUL byte, which no text of Postgres can, in 4 rows \(id = 1: "a\\u0000b"; id = 2: .*; id = 3: .* and 1 more\)$/,
    ],
    [
      source,
      `DATE '5000-01-01 (BC)'`,
      /^to\.odd_out: v: is not within the days of Postgres, .* \(id = 1: "5000-01-01 \(BC\)";/,
    ],
    [source, `TIMESTAMP '5000-01-01 (BC) 00:00:00'`, /v: is not within the days of Postgres/],
    [
      mariadb,
      `DATE '10000-01-01'`,
      /^to\.odd_out: v: is not within the years 1 to 9999, in 4 rows \(id = 1: "10000-01-01";/,
    ],
    [mariadb, `TIMESTAMPTZ '10000-01-01 00:00:00+00'`, /v: is not within the years 1 to 9999/],
    [mariadb, `'nan'::DOUBLE`, /v: is no finite number, in 4 rows \(id = 1: "nan";/],
  ]
  for (const [index, [warehouse, value, expected]] of cases.entries()) {
    const yaml = (load: string) => `connections: { from: "${source.url}", to: "${warehouse.url}" }
extract: { odd: { from: from, table: odd, key: id } }
load: { odd_out: { to: to, from: out, key: id${load} } }
quality: { max_error_rate: 0.9 }
resources: { memory: 300MB, threads: 1 }
`
    await warehouse.query('DROP TABLE IF EXISTS odd_out')
    const job = await smallJob({ after }, `odd_${index}`, {
      'job.yaml': yaml(''),
      'out.sql': `SELECT id, CASE WHEN id < 5 THEN ${value} END AS v, secret FROM odd`,
    })
    const { error } = await job.run()
    assert.equal((error as { code?: string } | undefined)?.code, 'DATA_INVALID', String(error))
    assert.match((error as Error).message, expected)
    assert.match((error as { hint?: string }).hint!, /on_bad_row: quarantine into load\.odd_out/)
    job.yaml(yaml(', on_bad_row: quarantine'))
    const mended = await job.run({ fresh: true })
    assert.equal(mended.error, undefined, String(mended.error))
    assert.deepEqual(
      await warehouse.query('SELECT id FROM odd_out ORDER BY id'),
      [5, 6, 7, 8, 9].map(id => ({ id })),
    )
  }
})

test('what a table by hand refuses is told with key and value, and with what mends it', async () => {
  await source.query(`CREATE TABLE hand (id int PRIMARY KEY, v text, n int);
    INSERT INTO hand VALUES (1, 'a', 1), (2, 'bb', 2), (3, 'ccЖ', 300)`)
  const key = 'id int PRIMARY KEY'
  const cases: [FreshDatabase, string, RegExp, RegExp][] = [
    [
      mariadb,
      `${key}, v varchar(2), n int`,
      /to\.hand_out: v: 'ccЖ' does not fit varchar\(2\) \(id '3'\)$/,
      /on_bad_row: quarantine/,
    ],
    [
      mariadb,
      `${key}, v varchar(9) CHARACTER SET latin1, n int`,
      /v: 'ccЖ' does not fit varchar\(9\) \(id '3'\)$/,
      /./,
    ],
    [
      mariadb,
      `${key}, v text, n tinyint unsigned`,
      /n: '300' does not fit tinyint\(3\) unsigned \(id '3'\)$/,
      /./,
    ],
    [
      mariadb,
      `${key}, v text, n int, CHECK (n < 2)`,
      /a row violates CONSTRAINT_1: CHECK \(`n` < 2\) \(id '2'\); 2 rows are refused so$/,
      /./,
    ],
    [
      mariadb,
      `${key}, v json, n int`,
      /a row violates v: CHECK \(json_valid\(`v`\)\) \(id '1'\); 3 rows/,
      /./,
    ],
    [
      mariadb,
      `${key}, v text, n int) PARTITION BY RANGE (id) (PARTITION a VALUES LESS THAN (3)`,
      /no partition for value 3/,
      /add a partition/,
    ],
    [source, `${key}, v text, n int) PARTITION BY RANGE (id`, /no partition of relation/, /PARTITION OF …/],
    [
      source,
      'id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text, n int',
      /hand_out\.id: the server computes it/,
      /^ALTER TABLE "hand_out" ALTER COLUMN "id" SET GENERATED BY DEFAULT;/,
    ],
    [
      source,
      `"ID" int PRIMARY KEY, "V" text, n int`,
      /^to\.hand_out: has no column id, but ID; to\.hand_out: has no column v, but V$/,
      /RENAME COLUMN "ID" TO "id"; .* rename: \{ id: ID \}/,
    ],
  ]
  for (const [index, [warehouse, columns, message, hint]] of cases.entries()) {
    await warehouse.query(`DROP TABLE IF EXISTS hand_out; CREATE TABLE hand_out (${columns})`)
    const job = await smallJob({ after }, `hand_${index}`, {
      'job.yaml': `connections: { from: "${source.url}", to: "${warehouse.url}" }
extract: { hand: { from: from, table: hand, key: id } }
load: { hand_out: { to: to, from: hand, key: id } }
resources: { memory: 300MB, threads: 1 }
`,
    })
    const { error } = await job.run()
    assert.match(String((error as Error | undefined)?.message), message, columns)
    assert.match((error as { hint?: string }).hint!, hint, columns)
  }
})

test('what a DuckDB table by hand refuses is told with table, key and value', async () => {
  await source.query(`CREATE TABLE file_hand (id int PRIMARY KEY, v text, n int);
    INSERT INTO file_hand VALUES (1, 'a', 1), (2, 'bb', 2), (3, 'ccc', 300)`)
  const key = 'id INTEGER PRIMARY KEY'
  const cases: [string, RegExp][] = [
    [`CREATE TABLE o (${key}, v VARCHAR, n TINYINT)`, /^to\.o: n: '300' does not fit TINYINT \(id '3'\)$/],
    [
      `CREATE TYPE e AS ENUM ('a'); CREATE TABLE o (${key}, v e, n INTEGER)`,
      /^to\.o: v: 'bb' does not fit ENUM\('a'\) \(id '2'\); 2 rows/,
    ],
    [
      `CREATE TABLE o (${key}, v VARCHAR, n INTEGER CHECK (n < 25))`,
      /^to\.o: n '300' violates CHECK\(\(n < 25\)\) \(id '3'\)$/,
    ],
    [
      `CREATE TABLE p (n INTEGER PRIMARY KEY); CREATE TABLE o (${key}, v VARCHAR, n INTEGER REFERENCES p (n))`,
      /^to\.o: n '1' violates FOREIGN KEY .* \(id '1'\); 3 rows/,
    ],
    [
      `CREATE TABLE o (${key}, v VARCHAR, n INTEGER UNIQUE, m INTEGER NOT NULL)`,
      /^to\.o\.m: must have a value/,
    ],
    [`CREATE VIEW o AS SELECT 1 AS id, 'a' AS v, 1 AS n`, /^to\.o: is a view$/],
  ]
  for (const [index, [made, message]] of cases.entries()) {
    const job = await smallJob({ after }, `file_${index}`, {
      'job.yaml': `connections: { from: "${source.url}", to: "duckdb:../w.duckdb" }
extract: { t: { from: from, table: file_hand, key: id } }
load: { o: { to: to, from: t, key: id } }
resources: { memory: 300MB, threads: 1 }
`,
    })
    const duck = await Duck.open({ path: join(job.home, 'w.duckdb') })
    await duck.run(made)
    duck.close()
    const { error } = await job.run()
    assert.match(String((error as Error | undefined)?.message), message, made)
    assert.ok((error as { hint?: string }).hint, made)
  }
})
