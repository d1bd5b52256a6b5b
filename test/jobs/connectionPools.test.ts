/** `connection_pools` of a job is what a server sees: it refuses whoever opens one more. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { test } from 'node:test'
import type { EngineError } from '../../engine/errors.ts'
import { loadJob } from '../../src/config/load.ts'
import { freshMariadb, freshPostgres } from '../servers.ts'
import { smallJob } from './small.ts'

const ROWS = 40_000
const PASSWORD = 'pooled'
const [postgres, mariadb] = [await freshPostgres(), await freshMariadb()]
const row = (n: string, text: string) => `SELECT ${n} AS id, ${text} AS text`
await postgres.query(
  `CREATE TABLE items AS ${row('i', "repeat('x', 200)")} FROM generate_series(1, ${ROWS}) AS i;
   ALTER TABLE items ADD PRIMARY KEY (id); ANALYZE items`,
)
await mariadb.query(
  `CREATE TABLE items (id INT PRIMARY KEY) AS ${row('seq', "repeat('x', 200)")} FROM seq_1_to_${ROWS};
   ANALYZE TABLE items`,
)
let users = 0

/** URLs of a user whom each server gives so many connections and no more; and how many were open at once, so far. */
async function limited(t: Parameters<typeof smallJob>[0], most: number) {
  const user = `pooled_${process.pid}_${++users}`
  await postgres.query(
    `CREATE ROLE ${user} LOGIN REPLICATION PASSWORD '${PASSWORD}' CONNECTION LIMIT ${most};
     GRANT SELECT ON items TO ${user}; GRANT CREATE ON DATABASE ${postgres.name} TO ${user}; GRANT CREATE ON SCHEMA public TO ${user}`,
  )
  await mariadb.query(
    `CREATE USER ${user} IDENTIFIED BY '${PASSWORD}' WITH MAX_USER_CONNECTIONS ${most};
     GRANT ALL ON ${mariadb.name}.* TO ${user}; GRANT RELOAD, REPLICATION SLAVE, REPLICATION CLIENT, BINLOG MONITOR ON *.* TO ${user}`,
  )
  t.after(async () => {
    await postgres.query(
      `ALTER TABLE items OWNER TO CURRENT_USER; DROP OWNED BY ${user} CASCADE; DROP ROLE ${user}`,
    )
    await mariadb.query(`DROP USER ${user}`)
  })
  const as = (url: string) => {
    const own = new URL(url)
    own.username = user
    own.password = PASSWORD
    own.searchParams.delete('user')
    return own.href
  }
  const peaks = { postgres: 0, mariadb: 0 }
  let isOver = false
  const look = async () => {
    while (!isOver) {
      const [pg] = await postgres.query<{ open: string }>(
        'SELECT count(*) AS open FROM pg_stat_activity WHERE usename = $1',
        [user],
      )
      const [my] = await mariadb.query<{ open: string }>(
        'SELECT count(*) AS open FROM information_schema.processlist WHERE user = ?',
        [user],
      )
      peaks.postgres = Math.max(peaks.postgres, Number(pg!.open))
      peaks.mariadb = Math.max(peaks.mariadb, Number(my!.open))
    }
  }
  const looking = look()
  const stop = async () => {
    isOver = true
    await looking
    return peaks
  }
  return { postgres: as(postgres.url), mariadb: as(mariadb.url), stop, user }
}

for (const [from, to] of [
  ['postgres', 'mariadb'],
  ['mariadb', 'postgres'],
] as const)
  for (const { threads, pool, most, read } of [
    { threads: 8, pool: 'max_connections: 4', most: 4, read: 4 },
    { threads: 8, pool: 'max_connections: 3', most: 3, read: 3 },
    { threads: 1, pool: 'min_connections: 5, max_connections: 9', most: 9, read: 5 },
  ])
    test(`${from} to ${to} with ${threads} threads keeps to { ${pool} }`, async t => {
      const urls = await limited(t, most)
      const job = await smallJob(t, `pooled_${users}`, { 'job.yaml': '' })
      job.yaml(`connections: { source: "${urls[from]}", target: "${urls[to]}" }
extract: { items: { from: source, table: items, key: id } }
load: { items_of_${users}: { to: target, from: items, key: id } }
connection_pools: { source: { ${pool} }, target: { ${pool} } }
resources: { cpu_cores: ${threads} }
parallelism: { max_parallel_extracts: 1 }
retries: { limit: 0 }
chunking: { default_chunk_size: 1000, adaptive_sizing: false }`)
      const notes: string[] = []
      const progress = {
        started() {},
        advanced() {},
        finished() {},
        note: (text: string) => notes.push(text),
      }
      const result = await job.run({ progress })
      const peaks = await urls.stop()
      assert.equal(result.status, 'SUCCESS', String(result.error))
      // The server would have refused a lane, and the others gone on without it.
      assert.deepEqual(
        notes.filter(note => /lane/.test(note)),
        [],
      )
      assert.equal(peaks[from], read)
      assert.ok(peaks[to] <= most, `${peaks[to]} connections to the target`)
    })

