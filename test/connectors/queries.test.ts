/** A query in place of a table, and other names for columns: the same types and values as the table's own, in each database. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { Source } from '../../engine/contracts/source.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { MysqlSource } from '../../src/connectors/mysql/source.ts'
import { PostgresSource } from '../../src/connectors/postgres/source.ts'
import { commandLine } from '../commandLine.ts'
import { freshMariadb, freshPostgres } from '../servers.ts'

const [postgres, mariadb] = [await freshPostgres(), await freshMariadb()]
const root = mkdtempSync(join(tmpdir(), 'nightfreight-queries-'))
after(() => rmSync(root, { recursive: true }))
const { signal } = new AbortController()

const TYPES = {
  postgres: `smallint, integer, bigint, numeric, numeric(10,2), numeric(60,3), real, double precision, money, boolean, text, varchar(9), char(3),
    bytea, date, time, timetz, timestamp, timestamptz, timestamp(3), interval, uuid, json, jsonb, xml, inet, bit(3), varbit(9), point,
    integer[], text[][], int4range, tsvector, oid, mood, whole, pair, mood[]`,
  mysql: `tinyint, tinyint(1), tinyint unsigned, smallint, smallint unsigned, mediumint, mediumint unsigned, int, int unsigned, bigint,
    bigint unsigned, decimal(10,2), decimal(10,2) unsigned, decimal(38,0), decimal(65,30), float, float(7,3), double, bit(1), bit(64), year, date,
    datetime, datetime(6), timestamp NULL, time(3), char(3), varchar(9), text, longtext, varchar(9) character set latin1,
    varchar(9) character set latin2, text character set ucs2, varchar(9) character set ascii, binary(4), varbinary(9), blob, longblob,
    enum('a','b'), set('a','b'), json, geometry`,
}
const natives = (list: string) => list.split(/,(?![^(]*\))\s*/).map(type => type.trim())

for (const [kind, database, source] of [
  ['postgres', postgres, new PostgresSource({ name: 'db', url: postgres.url })],
  ['mysql', mariadb, new MysqlSource({ name: 'db', url: mariadb.url })],
] as const) {
  test(`${kind}: a query has the types that its table has`, async () => {
    if (kind === 'postgres')
      await database.query(`CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN whole AS integer CHECK (value > 0);
        CREATE TYPE pair AS (a integer, b text)`)
    const columns = natives(TYPES[kind]).map((native, index) => `c${index} ${native}`)
    await database.query(`CREATE TABLE every_type (id int PRIMARY KEY, ${columns.join(', ')})`)
    const described = async (options: object) =>
      (
        await (source as Source).describe({ name: 't', from: 'db', key: [], columns: {}, options }, signal)
      ).columns.map(
        ({ name, type, duck, written, wire, inexact, policy, notation }) =>
          [name, { type, duck, written, wire, inexact, policy, notation }] as const,
      )
    assert.deepEqual(
      await described({ query: 'SELECT * FROM every_type -- all' }),
      await described({ table: 'every_type' }),
    )
  })

  test(`${kind}: what a query gives is loaded, night by night, under the names that the job gives`, async () => {
    await database.query(`CREATE TABLE sold (id int PRIMARY KEY, shop varchar(9), price decimal(9,2), changed int);
      INSERT INTO sold VALUES (1, 'a', 1.50, 1), (2, 'a', 2.25, 2), (3, 'b', 10, 3)`)
    const [home, folder, file] = [join(root, kind), join(root, `${kind}-job`), join(root, `${kind}.duckdb`)]
    mkdirSync(folder)
    const job = (orders: string) =>
      writeFileSync(
        join(folder, 'job.yaml'),
        `job: queries
connections: { db: "${database.url}", dw: "duckdb:${file}" }
extract:
  totals:
    from: db
    key: shop
    query: |
      SELECT shop, sum(price) AS total, count(*) AS "sales" FROM sold GROUP BY shop;
  orders: { from: db, table: sold, rename: { id: order_id, changed: version }, incremental: { column: version, find_deletes: true }, ${orders} }
load:
  totals: { to: dw, from: totals, mode: replace, guard: { max_delete_share: 1 } }
  orders: { to: dw, from: orders, key: order_id, deletes: hard, guard: { max_delete_share: 1 } }
`.replace('"sales"', kind === 'mysql' ? '`sales`' : '"sales"'),
      )
    const night = () => commandLine(home, ['run', folder])
    const good = async () => {
      const { code, err } = await night()
      assert.equal(code, 0, err)
    }
    const rows = async (sql: string) => {
      const duck = await Duck.open({ path: file })
      try {
        return (await duck.rows(sql)).map(row => Object.values(row).map(String))
      } finally {
        duck.close()
      }
    }
    job('omit: price')
    await good()
    assert.deepEqual(await rows('FROM totals ORDER BY shop'), [
      ['a', '3.75', '2'],
      ['b', '10.00', '1'],
    ])
    await database.query(
      "UPDATE sold SET shop = 'c', changed = 4 WHERE id = 2; DELETE FROM sold WHERE id = 3",
    )
    await good()
    assert.deepEqual(await rows('FROM totals ORDER BY shop'), [
      ['a', '1.50', '1'],
      ['c', '2.25', '1'],
    ])
    assert.deepEqual(await rows('SELECT order_id, shop, version FROM orders ORDER BY 1'), [
      ['1', 'a', '1'],
      ['2', 'c', '4'],
    ])
    job('omit: price, query: "SELECT 1"')
    const { code, err } = await night()
    assert.equal(code, 2, err)
    assert.match(err, /extract\.orders\.query: either table or query/)
  })

  test(`${kind}: a query that cannot be is said before a row is read; copy takes one`, async () => {
    const copy = (...flags: string[]) =>
      commandLine(join(root, `${kind}-copy`), [
        'copy',
        database.url,
        `duckdb:${join(root, `${kind}-copy.duckdb`)}`,
        ...flags,
      ])
    for (const [flags, message] of [
      [
        ['--query', 'SELECT nothing FROM every_type', '--as', 't'],
        /CONFIG_INVALID: extract\.t\.query: .*nothing[\s\S]*hint: It is one SELECT/,
      ],
      [['--query', 'DELETE FROM every_type', '--as', 't'], /CONFIG_INVALID: extract\.t\.query: /],
      [
        ['--query', 'SELECT 1 AS a, 2 AS A', '--as', 't'],
        /its query gives two columns called A|Duplicate column name/i,
      ],
      [['--query', 'SELECT 1 AS a'], /--query needs a name[\s\S]*--as paid_orders/],
      [['--as', 'b'], /--as goes with --query/],
      [['--query', 'SELECT 1 AS a', '--as', 'b', '--tables', 'x'], /--query is in place of tables/],
    ] as const) {
      const { code, err } = await copy(...flags)
      assert.equal(code, 2, err)
      assert.match(err, message)
    }
    const { code, out, err } = await copy(
      '--query',
      'SELECT id, price FROM sold WHERE id = 1;',
      '--as',
      'one',
      '--key',
      'id',
    )
    assert.equal(code, 0, err)
    assert.match(out, /target\.one +1 +1 /)
  })
}
