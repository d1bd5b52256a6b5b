import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mysql } from '../../src/connectors/mysql/index.ts'
import { postgres } from '../../src/connectors/postgres/index.ts'
import { extractTables } from '../extraction.ts'
import { freshMariadb, freshPostgres } from '../servers.ts'

const CASES = [
  ['postgres', freshPostgres, postgres, (count: number) => `generate_series(1, ${count}) AS g(seq)`],
  ['mysql', freshMariadb, mysql, (count: number) => `seq_1_to_${count}`],
] as const
const MIB = 1 << 20

for (const [name, fresh, connector, numbers] of CASES) {
  const read = (url: string) => connector.source!({ url }, { name: 'db', baseDir: '.' })

  test(`${name}: empty tables, tables of one row, and as many columns as fit`, async t => {
    const db = await fresh(t)
    // InnoDB holds no more than 1,017.
    const count = name === 'postgres' ? 1500 : 1000
    const columns = Array.from({ length: count }, (_, index) => `c${index}`)
    await db.query(`CREATE TABLE none (id int PRIMARY KEY); CREATE TABLE one (id int PRIMARY KEY, v varchar(9));
      INSERT INTO one VALUES (7, 'x'); CREATE TABLE bare (v varchar(9));
      CREATE TABLE wide (id int PRIMARY KEY, ${columns.map(column => `${column} int`).join(', ')});
      INSERT INTO wide SELECT seq, ${columns.map((_, index) => `seq + ${index}`).join(', ')} FROM ${numbers(300)}`)
    const settings = { tables: ['none', 'one', 'bare', 'wide'], lanes: 3, least: 50, most: 100, batch: MIB }
    await extractTables(read(db.url), settings, async ({ extracted, query }) => {
      assert.deepEqual(
        extracted.map(({ rows }) => rows),
        [0, 1, 0, 300],
      )
      assert.deepEqual(await query('SELECT id, v FROM one'), [{ id: 7, v: 'x' }])
      const sums = await query(`SELECT sum(c0)::INT AS first, sum(c${count - 1})::INT AS last FROM wide`)
      assert.deepEqual(sums, [{ first: 45150, last: 45150 + 300 * (count - 1) }])
    })
  })

  test(`${name}: values of 16 MiB, several in a row, far beyond the bytes of a batch`, async t => {
    const admin = await fresh(t)
    const bytes = name === 'postgres' ? 'bytea' : 'longblob'
    const value = (letter: string) =>
      name === 'postgres'
        ? `convert_to(repeat('${letter}', ${16 * MIB}), 'UTF8')`
        : `repeat('${letter}', ${16 * MIB})`
    await admin.query(`CREATE TABLE heavy (id int PRIMARY KEY, a ${bytes}, b ${bytes}, v varchar(9))`)
    await admin.query(`INSERT INTO heavy SELECT seq, NULL, NULL, 'v' FROM ${numbers(40)}`)
    // Statement by statement, because the server's longest packet is about as long as one value.
    for (const id of [3, 4, 30]) {
      await admin.query(`UPDATE heavy SET a = ${value('a')} WHERE id = ${id}`)
      await admin.query(`UPDATE heavy SET b = ${value('b')} WHERE id = ${id}`)
    }
    const before = process.memoryUsage.rss()
    const settings = { tables: ['heavy'], lanes: 2, least: 4, most: 8, batch: MIB }
    await extractTables(read(admin.url), settings, async ({ extracted, query }) => {
      assert.equal(extracted[0]!.rows, 40)
      const rows = await query(
        `SELECT id, octet_length(a)::INT AS a, octet_length(b)::INT AS b FROM heavy WHERE a IS NOT NULL ORDER BY id`,
      )
      assert.deepEqual(
        rows,
        [3, 4, 30].map(id => ({ id, a: 16 * MIB, b: 16 * MIB })),
      )
    })
    // Two lanes, each with a row of 32 MiB: as it came, in a batch, and encoded.
    const grown = (process.memoryUsage.rss() - before) / MIB
    assert.ok(grown < 700, `${Math.round(grown)} MiB`)
  })
}
