import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import mysql from 'mysql2/promise'
import pg from 'pg'
import { startMariadb } from '../../src/demo/servers/mariadb.ts'
import { startPostgres } from '../../src/demo/servers/postgres.ts'
import { freshMariadb, freshPostgres, type Hooks } from '../servers.ts'

const servers = new URL('../../src/demo/servers/', import.meta.url).href

function folder(t: Hooks): string {
  const dir = mkdtempSync(join(tmpdir(), 'nightfreight-servers-'))
  t.after(async () => rmSync(dir, { recursive: true, force: true }))
  return dir
}

const alive = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

async function goneWithin(pid: number, milliseconds: number): Promise<boolean> {
  for (const end = performance.now() + milliseconds; performance.now() < end; await delay(50))
    if (!alive(pid)) return true
  return !alive(pid)
}

const cases = [
  { name: 'Postgres', entry: ['postgres.ts', 'startPostgres'], deaths: ['SIGKILL', 'SIGINT', 'end'] },
  { name: 'MariaDB', entry: ['mariadb.ts', 'startMariadb'], deaths: ['SIGKILL'] },
] as const

for (const { name, entry, deaths } of cases) {
  for (const death of deaths) {
    test(`${name} ends when its starter dies by ${death}`, async t => {
      const script = `
        const { ${entry[1]}: start } = await import(${JSON.stringify(servers + entry[0])})
        const server = await start({ dir: ${JSON.stringify(folder(t))} })
        console.log(server.pid)
        ${death === 'end' ? '' : 'process.stdin.resume()'}`
      const starter = spawn(process.execPath, ['--input-type=module', '-e', script])
      const ended = once(starter, 'exit')
      const [line] = (await once(starter.stdout, 'data')) as [Buffer]
      const pid = Number(line.toString())
      assert.ok(pid > 0)
      if (death !== 'end') assert.ok(alive(pid))
      if (death !== 'end') starter.kill(death)
      await ended
      assert.ok(await goneWithin(pid, 5000), `process ${pid} is still there`)
    })
  }
}

describe('Postgres', () => {
  test('starts as documented, stops twice without harm', async t => {
    const server = await startPostgres({ dir: folder(t) })
    const client = new pg.Client({ connectionString: server.url })
    await client.connect()
    const { rows } = await client.query(
      `SELECT current_setting('wal_level') AS wal, current_setting('server_encoding') AS encoding,
              current_setting('lc_collate', true) AS old, datcollate FROM pg_database WHERE datname = 'postgres'`,
    )
    await client.end()
    assert.deepEqual(rows, [{ wal: 'logical', encoding: 'UTF8', old: null, datcollate: 'C' }])
    await server.stop()
    await server.stop()
    assert.equal(alive(server.pid), false)
  })

  test('an aborted signal stops the server', async t => {
    const abort = new AbortController()
    const server = await startPostgres({ dir: folder(t), signal: abort.signal })
    abort.abort()
    assert.ok(await goneWithin(server.pid, 5000))
    await assert.rejects(startPostgres({ dir: folder(t), signal: abort.signal }), { name: 'AbortError' })
  })
})

test('MariaDB starts as documented', async t => {
  const server = await startMariadb({ dir: folder(t), bufferPool: '64M' })
  const client = await mysql.createConnection(server.url)
  const [rows] = await client.query(
    `SELECT @@binlog_format f, @@binlog_row_image i, @@binlog_row_metadata m, @@log_bin b, @@local_infile l,
            @@character_set_server c, @@time_zone z, @@innodb_buffer_pool_size p`,
  )
  await client.query('FLUSH TABLES WITH READ LOCK')
  await client.end()
  assert.deepEqual(
    [{ ...(rows as object[])[0] }],
    [{ f: 'ROW', i: 'FULL', m: 'FULL', b: 1, l: 1, c: 'utf8mb4', z: '+00:00', p: 64 << 20 }],
  )
  await server.stop()
  assert.equal(alive(server.pid), false)
})

describe('a fresh database', () => {
  test('on Postgres: rows, several statements, and a leak is an error', async () => {
    const hooks = collected()
    const db = await freshPostgres(hooks)
    const rows = await db.query(
      `SELECT 1; SELECT 9007199254740993 AS n, timestamptz '2024-01-01 00:00:00.000001+00' AS t`,
    )
    assert.deepEqual(rows, [{ n: '9007199254740993', t: '2024-01-01 00:00:00.000001+00' }])
    assert.deepEqual(await db.query('SELECT $1::int AS one', [1]), [{ one: 1 }])
    const leak = new pg.Client({ connectionString: db.url, application_name: 'leak' })
    leak.on('error', () => {})
    await leak.connect()
    await assert.rejects(hooks.run(), /1 left open.*"leak"/s)
  })

  test('on MariaDB: rows, several statements, and a leak is an error', async () => {
    const hooks = collected()
    const db = await freshMariadb(hooks)
    await db.query('CREATE TABLE a (d DATE); INSERT INTO a VALUES (0)')
    assert.deepEqual(
      (await db.query('SELECT 1; SELECT d, 9007199254740993 n FROM a')).map(row => ({ ...row })),
      [{ d: '0000-00-00', n: '9007199254740993' }],
    )
    const leak = await mysql.createConnection(db.url)
    leak.on('error', () => {})
    await assert.rejects(hooks.run(), /1 left open/)
  })
})

function collected() {
  const steps: (() => Promise<void>)[] = []
  return {
    after: (step: () => Promise<void>) => void steps.push(step),
    run: async () => {
      for (const step of steps) await step()
    },
  }
}
