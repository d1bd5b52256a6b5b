import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import pg from 'pg'
import { PostgresTarget } from '../../../src/connectors/postgres/target.ts'
import { startPgbouncer } from '../../pgbouncer.ts'
import { freshPostgres } from '../../servers.ts'
import { extractOf, readRows } from './reading.ts'

// What another client of the pool may leave on a connection that our next transaction is given.
const DISTURBED = `SET IntervalStyle = 'iso_8601'; SET bytea_output = 'escape'; SET DateStyle = 'SQL, DMY';
  SET TimeZone = 'Asia/Tokyo'; SET extra_float_digits = -15; SET search_path = elsewhere; SET row_security = on;
  SET quote_all_identifiers = on; SET standard_conforming_strings = off;
  SET array_nulls = off; SET xmlbinary = hex`

test('what a pooler gives from another client changes no value and no table', async t => {
  const db = await freshPostgres(t)
  await db.query(`CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.kinds (id int, wrong text);
    CREATE TABLE kinds (id int PRIMARY KEY, i interval, b bytea[], d date[], z timestamptz[], f float8[], m money, r regclass,
      s text[], at timestamptz NOT NULL);
    INSERT INTO kinds SELECT n, '1 mon -1 day', array['\\x00ff'::bytea], '{2026-01-02}', '{2026-01-02 03:04:05+00}', '{0.1}',
      1234.5, 'kinds', '{NULL, "a\\\\b"}', '2026-01-02 03:04:05+00' FROM generate_series(1, 100) AS n;`)
  const spec = extractOf('kinds')
  const since = { column: 'at', value: '2026-01-02 03:04:05+00' }
  const direct = await readRows(db.url, spec, { since })
  const folder = mkdtempSync(join(tmpdir(), 'nightfreight-pool-'))
  const pool = await startPgbouncer(folder, db.url)
  try {
    // Every connection of the pool has been another's.
    const others = Array.from({ length: pool.size }, () => new pg.Client({ connectionString: pool.url }))
    await Promise.all(others.map(client => client.connect().then(() => client.query('BEGIN'))))
    for (const client of others) await client.query(`${DISTURBED}; COMMIT`)
    for (const client of others) await client.end()
    const pooled = await readRows(pool.url, spec, { since })
    assert.equal(direct.rows.length, 100)
    assert.deepEqual(pooled.rows, direct.rows)
    assert.deepEqual(pooled.read.columns, direct.read.columns)
    const signal = new AbortController().signal
    const target = new PostgresTarget({ name: 'pg', url: pool.url })
    await assert.rejects(target.probe(signal), { code: 'CONFIG_INVALID', hint: /pool_mode = session/ })
    await target.close()
    const session = new PostgresTarget({ name: 'pg', url: pool.sessionUrl })
    await session.probe(signal)
    await session.close()
  } finally {
    await pool.stop()
    rmSync(folder, { recursive: true, force: true })
  }
})
