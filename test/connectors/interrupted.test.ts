import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { Read, Source } from '../../engine/contracts/source.ts'
import type { Target } from '../../engine/contracts/target.ts'
import { openLane } from '../../engine/extract/laneHandle.ts'
import { Workers } from '../../engine/pool/pool.ts'
import { duckdb } from '../../src/connectors/duckdb/index.ts'
import { http } from '../../src/connectors/http/index.ts'
import { options as httpOptions } from '../../src/connectors/http/options.ts'
import { mysql } from '../../src/connectors/mysql/index.ts'
import { postgres } from '../../src/connectors/postgres/index.ts'
import { s3 } from '../../src/connectors/s3/index.ts'
import { sftp, sftpConfig } from '../../src/connectors/sftp/index.ts'
import { dropOptions } from '../../src/drops/options.ts'
import { s3Config } from '../../src/stores/s3/settings.ts'
import { s3For, s3Place, s3Settings, sshdFor, testFolder } from '../drops/places.ts'
import { silentProxy } from '../proxy.ts'
import { freshMariadb, freshPostgres } from '../servers.ts'
import { serving } from './http/serving.ts'
import { commitOf, loading, signal as never } from './loading.ts'

const context = { name: 'src', baseDir: '/' }
/** Milliseconds from an abort until everything is closed. */
const SOON = 5000

/** A source that answers until `silence` is called, and what a statement that was ended must leave there. */
interface Slow {
  source: Source
  options: unknown
  silence?(): void
  isGone?(): Promise<boolean>
}

/** Reads until the abort, and closes; says how long that took from the abort on. */
async function readUntilAborted(t: TestContext, { source, options, silence, isGone }: Slow): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), 'nf-interrupted-'))
  const workers = new Workers(1)
  t.after(async () => {
    await workers.close()
    rmSync(root, { recursive: true, force: true })
  })
  const abort = new AbortController()
  const { signal } = abort
  const spec = { name: 'slow', from: 'src', key: [], columns: {}, options }
  const { columns } = await source.describe(spec, signal)
  const read: Read = {
    extract: 'slow',
    where: 'src.slow',
    columns,
    key: [],
    options,
    limits: { rows: 1000, bytes: 1 << 20 },
  }
  const snapshot = await source.open(1, signal, [read])
  const lane = await openLane(workers, snapshot.lane, root, signal)
  await snapshot.joined()
  const [range] = await snapshot.ranges(read)
  silence?.()
  const request = { read, range: range!, limit: 1000, folder: 'raw', stem: 'part' }
  const reading = lane.read(request, () => {}, signal)
  const ended = assert.rejects(reading, { name: 'EngineError' })
  await delay(700)
  const aborted = performance.now()
  abort.abort()
  await ended
  await lane.close()
  await snapshot.close()
  await source.close()
  const took = performance.now() - aborted
  assert.ok(took < SOON, `${took} ms`)
  for (let tries = 0; isGone && !(await isGone()); tries++) {
    assert.ok(tries < 30, 'the statement goes on at the server')
    await delay(100)
  }
}

test('Postgres: a query is ended at the server', async t => {
  const database = await freshPostgres(t)
  await database.query(
    'CREATE VIEW slow AS SELECT i AS id, pg_sleep(60)::text AS v FROM generate_series(1, 3) AS i',
  )
  await readUntilAborted(t, {
    source: postgres.source!({ url: database.url }, context),
    options: { table: 'slow' },
    isGone: async () =>
      (
        await database.query(
          `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY%' AND state = 'active'`,
        )
      ).length === 0,
  })
})

test('MariaDB: a query is ended at the server', async t => {
  const database = await freshMariadb(t)
  await database.query('CREATE TABLE three (id INT PRIMARY KEY); INSERT INTO three VALUES (1), (2), (3)')
  await database.query('CREATE VIEW slow AS SELECT id, SLEEP(60 + id) AS v FROM three')
  await readUntilAborted(t, {
    source: mysql.source!({ url: database.url }, context),
    options: { table: 'slow' },
    isGone: async () =>
      (
        await database.query(
          `SELECT 1 FROM information_schema.processlist WHERE db = database() AND info LIKE '%slow%' AND id <> connection_id()`,
        )
      ).length === 0,
  })
})

test('HTTP: a request is ended', t =>
  serving(
    () => {},
    origin =>
      readUntilAborted(t, {
        source: http.source!(http.config.parse({ url: origin }), context),
        options: httpOptions.parse({ path: '/slow', schema: { id: 'BIGINT' } }),
      }),
  ))

