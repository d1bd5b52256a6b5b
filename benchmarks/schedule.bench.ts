/**
 * What scheduling costs, in SQLite and in Postgres: 1,000 jobs that are due at once, planned, taken, begun and ended, whose
 * runs do nothing; and one run whose graph has 1,000 tasks that do nothing. Milliseconds a run, and a task: the exit code
 * is 1 where a task costs 5 or more. `npm run bench:schedule`.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import type { TaskName } from '../engine/contracts/taskName.ts'
import type { RunContext } from '../engine/runtime/context.ts'
import type { FlowSpec } from '../engine/runtime/spec.ts'
import { runTask } from '../engine/runtime/task.ts'
import { taskGraph } from '../engine/runtime/taskGraph.ts'
import { Duck } from '../engine/sql/duckdb.ts'
import { graphOf } from '../engine/sql/graph.ts'
import { createDatabase, startPostgres } from '../src/demo/servers/postgres.ts'
import type { Metadata } from '../src/metadata/metadata.ts'
import { openMetadata } from '../src/metadata/open.ts'
import { checkpointing } from '../src/runs/checkpoints.ts'
import { Cron } from '../src/schedule/cron.ts'
import type { ScheduledJob } from '../src/service/job.ts'
import type { Assignment } from '../src/service/runner.ts'
import { Scheduler } from '../src/service/scheduler.ts'
import type { JobSpec } from '../src/spec/job.ts'
import { cleanUps, machine, table } from './measure.ts'

const JOBS = 1000
const clock = { now: () => new Date() }
await using clean = cleanUps()
const dir = mkdtempSync(join(tmpdir(), 'nightfreight-schedule-'))
clean.after(async () => rmSync(dir, { recursive: true, force: true }))
const server = await startPostgres({ dir })
clean.after(() => server.stop())

const jobs = new Map<string, ScheduledJob>()
for (let n = 0; n < JOBS; n++)
  jobs.set(`job_${n}`, {
    name: `job_${n}`,
    folder: '',
    hash: '',
    cron: new Cron('0 2 * * *', 'Europe/Berlin'),
    catchup: false,
    after: [],
    maxActiveRuns: 1,
    dependsOnPast: true,
    priority: n % 3,
    pools: ['db'],
  })

const rows: (string | number)[][] = []
let dearest = 0
for (const [name, url] of [
  ['SQLite', undefined],
  ['Postgres', await createDatabase(server, 'schedule')],
] as const) {
  const metadata = await openMetadata(dir, clock, url)
  clean.after(() => metadata.close())
  const scheduler = new Scheduler({
    metadata,
    clock,
    jobs: () => jobs,
    slots: 50,
    owner: 'bench:1:',
    log: pino({ level: 'silent' }),
    runner: {
      async start({ job, claim, end }: Assignment) {
        const interval = { interval_start: claim.start, interval_end: end }
        const run = {
          run: `${job.name} ${claim.start}`,
          job: job.name,
          run_at: end,
          spec_hash: '',
          owner: 'bench:1:',
        }
        const { fence } = await metadata.startRun({ ...run, ...interval }, 1, claim)
        const nothing = { records: 0, seconds: 0, error: undefined, syncPoints: [] }
        await metadata.endRun({ ...nothing, ...run, fence, status: 'SUCCESS', runAt: end })
        return 0
      },
      stop() {},
    },
  })
  const started = performance.now()
  let own = 0
  for (let rounds = 1; ; rounds++) {
    const round = performance.now()
    await scheduler.tick()
    own += performance.now() - round
    while (scheduler.facts.running > 0) await new Promise(setImmediate)
    const [done] = await metadata.database.all<{ n: number }>(
      `SELECT count(*) AS n FROM intervals WHERE state = 'SUCCESS'`,
    )
    if (done!.n < JOBS) continue
    const each = (performance.now() - started) / JOBS
    const idle = performance.now()
    await scheduler.tick()
    const idled = performance.now() - idle
    const task = await graph(metadata)
    dearest = Math.max(dearest, own / JOBS, task)
    rows.push([
      name,
      `${(own / JOBS).toFixed(2)} ms`,
      `${each.toFixed(2)} ms`,
      rounds,
      `${idled.toFixed(2)} ms`,
      `${task.toFixed(2)} ms`,
    ])
    break
  }
}
console.log(machine())
console.log(
  table(
    [
      'store',
      'scheduling, a run',
      'a run: planned, taken, begun, ended',
      'rounds',
      'a round with nothing to do',
      'a task of a graph of 1,000',
    ],
    rows,
  ),
)
process.exitCode = dearest < 5 ? 0 : 1

/**
 * Milliseconds a task of one run that has 1,000: models in layers of ten, each reading two of the layer before. Their
 * SQL is read, the graph made, and every task begun, committed and kept as a checkpoint, as a run does.
 */
async function graph(metadata: Metadata): Promise<number> {
  const models = Array.from({ length: 980 }, (_, n) => {
    const first = Math.floor(n / 10) * 10 - 10
    const reads = first < 0 ? ['source'] : [n % 10, (n + 1) % 10].map(of => `m${first + of}`)
    const sql = reads.map(table => `FROM ${table}`).join(' UNION ALL ')
    return { name: `m${n}`, file: `m${n}.sql`, sql }
  })
  const started = performance.now()
  const duck = await Duck.open({ threads: 1 })
  const spec = {
    job: 'graph',
    folder: dir,
    extracts: [{ name: 'source', from: 'legacy' }],
    models,
    checks: [],
    macros: [],
    loads: models
      .slice(-10)
      .map(({ name }) => ({ table: name, to: 'mart', from: name, key: ['id'], verify: 'off' })),
    files: Object.fromEntries(models.map(({ file }) => [file, 'f'.repeat(64)])),
    retries: { limit: 0, delay: 0, maxDelay: 0 },
  } as unknown as JobSpec
  const tasks = taskGraph(spec, (await graphOf(duck, spec)).models)
  const run = { run: 'graph', job: 'graph', run_at: '', spec_hash: '', owner: 'bench:1:' }
  const record = await metadata.startRun(run)
  const never = new AbortController().signal
  const context = {
    spec: spec as FlowSpec,
    tasks: await checkpointing(metadata, record, { spec, tables: {} }, tasks, clock, () => {}),
    clock,
    progress: { note() {} },
    signal: never,
    stop: never,
    duck,
  } as unknown as RunContext
  for (const task of tasks.keys()) await runTask(context, task as TaskName, async () => ({ rows: 1 }))
  const took = performance.now() - started
  duck.close()
  return took / tasks.size
}
