import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { type FreshDatabase, freshPostgres } from '../servers.ts'
import { smallJob } from './small.ts'

const source = await freshPostgres()
await source.query(`CREATE SCHEMA s; CREATE SCHEMA t; CREATE EXTENSION citext;
  CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`)

const rows = async (db: FreshDatabase, sql: string) => (await db.query(sql)).map(row => Object.values(row))

/** A job that loads `s.NAME` into `table`, and sends to the quarantine what that refuses. */
const judged = (name: string, table = `t.${name}`, url = source.url, onBadRow = 'quarantine') =>
  smallJob({ after }, `judged_${name}`, {
    'job.yaml': `connections: { from: "${source.url}", to: "${url}" }
extract: { ${name}: { from: from, table: s.${name}, key: id } }
load: { ${table}: { to: to, from: ${name}, key: id, on_bad_row: ${onBadRow} } }
quality: { max_error_rate: 0.9 }
resources: { memory: 300MB, threads: 1 }
`,
  })

for (const [name, type, parent, child] of [
  ['padded', 'char(5)', 'eu', 'eu'],
  ['cased', 'citext', 'EU', 'eu'],
  ['collated', 'text COLLATE folded', 'EU', 'eu'],
] as const)
  test(`postgres, ${type}: a foreign key is judged by the equality of its columns`, async () => {
    await source.query(`CREATE TABLE s.${name} (id int PRIMARY KEY, region ${type});
      INSERT INTO s.${name} VALUES (1, '${child}'), (2, 'none'), (3, NULL);
      CREATE TABLE t.parents_${name} (region ${type} PRIMARY KEY); INSERT INTO t.parents_${name} VALUES ('${parent}');
      CREATE TABLE t.${name} (id int PRIMARY KEY, region ${type} REFERENCES t.parents_${name})`)
    const { error, outcome } = await (await judged(name)).run()
    assert.equal(error, undefined, String(error))
    assert.equal(outcome.tables.at(-1)!.rejected, 1)
    assert.deepEqual(await rows(source, `SELECT id FROM t.${name} ORDER BY 1`), [[1], [3]])
  })

test('postgres: the blanks of a char(n) are no part of its length, whether bad rows stop the load or not', async () => {
  await source.query(`CREATE TABLE s.short (id int PRIMARY KEY, v char(10)); INSERT INTO s.short VALUES (1, 'ab'), (2, 'abcde');
    CREATE TABLE t.short (id int PRIMARY KEY, v char(5))`)
  for (const onBadRow of ['fail', 'quarantine']) {
    await source.query('DELETE FROM t.short')
    const job = await judged('short', 't.short', source.url, onBadRow)
    const { error, outcome } = await job.run({ fresh: true })
    assert.equal(error, undefined, String(error))
    assert.equal(outcome.tables.at(-1)!.rejected, 0)
    assert.deepEqual(await rows(source, 'SELECT id, rtrim(v) FROM t.short ORDER BY 1'), [
      [1, 'ab'],
      [2, 'abcde'],
    ])
  }
})