for (const on of ['postgres', 'mariadb'] as const)
  test(`a connection to ${on} that is read and loaded keeps to three`, async t => {
    const urls = await limited(t, 3)
    const job = await smallJob(t, `both_${on}`, { 'job.yaml': '' })
    job.yaml(`connections: { db: "${urls[on]}" }
extract: { items: { from: db, table: items, key: id } }
load: { twice_${users}: { to: db, from: items, key: id, verify: all } }
connection_pools: { db: { max_connections: 3 } }
resources: { threads: 4 }
retries: { limit: 0 }`)
    const notes: string[] = []
    const progress = { started() {}, advanced() {}, finished() {}, note: (text: string) => notes.push(text) }
    const result = await job.run({ progress })
    assert.equal(result.status, 'SUCCESS', String(result.error))
    assert.deepEqual(
      notes.filter(note => /lane/.test(note)),
      [],
    )
    assert.ok((await urls.stop())[on] <= 3)
  })

for (const from of ['postgres', 'mariadb'] as const)
  test(`the log of ${from} is followed with two connections`, async t => {
    const urls = await limited(t, 2)
    // Who has Postgres log a table owns it.
    await postgres.query(`ALTER TABLE items OWNER TO ${urls.user}`)
    const job = await smallJob(t, `followed_${from}`, { 'job.yaml': '' })
    job.yaml(`connections: { source: "${urls[from]}", target: "duckdb:${job.home}/w.duckdb" }
extract: { items: { from: source, table: items, key: id, mode: changes } }
load: { items: { to: target, from: items, key: id } }
connection_pools: { source: { max_connections: 2 } }
resources: { threads: 4 }
retries: { limit: 0 }`)
    const first = await job.run()
    assert.equal(first.status, 'SUCCESS', String(first.error))
    await { postgres, mariadb }[from].query("UPDATE items SET text = 'changed' WHERE id <= 10")
    const second = await job.run()
    assert.equal(second.status, 'SUCCESS', String(second.error))
    assert.equal(second.outcome.changes[0]!.counts.updates, 10)
    assert.ok((await urls.stop())[from] <= 2)
    const dropped = await job.cli('changes', 'drop', job.folder)
    assert.equal(dropped.code, 0, dropped.err)
  })

test('a server that gives no connection is waited for as long as the job says', async t => {
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  t.after(() => silent.close())
  await once(silent, 'listening')
  const { port } = silent.address() as AddressInfo
  for (const scheme of ['postgres', 'mysql']) {
    const job = await smallJob(t, `waiting_${scheme}`, { 'job.yaml': '' })
    job.yaml(`connections: { source: "${scheme}://u@127.0.0.1:${port}/d", warehouse: "duckdb:${job.home}/w.duckdb" }
extract: { items: { from: source, table: items, key: id } }
load: { items: { to: warehouse, from: items, key: id } }
connection_pools: { source: { connection_timeout: 1 } }
retries: { limit: 0 }`)
    const began = performance.now()
    const result = await job.run()
    const waited = performance.now() - began
    assert.equal((result.error as EngineError).code, 'TIMEOUT', String(result.error))
    assert.ok(waited > 900 && waited < 9000, `${waited} ms`)
  }
})

test('pools that cannot be kept to are refused, each with what to write', async t => {
  const job = await smallJob(t, 'refused', { 'job.yaml': '' })
  const given = (pools: string) => {
    job.yaml(`connections: { db: "postgres://u@h/d", warehouse: "duckdb:w.duckdb", other: "mysql://u@h/d" }
extract: { items: { from: db, table: items, key: id } }
load: { items: { to: warehouse, from: items, key: id }, copy: { to: other, from: items, key: id } }
connection_pools: { ${pools} }`)
    return loadJob(job.folder, {})
  }
  const refusals: [string, RegExp][] = [
    ['db: { max_connections: 1 }', /job\.yaml:5:.*max_connections: expected at least 2: one holds the view/],
    ['other: { max_connections: 2 }', /expected at least 3: one holds the transaction/],
    ['db: { min_connections: 5, max_connections: 4 }', /min_connections: expected at most max_connections/],
    ['warehouse: { max_connections: 4 }', /only connections to Postgres, MySQL and MariaDB/],
    ['bd: { max_connections: 4 }', /no connection of this name; it has db, warehouse, other/],
    ['db: { connection_timeout: soon }', /expected a number of seconds/],
    ['db: { size: 4 }', /size/],
  ]
  for (const [pools, message] of refusals) await assert.rejects(given(pools), message, pools)
})
