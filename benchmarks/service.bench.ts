/**
 * What a service of many jobs costs, in SQLite and in Postgres: a folder of 1,000 jobs of ten tables each, a month of nights
 * in the store, all jobs due at one time. It is the service itself, with its dashboard, which people ask meanwhile, and
 * Prometheus; only the runs do nothing, but to begin, to note ten tables and to end. Prints Markdown; the exit code is 1 where
 * the scheduler is delayed by a second. `npm run bench:service -- [jobs [tables [nights]]]`.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { pino } from 'pino'
import { createDatabase, startPostgres } from '../src/demo/servers/postgres.ts'
import type { Metadata } from '../src/metadata/metadata.ts'
import { openMetadata } from '../src/metadata/open.ts'
import { WebUsers } from '../src/metadata/webUsers.ts'
import { openMask } from '../src/runs/mask.ts'
import { Catalog } from '../src/service/catalog.ts'
import { Launcher } from '../src/service/launch.ts'
import type { Runner } from '../src/service/runner.ts'
import { serve } from '../src/service/serve.ts'
import { ownName } from '../src/util/owner.ts'
import { Access } from '../src/web/access.ts'
import { createApp } from '../src/web/app.ts'
import { listen } from '../src/web/server.ts'
import { LineageBook } from '../src/workbench/lineageBook.ts'
import { cleanUps, machine, table } from './measure.ts'
import type { SleptRun } from './serviceRuns.ts'

const [JOBS = 1000, TABLES = 10, NIGHTS = 30] = process.argv.slice(2).map(Number)
/** Seconds until the jobs are due, and those of the night that is watched. */
const BEFORE_S = 15
const NIGHT_S = 75
/** Seconds that a run takes, at least and at most. */
const RUN_S = [5, 40] as const
const BOUND_MS = 1000
const DUE = Date.parse('2026-03-31T02:00:00Z')

/** The service's clock; the night begins when this is set. */
let offset = 0
const clock = { now: () => new Date(Date.now() + offset) }

await using clean = cleanUps()
const dir = mkdtempSync(join(tmpdir(), 'nightfreight-service-'))
clean.after(async () => rmSync(dir, { recursive: true, force: true }))
const server = await startPostgres({ dir })
clean.after(() => server.stop())
writeJobs()

const rows: (string | number)[][] = []
const pages: (string | number)[][] = []
let worst = 0
for (const [name, url] of [
  ['SQLite', undefined],
  ['Postgres', await createDatabase(server, 'service')],
] as const) {
  const home = join(dir, name)
  mkdirSync(home)
  const metadata = await openMetadata(home, clock, url)
  await fill(metadata)
  const { begun, loop, read, asked } = await night(home, url, metadata)
  await metadata.close()
  const late = begun.map(at => at - DUE).sort((a, b) => a - b)
  const at = (share: number) => late[Math.min(late.length - 1, Math.floor(share * late.length))]!
  worst = Math.max(worst, at(1), loop.max)
  rows.push([
    name,
    `${begun.length} of ${JOBS}`,
    `${at(0).toFixed(0)} / ${at(0.5).toFixed(0)} / ${at(1).toFixed(0)} ms`,
    `${loop.p99.toFixed(0)} ms`,
    `${loop.max.toFixed(0)} ms`,
    `${read.toFixed(1)} s`,
  ])
  for (const { path, times } of asked) {
    times.sort((a, b) => a - b)
    pages.push([
      name,
      `\`${path}\``,
      times.length,
      `${times[times.length >> 1]!.toFixed(0)} ms`,
      `${times.at(-1)!.toFixed(0)} ms`,
    ])
  }
}
console.log(machine())
console.log(`${JOBS} jobs of ${TABLES} tables, ${NIGHTS} nights in the store\n`)
console.log(
  table(
    [
      'store',
      'runs begun',
      'due until begun: first / median / last',
      'event loop, 99 %',
      'event loop, longest',
      'first reading of the jobs',
    ],
    rows,
  ),
)
console.log(`\n${table(['store', 'page', 'asked', 'median', 'longest'], pages)}`)
process.exitCode = worst < BOUND_MS ? 0 : 1

function writeJobs(): void {
  for (let n = 0; n < JOBS; n++) {
    const folder = join(dir, 'jobs', nameOf(n))
    mkdirSync(folder, { recursive: true })
    const names = Array.from({ length: TABLES }, (_, at) => `t${at}`)
    const each = (text: (name: string) => string) => names.map(text).join('\n')
    writeFileSync(
      join(folder, 'job.yaml'),
      `job: ${nameOf(n)}
schedule: { cron: "0 2 * * *", timezone: UTC }
connections: { drop: "file://${dir}", warehouse: "duckdb:${join(dir, 'warehouse.duckdb')}" }
extract:
${each(name => `  ${name}: { from: drop, files: "${name}*.csv", key: id, schema: { id: BIGINT, name: VARCHAR } }`)}
load:
${each(name => `  ${name}: { to: warehouse, from: ${name}_clean, key: id }`)}
sla: { max_duration: 1h }
`,
    )
    for (const name of names) writeFileSync(join(folder, `${name}_clean.sql`), `SELECT id, name FROM ${name}`)
  }
}

function nameOf(n: number): string {
  return `job_${String(n).padStart(4, '0')}`
}

