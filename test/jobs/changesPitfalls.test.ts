/** What is known to go wrong with readers of a binary log, each once: on servers of their own, whose logs are purged and reset. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import mysql from 'mysql2/promise'
import { createDatabase, startMariadb } from '../../src/demo/servers/mariadb.ts'
import { ensureMariadb } from '../mariadb.ts'
import { type FreshDatabase, freshPostgres } from '../servers.ts'
import { follow } from './following.ts'

ensureMariadb()
const warehouse = await freshPostgres()
const server = await serverOf('1')

async function serverOf(id: string) {
  const dir = mkdtempSync(join(tmpdir(), 'nightfreight-binlog-'))
  const running = await startMariadb({
    dir,
    bufferPool: '64M',
    settings: { 'server-id': id, 'log-slave-updates': '1', 'default-time-zone': '+05:00', 'sql-mode': '' },
  })
  after(async () => {
    await running.stop()
    rmSync(dir, { recursive: true, force: true })
  })
  return running
}

let databases = 0
/** A database on the server, and a connection that stays. */
async function database(hooks: { after(clean: () => Promise<void>): void }): Promise<FreshDatabase> {
  const name = `pit_${++databases}`
  const url = await createDatabase(server, name)
  const client = await mysql.createConnection({ uri: url, dateStrings: true, timezone: 'Z' })
  await client.query("SET time_zone = '+00:00'")
  hooks.after(() => client.end())
  return { url, name, query: async (sql: string) => (await client.query(sql))[0] as never }
}

const lost = async ({ job }: Awaited<ReturnType<typeof follow>>, message: RegExp) => {
  const { error } = await job.run({ fresh: true })
  assert.match(String(error), message)
  assert.equal((error as { code: string }).code, 'LOG_LOST')
  assert.match(String((error as { hint: string }).hint), /--full-refresh/)
  assert.equal((await job.run({ fresh: true, fullRefresh: [] })).error, undefined)
}

