/**
 * What scheduling costs: 1,000 jobs that are due at once, planned, taken, begun and ended, in SQLite and in Postgres; the
 * runs themselves do nothing. Milliseconds a run. `npm run bench:schedule`.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { createDatabase, startPostgres } from '../src/demo/servers/postgres.ts'
import { openMetadata } from '../src/metadata/open.ts'
import { Cron } from '../src/service/cron.ts'
import type { ScheduledJob } from '../src/service/job.ts'
import type { Assignment } from '../src/service/runner.ts'
import { Scheduler } from '../src/service/scheduler.ts'
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
    rows.push([
      name,
      `${(own / JOBS).toFixed(2)} ms`,
      `${each.toFixed(2)} ms`,
      rounds,
      `${(performance.now() - idle).toFixed(2)} ms`,
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
    ],
    rows,
  ),
)
