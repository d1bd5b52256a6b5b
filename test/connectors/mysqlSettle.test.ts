import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import mysql from 'mysql2/promise'
import type { EngineError } from '../../engine/errors.ts'
import { fillMade, noteMade, settleMade } from '../../src/connectors/mysql/publish.ts'
import { ensureState } from '../../src/connectors/mysql/state.ts'
import { MysqlTarget } from '../../src/connectors/mysql/target.ts'
import { change, TargetSession } from '../../src/connectors/mysql/targetSession.ts'
import { startMariadb } from '../../src/demo/servers/mariadb.ts'
import { reversed } from '../jobs/following.ts'
import { smallJob } from '../jobs/small.ts'
import { judgingProxy, type Verdict } from '../proxy.ts'
import { type FreshDatabase, freshMariadb, type Hooks } from '../servers.ts'
import { mysqlStatements } from './wire.ts'

// A server of its own: others would wait for its locks, and names are in small letters there.
const dir = mkdtempSync(join(tmpdir(), 'nightfreight-settle-'))
const server = await startMariadb({ dir, settings: { 'lower-case-table-names': '1' }, bufferPool: '64M' })
const admin = await mysql.createConnection({ uri: server.url, multipleStatements: true })
after(async () => {
  await admin.end()
  await server.stop()
  rmSync(dir, { recursive: true, force: true })
})
await admin.query(`CREATE DATABASE source; CREATE DATABASE mart;
  CREATE TABLE source.parents (id int PRIMARY KEY, name varchar(20) NOT NULL);
  CREATE TABLE source.children (id int PRIMARY KEY, parent int, FOREIGN KEY (parent) REFERENCES source.parents (id));
  INSERT INTO source.parents SELECT seq, CONCAT('p', seq) FROM seq_1_to_100;
  INSERT INTO source.children SELECT seq, 1 + seq % 100 FROM seq_1_to_300`)
const at = (database: string) => {
  const url = new URL(server.url)
  url.pathname = `/${database}`
  return url.href
}
const rowsOf = async (sql: string) => (await admin.query<mysql.RowDataPacket[]>(sql))[0]

// Who ends what a load has begun that made tables, while the server still works for a connection that is lost.

/** A session of a load that has filled a table beside its name: three rows, and nothing committed of what says so. */
async function begun(t: Hooks, { url, query }: FreshDatabase) {
  const session = new TargetSession({ name: 'to', url })
  t.after(() => session.close())
  await ensureState(session)
  const beside = (await noteMade(session, 'job', 'load', ['t'])).get('t')!
  await query(`CREATE TABLE ${beside} (id int PRIMARY KEY); INSERT INTO ${beside} VALUES (1), (2), (3)`)
  // As a connection of the session did that was lost, and that the server still works for.
  await query(`START TRANSACTION;
    INSERT INTO nightfreight_loads VALUES ('load', 'job', 'run', UTC_TIMESTAMP(6), '[]');
    INSERT INTO nightfreight_tables VALUES (CONCAT(DATABASE(), '.t'), '', 3, 'run', '2026-01-01');
    ${fillMade(session, 'load')}`)
  return session
}

const names = async ({ query }: FreshDatabase) =>
  (
    await query<{ name: string }>(
      `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = DATABASE()
         AND (table_name = 't' OR table_name LIKE 'nightfreight\\_stg%')`,
    )
  ).map(({ name }) => name)

for (const [end, left] of [
  ['COMMIT', ['t']],
  ['ROLLBACK', []],
] as const)
  for (const whose of ['its own session', 'another, once its owner is no more'])
    test(`a table whose load is at its end is settled after its ${end}, by ${whose}`, async hooks => {
      const t = reversed(hooks)
      const target = await freshMariadb(t)
      const session = await begun(t, target)
      const other = new TargetSession({ name: 'to', url: target.url })
      t.after(() => other.close())
      if (whose !== 'its own session') await session.close()
      const by = whose === 'its own session' ? session : other
      let isSettled = false
      const settled = settleMade(by, by === session ? { loadId: 'load' } : {}).then(() => {
        isSettled = true
      })
      await delay(150)
      assert.equal(isSettled, false, 'it waits')
      await target.query(end)
      await settled
      assert.deepEqual(await names(target), left)
      if (end === 'COMMIT') {
        const [row] = await target.query('SELECT count(*) AS n FROM t')
        assert.equal(Number(row!.n), 3)
      }
      assert.deepEqual(await target.query('SELECT * FROM nightfreight_made'), [])
      const [open] = await by.rows('SELECT @@in_transaction AS open')
      assert.equal(Number(open!.open), 0)
    })

