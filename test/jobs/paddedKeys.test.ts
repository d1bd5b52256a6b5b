import assert from 'node:assert/strict'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Duck } from '../../engine/sql/duckdb.ts'
import { freshPostgres } from '../servers.ts'
import { smallJob } from './small.ts'

const db = await freshPostgres()
await db.query(`CREATE SCHEMA s; CREATE SCHEMA t;
  CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`)

/** A job that loads \`s.NAME\` into \`t.NAME\`; \`how\`: what its load says beside that. */
const copyOf = (name: string, key: string, how: string) =>
  smallJob({ after }, `padded_${name}`, {
    'job.yaml': `connections: { db: "${db.url}" }
extract: { ${name}: { from: db, table: s.${name}, key: ${key} } }
load: { t.${name}: { to: db, from: ${name}, key: ${key}, ${how}, guard: { max_delete_share: 0.5 } } }
quality: { max_error_rate: 0.9 }
resources: { memory: 300MB, threads: 1 }
`,
  })

const rows = (sql: string) => db.query(sql).then(found => found.map(row => Object.values(row)))

for (const [name, type, one, other] of [
  ['regions', 'char(5)', 'eu', 'us'],
  ['folded_regions', 'text COLLATE folded', 'eu', 'EU'],
] as const)
  test(`${type}: what is gone from a partition that is loaded anew leaves the table, and no other partition's rows do`, async () => {
    await db.query(`CREATE TABLE s.${name} (id int PRIMARY KEY, region ${type}, v int);
      INSERT INTO s.${name} VALUES (1, '${one}', 1), (2, '${one}', 2), (3, '${other}', 3), (4, NULL, 4), (5, NULL, 5);
      CREATE TABLE t.${name} (LIKE s.${name} INCLUDING ALL)`)
    const job = await copyOf(name, 'id', 'mode: partition, partition_by: [region]')
    assert.equal((await job.run()).error, undefined)
    await db.query(
      `DELETE FROM s.${name} WHERE id IN (2, 5); UPDATE s.${name} SET v = 10 * v WHERE id IN (3, 4)`,
    )
    const { error, outcome } = await job.run()
    assert.equal(error, undefined, String(error))
    assert.equal(outcome.loaded[0]!.deleted, 2)
    assert.deepEqual(await rows(`SELECT id, v FROM t.${name} ORDER BY id`), [
      [1, 1],
      [3, 30],
      [4, 40],
    ])
  })

for (const [name, made, how] of [
  ['by_load', '', 'deletes: hard'],
  ['by_hand', 'code char(5) PRIMARY KEY, v int', 'deletes: hard'],
  ['longer', 'code char(8) PRIMARY KEY, v int', 'deletes: hard'],
  ['with_rejects', 'code char(5) PRIMARY KEY, v int', 'deletes: hard, on_bad_row: quarantine'],
  ['replaced', 'code char(5) PRIMARY KEY, v int', 'mode: replace'],
] as const)
  test(`${name}: a char(n) key finds its rows in another char(n), whatever blanks its source sends`, async () => {
    await db.query(`CREATE TABLE s.${name} (code char(5) PRIMARY KEY, v int);
      INSERT INTO s.${name} VALUES ('a', 1), ('b', 2), ('c', 3), ('d', 4)`)
    if (made) await db.query(`CREATE TABLE t.${name} (${made})`)
    const job = await copyOf(name, 'code', how)
    assert.equal((await job.run()).error, undefined)
    await db.query(`UPDATE s.${name} SET v = 30 WHERE code = 'c'; DELETE FROM s.${name} WHERE code = 'b';
      INSERT INTO s.${name} VALUES ('e', 5)`)
    const { error, outcome } = await job.run()
    assert.equal(error, undefined, String(error))
    assert.deepEqual(
      outcome.loaded.map(({ inserted, updated, deleted }) => [inserted, updated, deleted]),
      [[1, 1, 1]],
    )
    assert.deepEqual(await rows(`SELECT rtrim(code), v FROM t.${name} ORDER BY 1`), [
      ['a', 1],
      ['c', 30],
      ['d', 4],
      ['e', 5],
    ])
    assert.equal((await job.run()).outcome.loaded[0]!.unchanged, 0)
    // Where nothing is known of the last load, all rows are compared with the table's.
    await db.query(`DELETE FROM nightfreight.sync_points WHERE job = 'padded_${name}'`)
    const whole = await job.run({ fresh: true })
    assert.equal(whole.error, undefined, String(whole.error))
    const { inserted, updated, deleted } = whole.outcome.loaded[0]!
    assert.deepEqual([inserted, updated, deleted], [0, 0, 0])
  })

