import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { LaneModule, Read } from '../../../engine/contracts/source.ts'
import { ask, connect, disconnect } from '../../../src/connectors/postgres/connect.ts'
import { hold, refuseNewer } from '../../../src/connectors/postgres/hold.ts'
import { beginRead } from '../../../src/connectors/postgres/settings.ts'
import { PostgresSource } from '../../../src/connectors/postgres/source.ts'
import { freshPostgres } from '../../servers.ts'

const readOf = (table: string): Read => {
  const limits = { rows: 1, bytes: 1 }
  return { extract: table, where: `pg.${table}`, columns: [], key: [], options: { table }, limits }
}
const { signal } = new AbortController()

describe('postgres: what a view holds', async () => {
  const db = await freshPostgres()

  it('must be what it was at the time of a snapshot that is older than the lock', async () => {
    const changes = [
      'TRUNCATE parts1',
      'ALTER TABLE typed ALTER id TYPE bigint',
      'ALTER TABLE plain RENAME TO former; ALTER TABLE other RENAME TO plain',
      'DROP TABLE plain CASCADE; CREATE TABLE plain (id int)',
      'REFRESH MATERIALIZED VIEW made',
      '',
      'INSERT INTO plain VALUES (1); UPDATE parts SET id = 2; CREATE INDEX ON parts (id)',
    ]
    for (const change of changes) {
      await db.query(`DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE TABLE plain (id int PRIMARY KEY);
        CREATE TABLE other (id int); CREATE TABLE typed (id int); INSERT INTO typed VALUES (1);
        CREATE VIEW seen AS SELECT * FROM plain;
        CREATE MATERIALIZED VIEW made AS SELECT 1 AS id;
        CREATE TABLE parts (id int) PARTITION BY LIST (id); CREATE TABLE parts1 PARTITION OF parts DEFAULT;
        INSERT INTO parts VALUES (1)`)
      const client = await connect({ name: 'pg', url: db.url })
      try {
        await ask(client, 'pg', `${beginRead()}; SELECT 1`)
        await db.query(change)
        await hold(client, 'pg', ['plain', 'typed', 'seen', 'made', 'parts'].map(readOf))
        const newer = refuseNewer(client, 'pg')
        if (/TRUNCATE|TABLE|REFRESH/.test(change)) await assert.rejects(newer, { code: 'DEADLOCK' }, change)
        else await newer
      } finally {
        await disconnect(client)
      }
    }
  })

  it('is all that is read, behind a view, a query, a condition and a policy, too', async () => {
    await db.query(`DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE TABLE orders (id int PRIMARY KEY);
      CREATE TABLE lines (order_id int) PARTITION BY RANGE (order_id);
      CREATE TABLE lines1 PARTITION OF lines FOR VALUES FROM (0) TO (50);
      CREATE TABLE lines2 PARTITION OF lines DEFAULT;
      CREATE TABLE active (id int); CREATE TABLE secured (id int); ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
      CREATE POLICY of_active ON secured USING (id IN (SELECT id FROM active));
      CREATE VIEW counted AS SELECT id, (SELECT count(*) FROM lines WHERE order_id = id) AS n FROM orders;
      CREATE ROLE by_policy LOGIN PASSWORD 'pw'; GRANT USAGE ON SCHEMA public TO by_policy;
      GRANT SELECT ON ALL TABLES IN SCHEMA public TO by_policy`)
    const url = new URL(db.url)
    url.username = 'by_policy'
    url.password = 'pw'
    const source = new PostgresSource({ name: 'pg', url: url.href })
    const joined = 'SELECT order_id, count(*) AS n FROM lines GROUP BY 1'
    const cases: [options: object, held: string][] = [
      [{ table: 'orders' }, 'orders'],
      [{ table: 'lines' }, 'lines lines1 lines2'],
      [{ table: 'orders', where: 'id IN (SELECT id FROM active)' }, 'active orders'],
      [{ table: 'secured', row_security: 'filter' }, 'active secured'],
      [{ table: 'counted' }, 'lines lines1 lines2 orders'],
      [
        { query: `SELECT id, n FROM orders LEFT JOIN (${joined}) l ON order_id = id` },
        'lines lines1 lines2 orders',
      ],
      [{ query: 'SELECT id FROM orders', where: 'id IN (SELECT id FROM active)' }, 'active orders'],
    ]
    try {
      for (const [options, held] of cases) {
        const spec = { name: 'r', from: 'pg', key: [], columns: {}, options }
        const { columns } = await source.describe(spec, signal)
        const snapshot = await source.open(1, signal, [{ ...readOf('r'), columns, options }])
        try {
          const [found] = await db.query<{ held: string }>(
            `SELECT string_agg(DISTINCT relname, ' ' ORDER BY relname) AS held FROM pg_locks l JOIN pg_class c ON c.oid = relation
             WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
          )
          assert.equal(found?.held, held, JSON.stringify(options))
        } finally {
          await snapshot.close()
        }
      }
    } finally {
      await db.query('DROP OWNED BY by_policy; DROP ROLE by_policy')
    }
  })

  it('leaves to its own read what cannot be locked, and takes a right to any column', async () => {
    await db.query(`CREATE TABLE columns (id int, hidden int); CREATE ROLE few_columns LOGIN PASSWORD 'pw';
      GRANT USAGE ON SCHEMA public TO few_columns;
      CREATE SCHEMA closed; CREATE TABLE closed.t (id int);
      GRANT SELECT (id) ON columns TO few_columns`)
    const url = new URL(db.url)
    url.username = 'few_columns'
    url.password = 'pw'
    const source = new PostgresSource({ name: 'pg', url: url.href })
    try {
      const [none, closed, some] = [readOf('none'), readOf('closed.t'), readOf('columns')]
      const snapshot = await source.open(1, signal, [none, closed, some])
      try {
        await assert.rejects(snapshot.ranges(none), { code: 'TABLE_MISSING' })
        await assert.rejects(snapshot.ranges(closed), { code: 'PERMISSION_DENIED' })
        assert.equal((await snapshot.ranges(some)).length, 1)
      } finally {
        await snapshot.close()
      }
    } finally {
      await db.query('DROP OWNED BY few_columns; DROP ROLE few_columns')
    }
  })

  it('lets no lane wait behind who waits for it', async () => {
    await db.query('CREATE TABLE waited (id int)')
    const source = new PostgresSource({ name: 'pg', url: db.url })
    const snapshot = await source.open(1, signal, [readOf('waited')])
    const emptied = db.query('TRUNCATE waited')
    try {
      await delay(200)
      const { openLane } = (await import(snapshot.lane.module)) as LaneModule
      await assert.rejects(openLane(snapshot.lane.payload, signal), { code: 'LOCK_TIMEOUT' })
    } finally {
      await snapshot.close()
      await emptied
    }
  })
})
