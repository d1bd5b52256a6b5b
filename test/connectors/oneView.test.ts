import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { mysql } from '../../src/connectors/mysql/index.ts'
import { postgres } from '../../src/connectors/postgres/index.ts'
import { extractTables } from '../extraction.ts'
import { type FreshDatabase, freshMariadb, freshPostgres } from '../servers.ts'

const CASES = [
  ['postgres', freshPostgres, postgres, (count: number) => `generate_series(1, ${count}) AS g(seq)`],
  ['mysql', freshMariadb, mysql, (count: number) => `seq_1_to_${count}`],
] as const

const ROWS = 20_000

/** Moves money between rows, and adds and deletes rows worth nothing, until told to stop. */
async function trade(db: FreshDatabase, signal: AbortSignal): Promise<number> {
  let trades = 0
  for (; !signal.aborted; trades++) {
    const [from, to] = [1, 31].map(factor => (((trades * 7919 * factor) % ROWS) + 1) * 3)
    const other = 1_000_000 + (trades % 500)
    await db.query(`BEGIN; UPDATE accounts SET balance = balance - 7 WHERE id = ${from};
      UPDATE accounts SET balance = balance + 7 WHERE id = ${to};
      UPDATE bank SET trades = trades + 1;
      DELETE FROM accounts WHERE id = ${other}; INSERT INTO accounts VALUES (${other + 1}, 0, 'new')
      ${db.url.startsWith('mysql') ? 'ON DUPLICATE KEY UPDATE note = note' : 'ON CONFLICT DO NOTHING'}; COMMIT`)
    await delay(0)
  }
  return trades
}

for (const [name, fresh, connector, numbers] of CASES)
  test(`${name}: while rows trade with each other, every extract is of one moment`, async t => {
    const db = await fresh(t)
    await db.query(`CREATE TABLE accounts (id int PRIMARY KEY, balance int, note varchar(100));
      INSERT INTO accounts SELECT seq * 3, 100, repeat('n', 60) FROM ${numbers(ROWS)};
      CREATE TABLE bank (id int PRIMARY KEY, trades int); INSERT INTO bank VALUES (1, 0)`)
    const closing = new AbortController()
    const trades = trade(db, closing.signal)
    try {
      for (let round = 0; round < 3; round++) {
        const source = connector.source!({ url: db.url }, { name: 'db', baseDir: '.' })
        const settings = { tables: ['accounts', 'bank'], lanes: 3, least: 500, most: 3000 }
        const [sum] = await extractTables(source, settings, ({ query, notes }) => {
          assert.deepEqual(notes, [])
          return query(`SELECT sum(balance)::INT AS money, count(*) FILTER (id <= ${ROWS * 3})::INT AS rows,
            (count(*) - count(DISTINCT id))::INT AS doubled FROM accounts`)
        })
        assert.deepEqual(sum, { money: ROWS * 100, rows: ROWS, doubled: 0 })
      }
    } finally {
      closing.abort()
    }
    assert.ok((await trades) > 10)
  })

for (const [name, fresh, connector, numbers] of CASES)
  test(`${name}: where the server has no room for all lanes, fewer read, and it is said once`, async t => {
    const db = await fresh(t)
    const user = `few_${db.name.slice(-8)}`
    const grant =
      name === 'postgres'
        ? `CREATE ROLE ${user} LOGIN PASSWORD 'pw' CONNECTION LIMIT 3; GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${user}`
        : `CREATE USER ${user}@'%' IDENTIFIED BY 'pw' WITH MAX_USER_CONNECTIONS 3;
           GRANT SELECT ON ${db.name}.* TO ${user}@'%'; GRANT RELOAD ON *.* TO ${user}@'%'`
    await db.query(
      `CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT seq FROM ${numbers(5000)}; ${grant}`,
    )
    const url = new URL(db.url)
    url.username = user
    url.password = 'pw'
    try {
      const source = connector.source!({ url: url.href }, { name: 'db', baseDir: '.' })
      await extractTables(
        source,
        { tables: ['t'], lanes: 6, least: 100, most: 500 },
        ({ extracted, notes }) => {
          assert.equal(extracted[0]!.rows, 5000)
          assert.equal(notes.length, 1)
          assert.match(notes[0]!, /^db: 2 of 6 lanes: /)
        },
      )
      // The last connection goes to the one that holds the view, and none is left for a lane.
      await db.query(
        name === 'postgres'
          ? `ALTER ROLE ${user} CONNECTION LIMIT 1`
          : `ALTER USER ${user}@'%' WITH MAX_USER_CONNECTIONS 1`,
      )
      await assert.rejects(
        extractTables(source, { tables: ['t'], lanes: 2, least: 100, most: 500 }, () => {}),
        { code: 'RESOURCE_EXHAUSTED' },
      )
    } finally {
      await db.query(
        name === 'postgres' ? `DROP OWNED BY ${user}; DROP ROLE ${user}` : `DROP USER ${user}@'%'`,
      )
    }
  })