test('the versions of a char(n) key are those of one row', async () => {
  await db.query(`CREATE TABLE s.versions (code char(5) PRIMARY KEY, v int);
    INSERT INTO s.versions VALUES ('a', 1), ('b', 2)`)
  const job = await copyOf('versions', 'code', 'mode: scd2')
  assert.equal((await job.run()).error, undefined)
  await db.query(`UPDATE s.versions SET v = 10 WHERE code = 'a'`)
  assert.equal((await job.run()).error, undefined)
  assert.deepEqual(
    await rows(`SELECT rtrim(code), v, valid_to IS NULL FROM t.versions ORDER BY code, valid_from`),
    [
      ['a', 1, false],
      ['a', 10, true],
      ['b', 2, true],
    ],
  )
})

test('a key of bpchar has blanks that tell nothing apart: those of the char(n) that a query made it of', async () => {
  await db.query(`CREATE TABLE s.made_of (a char(5), b char(8), v int); INSERT INTO s.made_of VALUES ('ab', NULL, 1), (NULL, 'cd', 2);
    CREATE VIEW s.of_none AS SELECT coalesce(a, b) AS code, v FROM s.made_of`)
  const job = await copyOf('of_none', 'code', 'deletes: hard')
  assert.equal((await job.run()).error, undefined)
  await db.query(`UPDATE s.made_of SET v = 10 WHERE a = 'ab'; DELETE FROM s.made_of WHERE b = 'cd'`)
  const { error, outcome } = await job.run()
  assert.equal(error, undefined, String(error))
  assert.deepEqual([outcome.loaded[0]!.updated, outcome.loaded[0]!.deleted], [1, 1])
  assert.deepEqual(await rows('SELECT rtrim(code), v FROM t.of_none'), [['ab', 10]])
})

test('a text key that ends in blanks, which a char(n) would lose, is refused with what to write, or goes to the quarantine', async () => {
  await db.query(`CREATE TABLE s.stray (code text PRIMARY KEY, v int); INSERT INTO s.stray VALUES ('a ', 1), ('b', 2);
    CREATE TABLE t.stray (code char(5) PRIMARY KEY, v int)`)
  const job = await copyOf('stray', 'code', 'mode: merge')
  const { error } = await job.run()
  const { code, message, hint } = error as Error & { code?: string; hint?: string }
  assert.equal(code, 'DATA_INVALID')
  assert.equal(message, "db.t.stray.code: 'a ' ends in blanks, which character(5) does not keep")
  assert.match(hint!, /rtrim\(code, ' '\) AS code in stray/)
  assert.match(hint!, /ALTER TABLE "t"\."stray" ALTER COLUMN "code" TYPE text;/)
  assert.deepEqual(await rows('SELECT * FROM t.stray'), [])
  const lenient = await copyOf('stray', 'code', 'mode: merge, on_bad_row: quarantine')
  const run = await lenient.run()
  assert.equal(run.error, undefined, String(run.error))
  assert.equal(run.outcome.tables.at(-1)!.rejected, 1)
  assert.deepEqual(await rows('SELECT rtrim(code), v FROM t.stray'), [['b', 2]])
})

test('duckdb, a collation: a partition that is loaded anew takes no rows of another one that its collation takes for it', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'nightfreight-folded-')), 'wh.duckdb')
  const made = await Duck.open({ path })
  await made.run('CREATE TABLE regions (id INTEGER PRIMARY KEY, region VARCHAR COLLATE NOCASE, v INTEGER)')
  made.close()
  await db.query(`CREATE TABLE s.duck_regions (id int PRIMARY KEY, region text, v int);
    INSERT INTO s.duck_regions VALUES (1, 'eu', 1), (2, 'eu', 2), (3, 'EU', 3)`)
  const job = await smallJob({ after }, 'folded_duckdb', {
    'job.yaml': `connections: { db: "${db.url}", wh: "duckdb:${path}" }
extract: { given: { from: db, table: s.duck_regions, key: id } }
load: { regions: { to: wh, from: given, key: id, mode: partition, partition_by: [region] } }
resources: { memory: 300MB, threads: 1 }
`,
  })
  assert.equal((await job.run()).error, undefined)
  await db.query('UPDATE s.duck_regions SET v = 30 WHERE id = 3')
  const { error, outcome } = await job.run()
  assert.equal(error, undefined, String(error))
  assert.equal(outcome.loaded[0]!.deleted, 0)
  const held = await Duck.open({ path })
  assert.deepEqual(
    (await held.rows('SELECT id, v FROM regions ORDER BY id')).map(row => Object.values(row)),
    [
      [1, 1],
      [2, 2],
      [3, 30],
    ],
  )
  held.close()
})