/** Nights that have been: runs, their tables, and what is counted of them. */
async function fill({ database }: Metadata): Promise<void> {
  const nights = Array.from({ length: NIGHTS + 1 }, (_, n) =>
    new Date(DUE - (NIGHTS - n + 1) * 86_400_000).toISOString(),
  )
  const values = (count: number, text: (n: number) => string) =>
    `(SELECT column1 FROM (VALUES ${Array.from({ length: count }, (_, n) => `('${text(n)}')`).join(', ')}) AS v)`
  const jobs = values(JOBS, nameOf)
  const tables = values(TABLES, n => `warehouse.t${n}`)
  const outcomes = values(4, n => ['read', 'loaded', 'unchanged', 'rejected'][n]!)
  const at = 'CAST(:at AS TEXT)'
  const run = `CAST(:at AS TEXT) || ' ' || j.column1`
  await database.transaction(async queries => {
    for (const [n, night] of nights.slice(1).entries()) {
      const when = { at: night }
      await queries.run(
        `INSERT INTO runs (run, job, status, run_at, started_at, ended_at, spec_hash, owner)
         SELECT ${run}, j.column1, 'SUCCESS', ${at}, ${at}, ${at}, '', '' FROM ${jobs} AS j`,
        when,
      )
      await queries.run(
        `INSERT INTO sync_history (run, job_name, sync_timestamp, status, records_processed, duration_seconds, rows_read, rows_loaded,
           rows_unchanged, rows_rejected, rows_superseded, error_rate, quality_score)
         SELECT ${run}, j.column1, ${at}, 'SUCCESS', 9000, 12.5, 10000, 9000, 900, 100, 0, 0.01, 0.99 FROM ${jobs} AS j`,
        when,
      )
      await queries.run(
        `INSERT INTO table_history (job, table_name, run, loaded_at, rows_read, rows_loaded, rows_unchanged, rows_rejected,
           rows_superseded, rows_inserted, rows_updated, rows_deleted, made_from, columns)
         SELECT j.column1, t.column1, ${run}, ${at}, 1000, 900, 90, 10, 0, 800, 100, 0, '["a"]', '[]'
         FROM ${jobs} AS j CROSS JOIN ${tables} AS t`,
        when,
      )
      await queries.run(
        `INSERT INTO intervals (job, interval_start, interval_end, state, run, updated_at)
         SELECT j.column1, CAST(:before AS TEXT), ${at}, 'SUCCESS', ${run}, ${at} FROM ${jobs} AS j`,
        { ...when, before: nights[n]! },
      )
    }
    await queries.run(
      `INSERT INTO totals (job, name, label, value)
       SELECT j.column1, 'rows', o.column1 || ' ' || t.column1, ${1000 * NIGHTS}
       FROM ${jobs} AS j CROSS JOIN ${outcomes} AS o CROSS JOIN ${tables} AS t`,
    )
    await queries.run(
      `INSERT INTO totals (job, name, label, value) SELECT j.column1, 'runs', 'SUCCESS', ${NIGHTS} FROM ${jobs} AS j`,
    )
  })
}

/** One night of the service: when runs began, how long the loop stood, and what pages took. */
async function night(home: string, url: string | undefined, metadata: Metadata) {
  const began = performance.now()
  const catalog = new Catalog([join(dir, 'jobs')], {})
  await catalog.load((_job, folder, error) => {
    throw new Error(folder, { cause: error })
  })
  const read = (performance.now() - began) / 1000
  offset = DUE - BEFORE_S * 1000 - Date.now()
  const log = pino({ level: 'silent' })
  const begun: number[] = []
  const runs = sleepers(home, url, begun)
  const abort = new AbortController()
  const context = {
    access: new Access({ users: new WebUsers(metadata.database, clock), host: '127.0.0.1', tokens: [] }),
    metadata,
    catalog,
    clock,
    launcher: new Launcher([], home, metadata),
    log,
    lineage: new LineageBook(home),
    mask: openMask(home, {}),
  }
  const ready = Promise.withResolvers<number>()
  const served = serve({
    catalog,
    metadata,
    clock,
    runner: runs.runner,
    owner: ownName(),
    slots: JOBS,
    pools: new Map(),
    listen: seen => listen(createApp({ ...context, seen }), { host: '127.0.0.1', port: 0 }),
    log,
    home,
    env: {},
    signal: abort.signal,
    ready: ready.resolve,
  })
  const port = await ready.promise
  const histogram = monitorEventLoopDelay({ resolution: 5 })
  histogram.enable()
  const readers = new Worker(new URL('./serviceReaders.ts', import.meta.url), { workerData: { port } })
  await delay((BEFORE_S + NIGHT_S) * 1000)
  histogram.disable()
  const asked = await new Promise<{ path: string; times: number[] }[]>(resolve => {
    readers.once('message', resolve)
    readers.postMessage('end')
  })
  await readers.terminate()
  abort.abort()
  await served
  await runs.end()
  return {
    begun,
    read,
    asked,
    loop: { p99: histogram.percentile(99) / 1e6, max: histogram.max / 1e6 },
  }
}

/** Runs that do nothing, beside the service, as processes are. */
function sleepers(home: string, url: string | undefined, begun: number[]) {
  const workerData = { home, url, offset, tables: TABLES, seconds: RUN_S }
  const worker = new Worker(new URL('./serviceRuns.ts', import.meta.url), { workerData })
  const ends = new Map<string, () => void>()
  worker.on('message', (job: string) => ends.get(job)?.())
  worker.on('error', error => {
    throw error
  })
  const runner: Runner = {
    start({ job, claim, end }) {
      begun.push(clock.now().getTime())
      worker.postMessage({ job: job.name, start: claim.start, end, fence: claim.fence } satisfies SleptRun)
      return new Promise(resolve => ends.set(job.name, () => resolve(0)))
    },
    stop() {},
  }
  const end = async () => {
    worker.postMessage('end')
    await new Promise<void>(resolve => ends.set('ended', resolve))
    await worker.terminate()
  }
  return { runner, end }
}