test('nothing is left open of a transaction that fails while tables get their names', async hooks => {
  const t = reversed(hooks)
  const target = await freshMariadb(t)
  const session = await begun(t, target)
  await target.query('COMMIT')
  await target.query(
    `CREATE TRIGGER no BEFORE DELETE ON nightfreight_made FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'`,
  )
  await assert.rejects(settleMade(session, { loadId: 'load' }), /to: a trigger refuses a row: "no"/)
  const [open] = await session.rows('SELECT @@in_transaction AS open')
  assert.equal(Number(open!.open), 0)
  await target.query('DROP TRIGGER no')
  await settleMade(session, { loadId: 'load' })
  assert.deepEqual(await names(target), ['t'])
  assert.deepEqual(await target.query('SELECT * FROM nightfreight_made'), [])
})

const holderOf = async ({ query }: FreshDatabase, { owner }: TargetSession) =>
  Number((await query('SELECT IS_USED_LOCK(?) AS thread', [`nightfreight ${owner}`]))[0]!.thread)

test('a session that has lost its connection ends that on the server, and has its lock again', async hooks => {
  const t = reversed(hooks)
  const target = await freshMariadb(t)
  const parser = mysqlStatements()
  const proxy = await judgingProxy(
    target.url,
    (bytes, connection): Verdict =>
      connection === 0 && parser(bytes).some(sql => sql.startsWith('SELECT SLEEP')) ? 'cut off' : 'pass',
  )
  t.after(() => proxy.close())
  const session = new TargetSession({ name: 'to', url: proxy.url })
  t.after(() => session.close())
  await session.rows('SELECT 1')
  const first = await holderOf(target, session)
  await assert.rejects(session.rows('SELECT SLEEP(60)'), { code: 'CONNECTION_LOST' })
  assert.equal(await holderOf(target, session), first, 'the server does not know')
  const started = Date.now()
  const [row] = await session.rows('SELECT CONNECTION_ID() AS id')
  assert.ok(Date.now() - started < 20_000)
  assert.equal(await holderOf(target, session), Number(row!.id))
  const found = await target.query('SELECT id FROM information_schema.processlist WHERE id = ?', [first])
  assert.deepEqual(found, [])
})

test('a lock that somebody else holds and does not give back is told, with the statement that ends it', async hooks => {
  const t = reversed(hooks)
  const target = await freshMariadb(t)
  const session = new TargetSession({
    name: 'to',
    url: target.url,
    timeouts: { silence: 60_000, lock: 1000 },
  })
  t.after(() => session.close())
  await target.query('SELECT GET_LOCK(?, 0)', [`nightfreight ${session.owner}`])
  const thread = await holderOf(target, session)
  await assert.rejects(session.rows('SELECT 1'), (error: EngineError) => {
    assert.equal(error.code, 'LOCK_TIMEOUT')
    assert.equal(
      error.message,
      `to: the load waited 1 s for connection ${thread}, which holds the lock of what it stages`,
    )
    assert.match(error.hint!, new RegExp(`run the job again: KILL ${thread};$`))
    return true
  })
  await target.query('SELECT RELEASE_ALL_LOCKS()')
  await session.rows('SELECT 1')
})

/** A target for a user who has these rights on a database. */
async function granted(t: Hooks, { url, name, query }: FreshDatabase, rights: string[]) {
  const user = `${name}_u`.slice(-32)
  await query(`CREATE USER ${user}@'127.0.0.1' IDENTIFIED BY 'secret'`)
  t.after(async () => void (await query(`DROP USER ${user}@'127.0.0.1'`)))
  for (const right of rights) await query(`GRANT ${right} TO ${user}@'127.0.0.1'`)
  const own = new URL(url)
  Object.assign(own, { username: user, password: 'secret' })
  const target = new MysqlTarget({ name: 'to', url: own.href })
  t.after(() => target.close())
  return target
}

const never = new AbortController().signal

test('who has rights on single tables is not refused for notes that are not there', async hooks => {
  const t = reversed(hooks)
  const target = await freshMariadb(t)
  await target.query('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)')
  const reader = await granted(t, target, [`SELECT ON ${target.name}.t`])
  assert.equal((await reader.standing('t', never)).now?.rows, 1)
})

