import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { EngineError } from '../../engine/errors.ts'
import { startPostgres } from '../../src/demo/servers/postgres.ts'
import { Metadata } from '../../src/metadata/metadata.ts'
import { Postgres } from '../../src/metadata/postgres.ts'
import { startPgbouncer } from '../pgbouncer.ts'
import { judgingProxy, type Verdict } from '../proxy.ts'
import { freshPostgres } from '../servers.ts'
import { crash } from '../soak/upsets.ts'

const server = await freshPostgres()
let stores = 0

/** A store behind a line that `judge` may cut, or hold for ever. */
async function open(t: TestContext, judge: (sql: string) => Verdict | Promise<Verdict>): Promise<Metadata> {
  const proxy = await judgingProxy(server.url, bytes => judge(bytes.toString('latin1')))
  const own = `?options=${encodeURIComponent(`-c search_path=away_${++stores}`)}`
  const metadata = await Metadata.open(new Postgres(`${proxy.url}${own}`), { now: () => new Date() })
  t.after(async () => {
    await metadata.close()
    await proxy.close()
  })
  return metadata
}

async function behind(t: TestContext, judge: (sql: string) => Verdict) {
  const metadata = await open(t, judge)
  const { database } = metadata
  await database.run(`INSERT INTO pools (name, slots) VALUES ('n', 0)`)
  const slots = async () => (await database.all<{ slots: number }>('SELECT slots FROM pools'))[0]!.slots
  const raise = () =>
    database.transaction(async queries => {
      const [pool] = await queries.all<{ slots: number }>('SELECT slots FROM pools')
      await queries.run('UPDATE pools SET slots = :slots', { slots: pool!.slots + 1 })
    })
  return { metadata, slots, raise }
}

for (const [statement, how] of [
  ['BEGIN', 'cut'],
  ['UPDATE', 'cut'],
  ['UPDATE', 'cut after the answer'],
  ['COMMIT', 'cut'],
  ['COMMIT', 'cut after the answer'],
] as const)
  test(`a transaction whose connection is ${how} at ${statement} is made exactly once`, async t => {
    let isArmed = false
    const { slots, raise } = await behind(t, sql => {
      if (!isArmed || !sql.includes(statement)) return 'pass'
      isArmed = false
      return how
    })
    isArmed = true
    await raise()
    assert.equal(isArmed, false)
    assert.equal(await slots(), 1)
  })

test('a store that is away for a moment is asked again', async t => {
  let isAway = false
  const { metadata, slots, raise } = await behind(t, () => (isAway ? 'cut' : 'pass'))
  isAway = true
  setTimeout(() => {
    isAway = false
  }, 1500)
  await Promise.all([raise(), raise(), metadata.runs(1)])
  assert.equal(await slots(), 2)
})

test('a store that was never there is not waited for', async () => {
  const began = performance.now()
  await assert.rejects(
    Metadata.open(new Postgres('postgres://nobody@127.0.0.1:9/none'), { now: () => new Date() }),
    { code: 'CONNECTION_FAILED' },
  )
  assert.ok(performance.now() - began < 5000)
})

test('a store that has no connection left is waited for, by who was there and by who comes', async t => {
  const role = `crowded_${server.name}`
  await server.query(
    `CREATE ROLE ${role} LOGIN PASSWORD 'p'; GRANT CREATE ON DATABASE ${server.name} TO ${role}`,
  )
  t.after(() => server.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`).then(() => {}))
  const url = new URL(server.url)
  url.username = role
  url.password = 'p'
  const clock = { now: () => new Date() }
  const there = await Metadata.open(new Postgres(`${url}?options=-c%20search_path%3D${role}`), clock)
  t.after(() => there.close())
  await server.query(`ALTER ROLE ${role} CONNECTION LIMIT 0`)
  await server.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1`, [role])
  const asked = there.runs(1)
  const comes = Metadata.open(new Postgres(`${url}?options=-c%20search_path%3D${role}`), clock)
  await Promise.race([comes, asked, delay(900)])
  await server.query(`ALTER ROLE ${role} CONNECTION LIMIT -1`)
  assert.deepEqual(await asked, [])
  await (await comes).close()
})

test('a store that recovers from a crash is waited for', async t => {
  const dir = mkdtempSync(join(tmpdir(), 'nightfreight-recovering-'))
  const own = await startPostgres({ dir })
  t.after(async () => {
    await own.stop()
    rmSync(dir, { recursive: true })
  })
  crash(own)
  const metadata = await Metadata.open(new Postgres(own.url), { now: () => new Date() })
  await metadata.close()
})

test('a lease that cannot be renewed is lost before it ends, and not to somebody else', async t => {
  let verdict: Verdict = 'pass'
  const never = new Promise<Verdict>(() => {})
  const { leases } = await open(t, () => (verdict === 'pass' ? verdict : never))
  const lease = (await leases.acquire('run/x', 'a', 2000))!
  const began = performance.now()
  const lost: string[] = []
  leases.keep(lease, error => lost.push(error.code), 2000)
  // Silent, not refused: nothing fails, and nothing answers.
  verdict = 'cut'
  while (lost.length === 0 && performance.now() - began < 10_000) await delay(20)
  assert.deepEqual(lost, ['CONNECTION_LOST'])
  assert.ok(performance.now() - began < 2400, 'before the lease ends')
})

for (const ignored of ['', 'ignore_startup_parameters = options'])
  test(`a pooler keeps no settings, and is refused before anything is made: ${ignored || 'as it is'}`, async t => {
    const folder = mkdtempSync(join(tmpdir(), 'nightfreight-pooler-'))
    const pooler = await startPgbouncer(folder, server.url, ignored)
    t.after(async () => {
      await pooler.stop()
      rmSync(folder, { recursive: true, force: true })
    })
    for (const url of [pooler.url, pooler.sessionUrl])
      await assert.rejects(Metadata.open(new Postgres(url), { now: () => new Date() }), (error: unknown) => {
        assert.ok(error instanceof EngineError)
        assert.deepEqual([error.code, error.exitCode], ['CONFIG_INVALID', 2])
        assert.match(error.message, /METADATA_URL leads to a pooler/)
        return true
      })
    const made = await server.query(
      `SELECT 1 FROM pg_class WHERE relname = 'schema_version' AND relnamespace = 'public'::regnamespace`,
    )
    assert.deepEqual(made, [])
  })
