import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { Source } from '../../engine/contracts/source.ts'
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

const POSTGRES_SWAPS: [what: string, made: string, swap: string][] = [
  [
    'a partition that is emptied and filled again',
    `CREATE TABLE told (id int, d int) PARTITION BY LIST (d);
     CREATE TABLE told1 PARTITION OF told FOR VALUES IN (1); CREATE TABLE told2 PARTITION OF told FOR VALUES IN (2);
     INSERT INTO told SELECT g, CASE WHEN g <= 50 THEN 1 ELSE 2 END FROM generate_series(1, 1000) g`,
    'BEGIN; TRUNCATE told1; INSERT INTO told1 SELECT g, 1 FROM generate_series(1, 50) g; COMMIT',
  ],
  [
    'a table that is written anew for a column of another type',
    'CREATE TABLE told (id int); INSERT INTO told SELECT generate_series(1, 1000)',
    'ALTER TABLE told ALTER id TYPE bigint',
  ],
  [
    'a table in whose place another is put',
    `CREATE TABLE told (id int); INSERT INTO told SELECT generate_series(1, 1000);
     CREATE TABLE next (id int); INSERT INTO next SELECT generate_series(1, 960)`,
    `INSERT INTO next SELECT generate_series(961, 1000);
     BEGIN; ALTER TABLE told RENAME TO former; ALTER TABLE next RENAME TO told; COMMIT`,
  ],
  [
    'what a view shows',
    'CREATE TABLE behind (id int); INSERT INTO behind SELECT generate_series(1, 1000); CREATE VIEW told AS SELECT * FROM behind',
    'BEGIN; TRUNCATE behind; INSERT INTO behind SELECT generate_series(1, 1000); COMMIT',
  ],
  [
    'a materialized view that is made anew',
    'CREATE MATERIALIZED VIEW told AS SELECT g AS id FROM generate_series(1, 1000) g',
    'REFRESH MATERIALIZED VIEW told',
  ],
]

const MARIADB_SWAPS: [what: string, made: string, swap: string][] = [
  [
    'a table in whose place another is put',
    `CREATE TABLE told (id int PRIMARY KEY); INSERT INTO told SELECT seq FROM seq_1_to_1000;
     CREATE TABLE next LIKE told; INSERT INTO next SELECT seq FROM seq_1_to_960`,
    'INSERT INTO next SELECT seq FROM seq_961_to_1000; RENAME TABLE told TO former, next TO told',
  ],
  [
    'what a view shows',
    `CREATE TABLE behind (id int PRIMARY KEY); INSERT INTO behind SELECT seq FROM seq_1_to_1000;
     CREATE VIEW told AS SELECT * FROM behind; CREATE TABLE next LIKE behind; INSERT INTO next SELECT seq FROM seq_1_to_960`,
    'INSERT INTO next SELECT seq FROM seq_961_to_1000; RENAME TABLE behind TO former, next TO behind',
  ],
]

for (const [name, fresh, connector, swaps] of [
  ['postgres', freshPostgres, postgres, POSTGRES_SWAPS],
  ['mysql', freshMariadb, mysql, MARIADB_SWAPS],
] as const)
  for (const [what, made, swap] of swaps)
    for (const query of [undefined, 'SELECT id FROM told'])
      test(`${name}: of ${what} while another table is read, no row is missed${query ? ' by a query' : ''}`, async t => {
        const db = await fresh(t)
        await db.query(`CREATE TABLE first (id int PRIMARY KEY); INSERT INTO first VALUES (1); ${made}`)
        const source = connector.source!({ url: db.url }, { name: 'db', baseDir: '.' })
        let swapped: Promise<unknown> | undefined
        const open: Source['open'] = async (...asked) => {
          const snapshot = await source.open(...asked)
          return {
            ...snapshot,
            async ranges(read) {
              // It may wait until the view is closed.
              swapped ??= db.query(swap)
              await Promise.race([swapped, delay(500)])
              return snapshot.ranges(read)
            },
          }
        }
        const swapping = new Proxy(source, {
          get: (_, name: Exclude<keyof Source, 'changeLog'>) =>
            name === 'open' ? open : source[name]?.bind(source),
        })
        const queries: Record<string, string> = query ? { told: query } : {}
        const settings = { tables: ['first', 'told'], queries, lanes: 2, least: 100, most: 300 }
        const found = await extractTables(swapping, settings, ({ extracted }) => extracted[1]!.rows)
        await swapped
        assert.equal(found, 1000)
      })