test('who may only read looks at what is there, and leaves it to others to end what a load began', async hooks => {
  const t = reversed(hooks)
  const target = await freshMariadb(t)
  const session = await begun(t, target)
  await target.query('COMMIT')
  await session.close()
  await target.query('CREATE TABLE u (id int PRIMARY KEY); INSERT INTO u VALUES (1)')
  const reader = await granted(t, target, [`SELECT ON ${target.name}.*`])
  assert.equal((await reader.standing('u', never)).now?.rows, 1)
  assert.equal((await reader.standing('t', never)).now, undefined)
  const writer = new MysqlTarget({ name: 'to', url: target.url })
  t.after(() => writer.close())
  assert.equal((await writer.standing('t', never)).now?.rows, 3)
})

test('a load whose line is lost at COMMIT, while the server is at it, is there whole or not at all', async t => {
  await admin.query('CREATE DATABASE lost')
  const locker = await mysql.createConnection(server.url)
  t.after(() => locker.end())
  let losing = true
  const parsers = new Map<number, ReturnType<typeof mysqlStatements>>()
  const proxy = await judgingProxy(at('lost'), async (bytes, connection) => {
    const parser = parsers.get(connection) ?? mysqlStatements()
    parsers.set(connection, parser)
    if (!losing || !parser(bytes).includes('COMMIT')) return 'pass'
    losing = false
    // A commit waits for it.
    await locker.query('FLUSH TABLES WITH READ LOCK')
    setTimeout(() => void locker.query('UNLOCK TABLES'), 700)
    return 'cut off'
  })
  t.after(() => proxy.close())
  const job = await smallJob(t, 'lost-at-commit', {
    'job.yaml': `
connections: { from: "${at('source')}", to: "${proxy.url}" }
extract:
  parents: { from: from, table: parents }
load:
  parents: { to: to, from: parents, key: id, mode: replace }
resources: { memory: 400MB, threads: 1 }
retries: { limit: 0 }
`,
  })
  const { error } = await job.run()
  assert.equal(losing, false)
  const loads = await rowsOf('SELECT load_id FROM lost.nightfreight_loads')
  const tables = await rowsOf(`SELECT 1 FROM information_schema.tables
    WHERE table_schema = 'lost' AND table_name = 'parents'`)
  assert.equal(tables.length, loads.length)
  assert.equal(error === undefined, loads.length === 1, String(error))
  const again = await job.run()
  assert.equal(again.error, undefined, String(again.error))
  assert.equal((await rowsOf('SELECT * FROM lost.parents')).length, 100)
})

test('where a server takes letters of another case for one name, so do the notes of tables', async t => {
  const jobs = []
  for (const [parents, children] of [
    ['Parents', 'MART.Children'],
    ['parents', 'children'],
  ] as const)
    jobs.push(
      await smallJob(t, 'letters', {
        'job.yaml': `
connections: { from: "${at('source')}", to: "${at('mart')}" }
extract:
  parents: { from: from, table: Parents }
  children: { from: from, table: Children }
load:
  ${children}: { to: to, from: children, key: id, mode: replace, foreign_keys: source }
  ${parents}: { to: to, from: parents, key: id, mode: replace }
resources: { memory: 400MB, threads: 1 }
retries: { limit: 0 }
`,
      }),
    )
  const [first, second] = jobs as [(typeof jobs)[0], (typeof jobs)[0]]
  const inserted = async (job: typeof first) => {
    const { outcome, error } = await job.run()
    assert.equal(error, undefined, String(error))
    return outcome.accounts.loads.map(({ loaded, unchanged }) => ({ loaded, unchanged }))
  }
  assert.deepEqual(await inserted(first), [
    { loaded: 300, unchanged: 0 },
    { loaded: 100, unchanged: 0 },
  ])
  assert.deepEqual(await inserted(first), [
    { loaded: 0, unchanged: 300 },
    { loaded: 0, unchanged: 100 },
  ])
  await inserted(second)
  const noted = await rowsOf('SELECT name FROM mart.nightfreight_tables ORDER BY 1')
  assert.deepEqual(
    noted.map(({ name }) => name),
    ['mart.children', 'mart.parents'],
  )
  assert.deepEqual(await rowsOf('SELECT * FROM mart.nightfreight_made'), [])
  // Children come after their parents, whose rows are new.
  await admin.query(
    "INSERT INTO source.parents VALUES (101, 'p101'); INSERT INTO source.children VALUES (301, 101)",
  )
  const { error } = await first.run()
  assert.equal(error, undefined, String(error))
  const [row] = await rowsOf('SELECT count(*) AS n FROM mart.children WHERE parent = 101')
  assert.equal(Number(row!.n), 1)
})