test('a log that was purged, or reset, is an error; so is a table that was made anew', async t => {
  const followed = await follow(t, {
    fresh: database,
    warehouse,
    table: 'purged',
    statements: ['CREATE TABLE purged (id int PRIMARY KEY, n int)', 'INSERT INTO purged VALUES (1, 1)'],
  })
  const { query, night } = followed
  await night()
  await query('INSERT INTO purged VALUES (2, 2)')
  await query('FLUSH BINARY LOGS')
  const [current] = await query<{ File: string }>('SHOW MASTER STATUS')
  // A file goes once the storage engine needs it no more.
  const first = async () => (await query<{ Log_name: string }>('SHOW BINARY LOGS'))[0]!.Log_name
  while ((await first()) !== current!.File) {
    await query(`PURGE BINARY LOGS TO '${current!.File}'`)
    await delay(200)
  }
  await lost(followed, /the binary log from \S+ .* on was purged, it begins with/)
  await query('INSERT INTO purged VALUES (3, 3)')
  await query('RESET MASTER')
  for (let id = 10; id < 40; id++) await query(`INSERT INTO purged VALUES (${id}, 3)`)
  await lost(followed, /as after RESET MASTER/)
  await query('INSERT INTO purged VALUES (4, 4)')
  await night()
  await query('DROP TABLE purged')
  await query('CREATE TABLE purged (id int PRIMARY KEY, n int)')
  await query('INSERT INTO purged VALUES (5, 5)')
  await lost(followed, /the log has "DROP TABLE `?purged`?/)
  // Whose log format is not ROW, in a session.
  await query("SET SESSION binlog_format = 'STATEMENT'")
  await query('UPDATE purged SET n = 6')
  await lost(followed, /the log has "UPDATE purged SET n = 6"/)
})

test('zero dates, unsigned numbers, moments under a server time zone of its own, and holes between GTIDs', async t => {
  const { query, night } = await follow(t, {
    fresh: database,
    warehouse,
    table: 'odd',
    extract: ', columns: { born: "null" }',
    statements: [
      `CREATE TABLE odd (id int PRIMARY KEY, born date, big bigint unsigned, small tinyint unsigned,
        at timestamp(6) NULL, wall datetime(3), flags set('a','b'), kind enum('x','y'))`,
    ],
  })
  await night()
  await query("SET time_zone = '+05:00', gtid_seq_no = 1000000, gtid_domain_id = 7")
  await query(
    `INSERT INTO odd VALUES (1, '0000-00-00', 18446744073709551615, 255, '2026-03-29 02:30:00.123456', '2026-03-29 02:30:00.5', 'a,b', 'y'),
      (2, '2026-02-28', 9223372036854775808, 128, NULL, NULL, '', NULL)`,
  )
  await query("SET time_zone = '+00:00', gtid_domain_id = 0")
  await query('UPDATE odd SET born = NULL WHERE id = 1')
  const { read } = await night(['id', 'small', 'flags', 'kind'])
  assert.equal(read, 2)
  const text = (columns: string[]) => `SELECT ${columns.join(', ')} FROM odd ORDER BY id`
  assert.deepEqual(
    await warehouse.query(
      text(['born::text', 'big::text', "(at AT TIME ZONE 'UTC')::text AS at", 'wall::text']),
    ),
    [
      {
        born: null,
        big: '18446744073709551615',
        at: '2026-03-28 21:30:00.123456',
        wall: '2026-03-29 02:30:00.5',
      },
      { born: '2026-02-28', big: '9223372036854775808', at: null, wall: null },
    ],
  )
})

test('rows that the server itself changes by a foreign key are refused, for its log does not tell them', async t => {
  const followed = await follow(t, {
    fresh: database,
    warehouse,
    table: 'child',
    statements: [
      'CREATE TABLE parent (id int PRIMARY KEY)',
      'CREATE TABLE child (id int PRIMARY KEY, parent int, FOREIGN KEY (parent) REFERENCES parent (id) ON DELETE CASCADE)',
    ],
  })
  const { error } = await followed.job.run()
  assert.match(String(error), /child loses or changes rows by foreign key child_ibfk_1/)
})

test('another server of the same GTIDs goes on where the first one was read to', async t => {
  const second = await serverOf('2')
  const replica = await mysql.createConnection(second.url)
  t.after(() => replica.end())
  const { hostname, port, username, password } = new URL(server.url)
  // All that the first one has from here on, the second one will have.
  const admin = await mysql.createConnection(server.url)
  await admin.query('RESET MASTER')
  await admin.end()
  await replica.query('RESET MASTER')
  const followed = await follow(t, {
    fresh: database,
    warehouse,
    table: 'moved',
    statements: ['CREATE TABLE moved (id int PRIMARY KEY, n int)', 'INSERT INTO moved VALUES (1, 1)'],
  })
  const { query, night, job, yaml, url } = followed
  await night()
  await query('INSERT INTO moved VALUES (2, 2)')
  await query('UPDATE moved SET n = 3 WHERE id = 1')
  const [at] = await query<{ gtid: string }>('SELECT @@gtid_current_pos AS gtid')
  await replica.query(`CHANGE MASTER TO MASTER_HOST = '${hostname}', MASTER_PORT = ${port}, MASTER_USER = '${username}',
    MASTER_PASSWORD = '${password}', MASTER_USE_GTID = slave_pos`)
  await replica.query('START SLAVE')
  const [waited] = await replica.query<mysql.RowDataPacket[]>(
    `SELECT MASTER_GTID_WAIT('${at!.gtid}', 60) AS done`,
  )
  const [state] = await replica.query<mysql.RowDataPacket[]>('SHOW SLAVE STATUS')
  assert.equal(waited[0]!.done, 0, `${state[0]?.Last_IO_Error} ${state[0]?.Last_SQL_Error}`)
  const moved = new URL(url)
  moved.port = new URL(second.url).port
  moved.password = new URL(second.url).password
  job.yaml(yaml.replace(url, moved.href))
  assert.deepEqual(await night(), { read: 2, inserted: 1, updated: 1, deleted: 0 })
})
