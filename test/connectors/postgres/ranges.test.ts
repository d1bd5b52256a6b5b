import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { PostgresSource } from '../../../src/connectors/postgres/source.ts'
import { freshPostgres } from '../../servers.ts'
import { readShared, type Sharing } from '../../sharing.ts'

describe('postgres ranges', async () => {
  const db = await freshPostgres()
  const read = (table: string, sharing: Sharing) =>
    readShared(new PostgresSource({ name: 'crm', url: db.url }), table, sharing)
  const sorted = (rows: number[]) => rows.sort((a, b) => a - b)

  it('hold every row once, in the order of the blocks, whatever lies in them', async () => {
    const layout = fc.record({
      rows: fc.integer({ min: 0, max: 1500 }),
      // Long rows first or last, blocks emptied by deletes, statistics right, wrong or missing.
      long: fc.constantFrom('false', 'g < 100', 'g > 1400', 'g % 50 = 0'),
      dead: fc.constantFrom('false', 'true', 'n < 700', 'n > 300', 'n BETWEEN 100 AND 1200', 'n % 3 = 0'),
      analyzed: fc.constantFrom('', 'ANALYZE t', 'before'),
      vacuum: fc.boolean(),
      lanes: fc.integer({ min: 1, max: 3 }),
      limit: fc.constantFrom(3, 50, 400),
    })
    await fc.assert(
      fc.asyncProperty(layout, async ({ rows, long, dead, analyzed, vacuum, lanes, limit }) => {
        await db.query(`DROP TABLE IF EXISTS t; CREATE TABLE t (n int, v text) WITH (autovacuum_enabled = off);
          ${analyzed === 'before' ? 'INSERT INTO t VALUES (1); ANALYZE t; DELETE FROM t;' : ''}
          INSERT INTO t SELECT g, CASE WHEN ${long} THEN repeat(md5(g::text), 60) ELSE 'v' END FROM generate_series(1, ${rows}) g;
          DELETE FROM t WHERE ${dead}`)
        if (analyzed === 'ANALYZE t') await db.query('ANALYZE t')
        if (vacuum) await db.query('VACUUM (TRUNCATE false) t')
        const result = await read('t', { lanes, limit })
        const expected = await db.query<{ n: number }>('SELECT n FROM t ORDER BY ctid')
        assert.deepEqual(
          result.rows,
          expected.map(({ n }) => n),
        )
      }),
      { numRuns: 25 },
    )
  })

  it('of partitions are shared out together, also where one holds nearly all', async () => {
    await db.query(`CREATE TABLE p (n int, v text) PARTITION BY RANGE (n);
      CREATE TABLE p_1 PARTITION OF p FOR VALUES FROM (0) TO (10); CREATE TABLE p_2 PARTITION OF p FOR VALUES FROM (10) TO (5000);
      CREATE TABLE p_3 PARTITION OF p FOR VALUES FROM (5000) TO (9000);
      INSERT INTO p SELECT g, repeat('v', 50) FROM generate_series(1, 4999) g; ANALYZE p`)
    const { rows, chunks } = await read('p', { lanes: 3, limit: 500 })
    assert.deepEqual(
      sorted(rows),
      Array.from({ length: 4999 }, (_, index) => index + 1),
    )
    assert.ok(chunks < 70, `${chunks} chunks`)
    const since = { column: 'n', value: '4000' }
    assert.equal((await read('p', { lanes: 2, limit: 300, since })).rows.length, 1000)
  })

  it('stay where they are: nobody may rewrite a table of an open view', async () => {
    await db.query('CREATE TABLE kept (n int); INSERT INTO kept VALUES (1); SET lock_timeout = 50')
    const { signal } = new AbortController()
    const source = new PostgresSource({ name: 'crm', url: db.url })
    const options = { table: 'kept' }
    const limits = { rows: 1, bytes: 1 }
    const kept = { extract: 'kept', where: 'kept', columns: [], key: [], options, limits }
    const snapshot = await source.open(1, signal, [kept])
    try {
      await assert.rejects(db.query('VACUUM FULL kept'), { code: '55P03' })
    } finally {
      await snapshot.close()
    }
    await db.query('VACUUM FULL kept')
  })
})