test('a load is not what the defaults of a server make of its sessions', async t => {
  await admin.query('CREATE DATABASE odd')
  const defaults = {
    autocommit: 0,
    completion_type: "'CHAIN'",
    foreign_key_checks: 0,
    unique_checks: 0,
    sql_safe_updates: 1,
    max_error_count: 0,
    explicit_defaults_for_timestamp: 0,
  }
  await admin.query(
    "CREATE TABLE source.moments (id int PRIMARY KEY, at timestamp NOT NULL); INSERT INTO source.moments VALUES (1, '2026-03-01 02:00:00')",
  )
  for (const [name, value] of Object.entries(defaults)) await admin.query(`SET GLOBAL ${name} = ${value}`)
  t.after(async () => {
    for (const name of Object.keys(defaults)) await admin.query(`SET GLOBAL ${name} = DEFAULT`)
  })
  const job = await smallJob(t, 'odd', {
    'job.yaml': `
connections: { from: "${at('source')}", to: "${at('odd')}" }
extract: { parents: { from: from, table: parents }, moments: { from: from, table: moments } }
load:
  moments: { to: to, from: moments, key: id }
  plain: { to: to, from: parents, key: id, mode: replace, verify: off }
  narrow: { to: to, from: parents, key: id, mode: replace, verify: off }
resources: { memory: 400MB, threads: 1 }
retries: { limit: 0 }
`,
  })
  const parents = (await rowsOf('SELECT * FROM source.parents')).length
  for (const rows of [parents, parents + 1, parents]) {
    const { error } = await job.run()
    assert.equal(error, undefined, String(error))
    for (const table of ['plain', 'narrow'])
      assert.equal((await rowsOf(`SELECT * FROM odd.${table}`)).length, rows)
    await admin.query(
      rows === parents
        ? "INSERT INTO source.parents VALUES (1000, 'p1000'); COMMIT"
        : 'DELETE FROM source.parents WHERE id = 1000; COMMIT',
    )
  }
  const waiting = await rowsOf('SELECT * FROM information_schema.innodb_trx')
  assert.deepEqual(waiting, [])
  // A timestamp has no default and no change of its own: its source's has none.
  const [moment] = await rowsOf(
    "SELECT column_default AS fallback, extra FROM information_schema.columns WHERE table_schema = 'odd' AND table_name = 'moments' AND column_name = 'at'",
  )
  assert.deepEqual({ ...moment }, { fallback: null, extra: '' })
  // A value that is cut is told though the server keeps no warnings.
  const session = new TargetSession({ name: 'to', url: at('odd') })
  t.after(() => session.close())
  const open = await session.open()
  await session.rows('CREATE TABLE cut (v varchar(3))')
  await session.rows("SET SESSION sql_mode = ''")
  await assert.rejects(change(open, 'to.cut', "INSERT INTO cut VALUES ('long')"), { code: 'DATA_INVALID' })
})

test('a server that makes no table without a key takes loads, and says what a load without one needs', async t => {
  await admin.query('CREATE DATABASE keyed')
  await admin.query('SET GLOBAL innodb_force_primary_key = 1')
  t.after(async () => void (await admin.query('SET GLOBAL innodb_force_primary_key = 0')))
  const yaml = (load: string) => `
connections: { from: "${at('source')}", to: "${at('keyed')}" }
extract: { parents: { from: from, table: parents } }
load:
${load}
resources: { memory: 400MB, threads: 2 }
retries: { limit: 0 }
`
  const job = await smallJob(t, 'keyed', {
    'job.yaml': yaml(`  plain: { to: to, from: parents, key: id, deletes: hard, on_bad_row: quarantine }
  past: { to: to, from: parents, key: id, mode: scd2 }`),
  })
  for (const change of [
    "INSERT INTO source.parents VALUES (500, 'p500')",
    "UPDATE source.parents SET name = 'other' WHERE id = 1; DELETE FROM source.parents WHERE id = 500",
  ]) {
    await admin.query(change)
    const { error } = await job.run()
    assert.equal(error, undefined, String(error))
  }
  const there = await rowsOf('SELECT id, name FROM source.parents ORDER BY id')
  assert.deepEqual(await rowsOf('SELECT id, name FROM keyed.plain ORDER BY id'), there)
  job.yaml(yaml('  keyless: { to: to, from: parents, mode: replace, key: [] }'))
  const { error } = await job.run()
  assert.match(
    String((error as EngineError).hint),
    /The server makes no table without a primary key: name the columns/,
  )
})
