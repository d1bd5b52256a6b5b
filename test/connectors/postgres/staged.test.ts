import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { encodeParquet } from '../../../engine/parquet/encode.ts'
import { Duck, quote } from '../../../engine/sql/duckdb.ts'
import { freshPostgres } from '../../servers.ts'
import { EVERY_TYPE, SETUP } from './everyType.ts'
import { extractOf, readTable } from './reading.ts'

// Types that DuckDB writes as Postgres does, but for the place of BC and the nought before a decimal point.
const KINDS =
  /^(smallint|integer|bigint|oid|xid|cid|xid8|numeric\(.*|date|time(stamp|stamptz)?(\(\d\))?|uuid|text|mood)$/

test('staged as Parquet and read by DuckDB, values are still what the server writes', async t => {
  const db = await freshPostgres(t)
  await db.query(`${SETUP}; SET TimeZone = 'UTC'; SELECT setseed(0.25)`)
  const types = EVERY_TYPE.filter(({ type }) => KINDS.test(type))
  assert.ok(types.length > 25, `${types.length} types`)
  await db.query(`CREATE TABLE base (${types.map(({ type }, at) => `c${at} ${type}`).join(', ')});
    INSERT INTO base SELECT ${types.map(({ random }) => random).join(', ')} FROM generate_series(1, 300);
    ${types.flatMap(({ edges = [] }, at) => edges.map(edge => `INSERT INTO base (c${at}) VALUES (${edge});`)).join('\n')}
    CREATE VIEW both_ways AS SELECT ${types.map((_, at) => `c${at}, c${at}::text AS t${at}`).join(', ')} FROM base`)
  const dir = mkdtempSync(join(tmpdir(), 'nightfreight-staged-'))
  const duck = await Duck.open({})
  try {
    let parts = 0
    await readTable(db.url, extractOf('both_ways'), batch =>
      writeFileSync(join(dir, `${parts++}.parquet`), encodeParquet(batch)),
    )
    for (const [at, { type }] of types.entries()) {
      // DuckDB's own text of a zoned moment goes through floating-point milliseconds, inexact from year 287396.
      const zoned = type === 'timestamptz'
      const c = zoned ? `make_timestamp(epoch_us(c${at}))` : `c${at}`
      const server = zoned ? `replace(t${at}, '+00', '')` : `t${at}`
      const [row] = await duck.rows(
        `WITH v AS (SELECT CAST(${c} AS VARCHAR) AS c, ${server} AS t FROM ${quote(join(dir, '*.parquet'))}),
           w AS (SELECT CASE WHEN c LIKE '% (BC)%' THEN replace(c, ' (BC)', '') || ' BC'
             ELSE regexp_replace(c, '^(-?)[.]', '\\10.') END AS c, t FROM v)
         SELECT count(*) FILTER (c IS DISTINCT FROM t) AS different, count(c) AS rows,
           any_value(c || ' instead of ' || t) FILTER (c IS DISTINCT FROM t) AS example FROM w`,
      )
      assert.equal(Number(row!.different), 0, `${type}: ${row!.example}`)
      assert.ok(Number(row!.rows) >= 300, type)
    }
  } finally {
    duck.close()
    rmSync(dir, { recursive: true, force: true })
  }
})