test('SFTP: a silent server is left', async t => {
  const folder = testFolder()
  const sshd = await sshdFor(folder)
  const drop = join(folder, 'drop')
  mkdirSync(drop)
  writeFileSync(join(drop, 'a.csv'), 'id\n1\n')
  const proxy = await silentProxy(`sftp://127.0.0.1:${sshd.port}`)
  t.after(() => proxy.close())
  const { port } = new URL(proxy.url)
  const config = sftpConfig.parse({
    url: `sftp://${sshd.user}@127.0.0.1:${port}${drop}`,
    private_key: sshd.key,
    host_key: sshd.hostKey,
  })
  await readUntilAborted(t, {
    source: sftp.source!(config, context),
    options: dropOptions.parse({ files: '*.csv', schema: { id: 'BIGINT' } }),
    silence: proxy.fall,
  })
})

test('S3: a silent server is left', async t => {
  const server = await s3For()
  await (await s3Place(server, 'slow')).put('in/a.csv', 'id\n1\n')
  const proxy = await silentProxy(server.endpoint)
  t.after(() => proxy.close())
  const config = s3Config.parse({ ...s3Settings(server, 'slow'), endpoint: proxy.url.replace(/\/$/, '') })
  await readUntilAborted(t, {
    source: s3.source!(config, context),
    options: dropOptions.parse({ files: '**/*.csv', schema: { id: 'BIGINT' } }),
    silence: proxy.fall,
  })
})

const { stage } = loading()

/** Commits and verifies against a lock until the abort; the session that waited must be gone. */
async function waitUntilAborted(
  target: Target,
  hold: (act: () => Promise<void>) => Promise<void>,
  waiting: () => Promise<unknown[]>,
): Promise<void> {
  const first = await stage(target, 'j/r1/w', {}, "SELECT 1 AS id, 'a' AS v")
  await target.commit(commitOf('j/r1/w', first), never)
  const second = await stage(target, 'j/r2/w', {}, "SELECT 1 AS id, 'b' AS v")
  await hold(async () => {
    const abort = new AbortController()
    const ended = assert.rejects(target.commit(commitOf('j/r2/w', second), abort.signal), {
      code: 'INTERRUPTED',
    })
    for (let tries = 0; (await waiting()).length === 0; tries++) {
      assert.ok(tries < 150, 'nobody waits')
      // InnoDB shows its transactions anew only to whoever has not looked for 0.1 s.
      await delay(200)
    }
    const aborted = performance.now()
    abort.abort()
    await ended
    assert.ok(performance.now() - aborted < SOON)
    for (let tries = 0; (await waiting()).length > 0; tries++) {
      assert.ok(tries < 50, 'the statement goes on at the server')
      await delay(200)
    }
  })
  // What was ended is not there, and the same load can be made again.
  assert.equal(await target.committed('j/r2/w', never), undefined)
  const again = await stage(target, 'j/r2/w', {}, "SELECT 1 AS id, 'b' AS v")
  const { counts } = await target.commit(commitOf('j/r2/w', again), never)
  assert.deepEqual([counts[0]!.updated, counts[0]!.inserted], [1, 0])
  await target.close()
}

test('Postgres: a load that waits for a lock is ended at the server', async t => {
  const database = await freshPostgres(t)
  await waitUntilAborted(
    postgres.target!({ url: database.url }, context),
    async act => {
      await database.query('BEGIN; LOCK TABLE t')
      await act()
      await database.query('COMMIT')
    },
    () =>
      database.query(
        `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      ),
  )
})

test('MariaDB: a load that waits for a lock is ended at the server', async t => {
  const database = await freshMariadb(t)
  const watcher = await freshMariadb(t)
  await waitUntilAborted(
    mysql.target!({ url: database.url }, context),
    async act => {
      await database.query('BEGIN')
      await database.query('SELECT * FROM t FOR UPDATE')
      await act()
      await database.query('COMMIT')
    },
    () =>
      watcher.query(
        `SELECT 1 FROM information_schema.innodb_trx x JOIN information_schema.processlist p ON p.id = x.trx_mysql_thread_id
          WHERE x.trx_state = 'LOCK WAIT' AND p.db = '${database.name}'`,
      ),
  )
})

test('DuckDB: a load is ended amid its statement', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'nf-interrupted-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const target = duckdb.target!({ url: `duckdb:${join(folder, 'w.duckdb')}` }, context)
  const load = await stage(target, 'j/r1/w', {}, 'SELECT i AS id FROM range(5_000_000) AS t(i)')
  const abort = new AbortController()
  setTimeout(() => abort.abort(), 100)
  await assert.rejects(target.commit(commitOf('j/r1/w', load), abort.signal), { code: 'INTERRUPTED' })
  assert.equal(await target.committed('j/r1/w', never), undefined)
  await target.close()
})
