/**
 * `npm run soak:crash [-- instants [cuts [members [points [upsets]]]] [--from N --seed S --parallel P]]`: the main job is killed at each of its commit points,
 * at so many random instants, has its connections cut at random bytes, and its disk full; each time it is continued, and
 * the target, the history, the error records and the quarantine must be those of an undisturbed run. Then a small job's
 * nights are upset so often, in turn as `upsets.ts` says: processes are stopped and woken, the metadata store is killed and
 * cut off, files of the home are damaged, the clock is set; `--parallel` (2) at once, `--from` (0) the first that is done, so that a
 * soak that ended goes on with its `--seed`. Prints what differed; the exit code is 1 then. About 8 s a kill, 20 s an upset; the
 * disk needs root (a tmpfs).
 */
import { type ChildProcess, execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { isDeepStrictEqual, parseArgs } from 'node:util'
import { startMariadb } from '../../src/demo/servers/mariadb.ts'
import { startPostgres } from '../../src/demo/servers/postgres.ts'
import { commitPoints, contents, isPoint, killAt, traces } from '../jobs/crash.ts'
import { type NightResult, runNight, startSystems } from '../jobs/night.ts'
import { ensureMariadb } from '../mariadb.ts'
import { cuttingProxy } from '../proxy.ts'
import { type FreshDatabase, freshPostgres, type Hooks } from '../servers.ts'
import { chaos } from './chaos.ts'
import { UPSETS } from './upsets.ts'

const { positionals, values: options } = parseArgs({
  allowPositionals: true,
  options: { from: { type: 'string' }, seed: { type: 'string' }, parallel: { type: 'string' } },
})
const [instants = 300, cuts = 30, members = 600, most = Infinity, upsets = 500] = positionals.map(Number)
const AT = '2025-12-01T02:00:00Z'
const failures: string[] = []
/** Trials by kind, and how many of them were disturbed in time. */
const tally: Record<string, { trials: number; disturbed: number }> = {}

/** Hooks of a part of the whole, and its end: each trial leaves nothing to the next. */
function cleaners(): { hooks: Hooks; clean(): Promise<void> } {
  const acts: (() => Promise<void>)[] = []
  return {
    hooks: { after: act => void acts.unshift(act) },
    async clean() {
      for (const act of acts) await act().catch(error => failures.push(String(error)))
    },
  }
}

const { hooks, clean } = cleaners()
const servers = mkdtempSync(join(tmpdir(), 'nightfreight-crash-servers-'))
ensureMariadb()
const postgres = await startPostgres({ dir: servers })
const mariadb = await startMariadb({ dir: servers })
hooks.after(async () => {
  await Promise.all([postgres.stop(), mariadb.stop()])
  rmSync(servers, { recursive: true, force: true })
})
process.env.TEST_POSTGRES_URL = postgres.url
process.env.TEST_MARIADB_URL = mariadb.url

const systems = await startSystems(hooks, members, 79)
// The job with short pauses between attempts.
const queries = mkdtempSync(join(tmpdir(), 'nightfreight-crash-'))
hooks.after(async () => rmSync(queries, { recursive: true, force: true }))
cpSync('queries', queries, { recursive: true })
const job = join(queries, 'members')
const yaml = readFileSync(join(job, 'job.yaml'), 'utf8')
writeFileSync(join(job, 'job.yaml'), `${yaml}\nretries: { limit: 2, delay: 100ms }\n`)
const RUN = ['run', job, '--at', AT]

interface Place {
  warehouse: FreshDatabase
  env: Record<string, string>
  home: string
}

async function place(own: Hooks): Promise<Place> {
  const warehouse = await freshPostgres(own)
  const home = mkdtempSync(join(tmpdir(), 'nightfreight-crash-home-'))
  own.after(async () => rmSync(home, { recursive: true, force: true }))
  return { warehouse, home, env: systems.env(warehouse, home) }
}

const state = async ({ warehouse, home }: Place) => ({
  ...((await traces(home)) as object),
  target: await contents(warehouse),
})

const undisturbed = await place(hooks)
const began = Date.now()
const first = await runNight(undisturbed.env, AT, undefined, RUN)
let took = Date.now() - began
if (first.code !== 0) throw new Error(first.output)
const expected = await state(undisturbed)
const staged = Number.parseInt(
  execFileSync('du', ['-sk', join(undisturbed.home, 'staging')], { encoding: 'utf8' }),
  10,
)
const points = commitPoints(first.events)
console.log(`${points.length} commit points, ${took} ms a run, ${staged} kB staged`)

/** Disturbs a night, then continues it until it is loaded, and compares. */
async function trial(
  kind: string,
  name: string,
  disturb: (place: Place, own: Hooks) => Promise<NightResult & { was?: boolean }>,
): Promise<void> {
  const own = cleaners()
  const where = await place(own.hooks)
  const disturbed = await disturb(where, own.hooks)
  const count = tally[kind] ?? { trials: 0, disturbed: 0 }
  tally[kind] = count
  count.trials++
  if (disturbed.was ?? disturbed.code !== 0) count.disturbed++
  const { history } = (await traces(where.home)) as { history: { status: string }[] }
  // Killed with its end already kept: another `run` would be another run, which finds nothing to do.
  const over = history.some(({ status }) => status === 'SUCCESS' || status === 'COMPLETED_WITH_ERRORS')
  // It may have been done before, or have mended itself.
  for (let attempt = 0; disturbed.code !== 0 && !over && attempt < 10; attempt++) {
    const again = await runNight(where.env, AT, undefined, RUN)
    if (again.code === 0) break
    const run = again.events.findLast(({ event }) => event === 'result')?.run
    const resumed = run ? await runNight(where.env, AT, undefined, ['resume', String(run)]) : again
    if (resumed.code === 0) break
    if (attempt === 9) failures.push(`${name}: ${resumed.output.slice(-2000)}`)
  }
  const found = await state(where)
  // A run that failed in between is one more of the history.
  const ended = (list: unknown) => (list as { status: string }[]).filter(({ status }) => status !== 'FAILED')
  const same = isDeepStrictEqual(
    { ...found, history: ended((found as { history?: unknown }).history) },
    { ...expected, history: ended((expected as { history?: unknown }).history) },
  )
  if (!same)
    failures.push(
      `${name}: ${JSON.stringify(found).slice(0, 3000)}\nexpected: ${JSON.stringify(expected).slice(0, 3000)}`,
    )
  console.log(`${same ? 'equal  ' : 'DIFFERS'} ${name}`)
  await own.clean()
}

for (const point of points.slice(0, most))
  await trial('commit points', point, async ({ env }) => runNight(env, AT, killAt(isPoint(point)), RUN))

if (process.getuid?.() === 0)
  for (const share of [0.2, 0.4, 0.6])
    await trial('full disks', `disk full at ${share} of what is staged`, async ({ env, home }, own) => {
      const disk = join(home, 'staging')
      mkdirSync(disk)
      const size = Math.ceil(staged * share)
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}k`, 'tmpfs', disk])
      own.after(async () => void execFileSync('umount', [disk]))
      const result = await runNight(env, AT, undefined, RUN)
      const { code, output } = result
      if (code !== 75) failures.push(`disk full at ${share}: exit code ${code}: ${output.slice(-1000)}`)
      execFileSync('mount', ['-o', 'remount,size=500M', disk])
      return result
    })

for (let cut = 0; cut < cuts; cut++) {
  const budget = () => (Math.random() < 0.5 ? Infinity : Math.floor(10 ** (2 + Math.random() * 4)))
  await trial('cut connections', `cut ${cut}`, async ({ env }) => {
    const proxied = { ...env }
    const proxies = []
    for (const variable of ['LEGACY_DB_URL', 'CRM_DB_URL', 'WAREHOUSE_URL']) {
      const proxy = await cuttingProxy(env[variable]!, budget)
      proxies.push(proxy)
      proxied[variable] = proxy.url
    }
    const result = await runNight(proxied, AT, undefined, RUN)
    for (const proxy of proxies) await proxy.close()
    return { ...result, was: proxies.some(proxy => proxy.cuts > 0) }
  })
}

for (let instant = 0; instant < instants; instant++) {
  const after = Math.floor(Math.random() * took)
  await trial('random instants', `after ${after} ms`, async ({ env }) => {
    const kill = (child: ChildProcess) => void delay(after).then(() => child.kill('SIGKILL'))
    const start = Date.now()
    const result = await runNight(env, AT, undefined, RUN, kill)
    // On a machine that had other work: a kill that comes too late is none.
    if (result.code === 0) took = Math.min(took, Date.now() - start)
    return result
  })
}

failures.push(
  ...(await chaos({
    trials: upsets,
    upsets: UPSETS,
    from: Number(options.from ?? 0),
    parallel: Number(options.parallel ?? 2),
    seed: Number(options.seed ?? Date.now() % 2 ** 31),
    say: line => console.log(line),
    hooks: cleaners,
  })),
)

await clean()
for (const [kind, { trials, disturbed }] of Object.entries(tally))
  console.log(`${kind}: ${trials} trials, ${disturbed} disturbed in time`)
for (const failure of failures) console.error(failure)
console.log(`${failures.length} failures`)
process.exitCode = failures.length > 0 ? 1 : 0
