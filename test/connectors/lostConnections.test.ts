import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Source } from '../../engine/contracts/source.ts'
import { EngineError } from '../../engine/errors.ts'
import { mysql } from '../../src/connectors/mysql/index.ts'
import { postgres } from '../../src/connectors/postgres/index.ts'
import { extractTables, type Result } from '../extraction.ts'
import { cuttingProxy } from '../proxy.ts'
import { freshMariadb, freshPostgres } from '../servers.ts'

const ROWS = 12_000
const extraction = { tables: ['big', 'small'], lanes: 3, least: 500, most: 2000, batch: 64 << 10 }
const sourceOf = (connector: typeof mysql | typeof postgres, url: string) =>
  connector.source!({ url } as never, { name: 'db', baseDir: '.' })

const whole = async ({ extracted, progress, strays, query }: Result) => {
  assert.deepEqual(
    extracted.map(({ rows }) => rows),
    [ROWS, 3],
  )
  const [sum] = await query(
    'SELECT count(*)::INT AS rows, count(DISTINCT id)::INT AS ids, sum(id)::BIGINT AS sum FROM big',
  )
  assert.deepEqual(sum, { rows: ROWS, ids: ROWS, sum: (ROWS * (ROWS + 1)) / 2 })
  assert.equal(progress, ROWS + 3)
  assert.deepEqual(strays, [])
}

test('postgres: lanes whose connection is cut rejoin the snapshot; what they lost is read again, once', async t => {
  const db = await freshPostgres(t)
  await db.query(`CREATE TABLE big (id int PRIMARY KEY, v text);
    INSERT INTO big SELECT g, repeat('v', 100) FROM generate_series(1, ${ROWS}) g;
    CREATE TABLE small AS SELECT generate_series(1, 3) AS id; ANALYZE`)
  let cuts = 0
  for (let round = 0; round < 3; round++) {
    // Two describe, the third exports; two lanes are cut, so that no chunk is lost too often.
    const cut = (connection: number) => (connection < 3 || connection > 4 ? Infinity : Math.random() * 4e5)
    const proxy = await cuttingProxy(db.url, cut)
    try {
      await extractTables(sourceOf(postgres, proxy.url), extraction, whole)
    } finally {
      cuts += proxy.cuts
      await proxy.close()
    }
  }
  assert.ok(cuts > 0)
})

test('postgres: without the connection that exported the snapshot nothing counts', async t => {
  const db = await freshPostgres(t)
  await db.query('CREATE TABLE big (id int PRIMARY KEY); INSERT INTO big SELECT generate_series(1, 5000)')
  const source = sourceOf(postgres, db.url)
  const broken = new Proxy(source, {
    get: (_, name: Exclude<keyof Source, 'changeLog'>) =>
      name === 'open' ? open : source[name]?.bind(source),
  })
  const open: Source['open'] = async (lanes, signal, reads) => {
    const snapshot = await source.open(lanes, signal, reads)
    return {
      ...snapshot,
      async ranges(read) {
        const ranges = await snapshot.ranges(read)
        const killed = await db.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND query LIKE '%pg_partition_tree%' AND pid <> pg_backend_pid()`,
        )
        assert.equal(killed.length, 1)
        return ranges
      },
    }
  }
  for (const lanes of [1, 2])
    await assert.rejects(
      extractTables(broken, { ...extraction, tables: ['big'], lanes }, () => {}),
      { code: 'CONNECTION_LOST' },
    )
})

test('mysql: the other lanes read what a lane whose connection is cut lost', async t => {
  const db = await freshMariadb(t)
  await db.query(`create table big (id int primary key, v text);
    insert into big select seq, repeat('v', 100) from seq_1_to_${ROWS};
    create table small (id int primary key); insert into small values (1), (2), (3); analyze table big`)
  let cuts = 0
  for (let round = 0; round < 3; round++) {
    const cut = (connection: number) =>
      connection < 3 || connection > 4 ? Infinity : 5000 + Math.random() * 4e5
    const proxy = await cuttingProxy(db.url, cut)
    try {
      await extractTables(sourceOf(mysql, proxy.url), extraction, whole)
    } finally {
      cuts += proxy.cuts
      await proxy.close()
    }
  }
  assert.ok(cuts > 0)
})

for (const [name, fresh, connector, count] of [
  ['postgres', freshPostgres, postgres, `generate_series(1, ${ROWS}) AS g(seq)`],
  ['mysql', freshMariadb, mysql, `seq_1_to_${ROWS}`],
] as const)
  test(`${name}: cut anywhere, also the connection that coordinates: the whole result, or a retryable failure`, async t => {
    const db = await fresh(t)
    await db.query(`CREATE TABLE big (id int primary key, v text);
      INSERT INTO big SELECT seq, repeat('v', 100) FROM ${count};
      CREATE TABLE small (id int primary key); INSERT INTO small VALUES (1), (2), (3)`)
    let cuts = 0
    for (let round = 0; round < 4; round++) {
      const proxy = await cuttingProxy(db.url, () => Math.exp(Math.random() * 9) * 400)
      try {
        await extractTables(sourceOf(connector, proxy.url), extraction, whole)
      } catch (error) {
        if (!(error instanceof EngineError)) throw error
        assert.ok(error.retryable, error.message)
      } finally {
        cuts += proxy.cuts
        await proxy.close()
      }
    }
    assert.ok(cuts > 0)
  })
