import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { latestAlerts } from '../../src/metadata/alerts.ts'
import { openMetadata } from '../../src/metadata/open.ts'
import { poolSlots } from '../../src/metadata/pools.ts'
import type { RunRecord } from '../../src/metadata/runs.ts'
import { receiver } from '../alerts/receivers.ts'
import type { Hooks } from '../servers.ts'

const ROOT = join(import.meta.dirname, '../..')
const DAY = 24 * 3_600_000

/** A home with jobs that copy a file of ten rows, and the command line on it. */
async function home(hooks: Hooks, jobs: Record<string, string>) {
  const folder = mkdtempSync(join(tmpdir(), 'nightfreight-serve-'))
  const drops = join(folder, 'drops')
  mkdirSync(drops)
  writeFileSync(
    join(drops, 'items.csv'),
    `id,n\n${Array.from({ length: 10 }, (_, n) => `${n},${n}\n`).join('')}`,
  )
  for (const [name, schedule] of Object.entries(jobs)) {
    const job = join(folder, 'jobs', name)
    mkdirSync(job, { recursive: true })
    writeFileSync(join(job, 'out.sql'), `SELECT id, n, getvariable('run_at') AS run_at FROM items`)
    writeFileSync(
      join(job, 'job.yaml'),
      `job: ${name}
schedule: ${schedule}
connections: { drops: "file://${drops}", warehouse: "duckdb:${join(folder, `${name}.duckdb`)}" }
extract: { items: { from: drops, files: "items*.csv", key: id, schema: { id: BIGINT, n: BIGINT } } }
load: { items: { to: warehouse, from: out, key: id } }
resources: { memory: 300MB, threads: 1 }
`,
    )
  }
  const children = new Set<ChildProcess>()
  const metadata = await openMetadata(folder, { now: () => new Date() }, undefined)
  hooks.after(async () => {
    for (const child of children) child.kill('SIGKILL')
    await metadata.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const begin = (...args: string[]) => {
    const child = spawn(process.execPath, ['src/main.ts', ...args], {
      cwd: ROOT,
      // The cache of compiled code makes each start cheaper.
      env: {
        ...process.env,
        NIGHTFREIGHT_HOME: folder,
        METADATA_URL: '',
        NODE_COMPILE_CACHE: join(folder, 'cache'),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    children.add(child)
    return child
  }
  return {
    metadata,
    folder,
    drops,
    log: () => readFileSync(join(folder, 'nightfreight.log'), 'utf8'),
    job: (name: string) => join(folder, 'jobs', name),
    async cli(...args: string[]) {
      const child = begin(...args)
      const texts = ['', '']
      for (const [n, stream] of [child.stdout!, child.stderr!].entries())
        stream.setEncoding('utf8').on('data', (text: string) => {
          texts[n] += text
        })
      const [code] = (await once(child, 'close')) as [number | null]
      return { code, out: texts[0]!, err: texts[1]! }
    },
    /** A service that has said where its health is. */
    async serve(...args: string[]) {
      const child = begin('serve', join(folder, 'jobs'), '--port', '0', ...args)
      const [line] = (await once(child.stderr!.setEncoding('utf8'), 'data')) as [string]
      const url = /http:\/\/[\d.:]+/.exec(line)?.[0]
      assert.ok(url, line)
      const ask = async (path: string) => {
        const answer = await fetch(url + path)
        return { status: answer.status, text: await answer.text() }
      }
      return { child, ask }
    },
    async until(job: string, state: string, count: number) {
      for (let n = 0; n < 600; n++) {
        const found = (await metadata.intervals.list(job, 99)).filter(each => each.state === state)
        if (found.length >= count) return found
        await delay(100)
      }
      assert.fail(
        `${job}: no ${count} intervals are ${state}: ${JSON.stringify(await metadata.intervals.list(job, 99))}`,
      )
    },
  }
}

const day = (ago: number) => new Date(Date.now() - ago * DAY).toISOString().slice(0, 10)

test('serve runs what is due and what follows it; a second one takes over from a killed one; SIGTERM ends it', async t => {
  const at = await home(t, {
    nightly: `{ cron: "0 0 * * *", catchup: true, start: ${day(2)}, depends_on_past: true }`,
    report: `{ after: nightly, catchup: true, start: ${day(2)} }`,
    arrivals: `{ files: { from: drops, match: "items*.csv" } }`,
  })
  const one = await at.serve('--slots', '2', '--pool', 'legacy_db_pool=2')
  await at.until('nightly', 'SUCCESS', 1)
  assert.deepEqual(await one.ask('/healthz'), { status: 200, text: 'ok\n' })
  assert.deepEqual(await one.ask('/readyz'), { status: 200, text: 'leads\n' })
  assert.match((await one.ask('/metrics')).text, /^batch_queue_depth \d+$/m)
  assert.deepEqual(await poolSlots(at.metadata.database), new Map([['legacy_db_pool', 2]]))
  assert.equal((await one.ask('/nothing')).status, 404)
  const two = await at.serve()
  assert.equal((await two.ask('/readyz')).text, 'stands by\n')
  one.child.kill('SIGKILL')
  await once(one.child, 'exit')
  for (const job of ['nightly', 'report']) await at.until(job, 'SUCCESS', 2)
  await at.until('arrivals', 'SUCCESS', 1)
  assert.equal((await two.ask('/readyz')).text, 'leads\n')
  // It was started without that pool.
  assert.deepEqual(await poolSlots(at.metadata.database), new Map())
  assert.match(at.log(), /"pool":"legacy_db_pool","msg":"the pool has no limit any more/)
  two.child.kill('SIGTERM')
  assert.deepEqual(await once(two.child, 'exit'), [0, null])
  assert.equal(await at.metadata.leases.holder('scheduler'), undefined)
  const runs = await at.metadata.runs(99)
  assert.deepEqual(runs.map(({ job, status, trigger }) => `${job} ${status} ${trigger}`).sort(), [
    'arrivals SUCCESS event',
    ...Array(2).fill('nightly SUCCESS schedule'),
    ...Array(2).fill('report SUCCESS after'),
  ])
  for (const { run_at, interval_end } of runs) assert.equal(run_at, interval_end)
  const listed = await at.cli('intervals', 'nightly', '--limit', '2')
  assert.match(listed.out, /^\S+T00:00:00\.000Z {2}\S+ {2}SUCCESS {2}run \S+\n.*SUCCESS/)
})

test('a run that is killed is continued by the service, by itself', async t => {
  const at = await home(t, { fallen: `{ cron: "0 0 * * *" }` })
  const { child } = await at.serve()
  let killed: RunRecord | undefined
  while (!killed) {
    const [run] = await at.metadata.activeRuns('fallen')
    // Its process, not the claim's before it.
    if (run) {
      process.kill(Number(run.owner.split(':')[1]), 'SIGKILL')
      killed = run
    } else await delay(10)
  }
  await at.until('fallen', 'SUCCESS', 1)
  const [run, ...more] = await at.metadata.runs(9)
  assert.deepEqual([run!.run, run!.status, run!.attempt, more], [killed.run, 'SUCCESS', 2, []])
  child.kill('SIGTERM')
  assert.deepEqual(await once(child, 'exit'), [0, null])
})

test('backfill: what it would run, in order, and not again; pause and unpause', async t => {
  const at = await home(t, { nightly: `{ cron: "0 2 * * *", timezone: Europe/Berlin, max_active_runs: 2 }` })
  const range = ['--from', '2026-03-27', '--to', '2026-03-29T12:00']
  const dry = await at.cli('backfill', at.job('nightly'), ...range, '--dry-run')
  assert.deepEqual(dry.out.trim().split('\n'), [
    '2026-03-27T01:00:00.000Z  2026-03-28T01:00:00.000Z  would run',
    '2026-03-28T01:00:00.000Z  2026-03-29T01:00:00.000Z  would run',
    '2026-03-29T01:00:00.000Z  2026-03-30T00:00:00.000Z  would run',
  ])
  const done = await at.cli('backfill', at.job('nightly'), ...range)
  assert.equal(done.code, 0, done.err + done.out)
  assert.equal(done.out.match(/SUCCESS$/gm)?.length, 3)
  const again = await at.cli('backfill', at.job('nightly'), ...range)
  assert.equal(again.out.match(/SUCCESS already$/gm)?.length, 3)
  const many = await at.cli('backfill', at.job('nightly'), ...range, '--parallel', '3')
  assert.deepEqual([many.code, /allows 2 active runs/.test(many.err)], [2, true])
  const never = await at.cli('backfill', at.job('nightly'), '--from', 'tomorrow', '--to', '2026-03-29')
  assert.deepEqual([never.code, /--from tomorrow is no time/.test(never.err)], [2, true])

  assert.equal((await at.cli('pause', 'nightly')).out, 'job nightly is paused\n')
  assert.equal((await at.cli('pause', '--pool', 'db')).out, 'pool db is paused\n')
  assert.match((await at.cli('intervals', 'nightly')).out, /^paused by \S+ since /)
  const { out } = await at.cli('intervals', 'nightly', '--json')
  assert.equal(JSON.parse(out).intervals.length, 3)
  assert.equal((await at.cli('unpause', 'nightly')).out, 'job nightly goes on\n')
  assert.equal((await at.cli('unpause', '--pool', 'db')).out, 'pool db goes on\n')
})

test('a late process cannot begin the run of an interval that somebody else has taken', async t => {
  const at = await home(t, { nightly: `{ cron: "0 2 * * *" }` })
  const [start, end] = ['2026-03-01T02:00:00.000Z', '2026-03-02T02:00:00.000Z']
  const record = await at.metadata.intervals.demand({
    job: 'nightly',
    start: new Date(start),
    end: new Date(end),
  })
  await at.metadata.intervals.take([record])
  const args = [
    'run-interval',
    at.job('nightly'),
    'nightly',
    '--start',
    start,
    '--end',
    end,
    '--trigger',
    'schedule',
  ]
  const late = await at.cli(...args, '--claim', '7')
  assert.deepEqual([late.code, /error FENCED: interval/.test(late.err)], [75, true], late.err)
  assert.deepEqual(await at.metadata.runs(9), [])
  assert.equal((await at.cli(...args, '--claim', '1')).code, 0)
  assert.equal((await at.metadata.intervals.find('nightly', start))?.state, 'SUCCESS')
})

test('a folder without jobs, and a job that cannot be used', async t => {
  const at = await home(t, {
    good: `{ cron: "0 2 1 1 *" }`,
    bad: `{ cron: "0 25 * * *" }`,
    arrivals: `{ files: { from: drops, match: "in/*" } }`,
  })
  // A link to itself can be read by nobody, not even by root.
  symlinkSync('in', join(at.drops, 'in'))
  const none = await at.cli('serve', at.drops, '--port', '0')
  assert.deepEqual([none.code, /is no job's folder/.test(none.err)], [2, true])
  const { child, ask } = await at.serve()
  assert.equal((await ask('/healthz')).status, 200)
  assert.match(at.log(), /expected a cron expression of 5 fields that comes true/)
  const troubles = ['bad: its files cannot be used', 'arrivals: files that are to start it cannot be seen']
  let ready = await ask('/readyz')
  for (let n = 0; n < 100 && !ready.text.includes('arrivals'); n++) {
    await delay(100)
    ready = await ask('/readyz')
  }
  assert.deepEqual(ready, { status: 503, text: troubles.map(each => `${each}: see the log\n`).join('') })
  assert.match((await ask('/metrics')).text, /^nightfreight_service_troubles 2$/m)
  assert.match(at.log(), /drops: in\/\*: ELOOP/)
  const alert = async () => (await latestAlerts(at.metadata.database, 1, 'arrivals'))[0]
  for (let n = 0; n < 100 && !(await alert()); n++) await delay(100)
  assert.match((await alert())!.payload, /drops: in\/\*: ELOOP.*What arrives there starts no run/)
  assert.match((await ask('/jobs')).text, /<td>cannot be used<\/td>/)
  child.kill('SIGTERM')
  assert.deepEqual(await once(child, 'exit'), [0, null])
})

test('a port that is taken, and a host that is none, are no bugs', async t => {
  const taken = createServer().listen(0, '127.0.0.1')
  t.after(() => taken.close())
  await once(taken, 'listening')
  const at = await home(t, { nightly: '{ cron: "0 0 * * *" }' })
  const port = String((taken.address() as AddressInfo).port)
  const second = await at.cli('serve', join(at.folder, 'jobs'), '--port', port)
  assert.deepEqual(
    [second.code, /cannot be served at 127\.0\.0\.1:\d+: .*EADDRINUSE/.test(second.err)],
    [75, true],
  )
  const nowhere = await at.cli('serve', join(at.folder, 'jobs'), '--host', 'nowhere.invalid')
  assert.deepEqual([nowhere.code, /hint: .*--host or --port/.test(nowhere.err)], [2, true], nowhere.err)
})

test('every command of the service has help with an example', async t => {
  const at = await home(t, {})
  for (const command of ['serve', 'backfill', 'intervals', 'pause', 'unpause', 'run-interval']) {
    const { code, out } = await at.cli(command, '--help')
    assert.equal(code, 0)
    assert.match(out, new RegExp(`Examples?:\\n {2}nightfreight ${command} `))
  }
})

test('the heartbeat is asked while all is well, by a flag or the environment; one that is refused is noted', async t => {
  const hook = await receiver(t, response => response.writeHead(404).end('no such check'))
  const at = await home(t, {
    nightly: `{ cron: "0 0 * * *", catchup: true, start: ${day(3)}, depends_on_past: true }`,
  })
  const { child } = await at.serve('--heartbeat', hook.url)
  await at.until('nightly', 'SUCCESS', 3)
  for (let n = 0; n < 100 && hook.bodies.length === 0; n++) await delay(100)
  assert.equal(hook.bodies.length, 1, 'once a minute')
  assert.match(at.log(), /"reason":"answered 404 no such check".*the heartbeat was not taken/)
  assert.doesNotMatch(at.log(), /T0PS3CRET/)
  child.kill('SIGTERM')
  await once(child, 'exit')

  const [first, second] = (await at.metadata.intervals.list('nightly', 3)).toReversed()
  await at.metadata.database.run(
    `UPDATE intervals SET state = CASE WHEN interval_start = :first THEN 'FAILED' ELSE 'WAITING' END, run = NULL`,
    { first: first!.interval_start },
  )
  const blocked = await at.serve('--heartbeat', hook.url)
  let ready = await blocked.ask('/readyz')
  for (let n = 0; n < 100 && ready.status !== 503; n++) {
    await delay(100)
    ready = await blocked.ask('/readyz')
  }
  assert.match(ready.text, new RegExp(`nightly: 2 data intervals wait since ${second!.interval_end}`))
  await delay(1500)
  assert.equal(hook.bodies.length, 1, 'a schedule that stands still is not well')

  const none = await at.cli('serve', at.folder, '--heartbeat', 'hc-ping.com/5b4f')
  assert.deepEqual([none.code, /Expected a URL such as https:/.test(none.err)], [2, true])
})
