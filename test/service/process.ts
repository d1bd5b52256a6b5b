/**
 * A scheduler as a process of its own, its nights as fast as the arguments say; its runs are pretended, but begin,
 * commit and end as true ones do. `process.ts SETTINGS`, JSON of {@link Settings}. One line of output: "ready".
 */
import { flushCompileCache } from 'node:module'
import { setTimeout as delay } from 'node:timers/promises'
import { pino } from 'pino'
import { openMetadata } from '../../src/metadata/open.ts'
import type { Assignment, Runner } from '../../src/service/runner.ts'
import { Scheduler } from '../../src/service/scheduler.ts'
import { isAlive, isRunning, ownName } from '../../src/util/owner.ts'
import { nightJobs, type Settings } from './nights.ts'

const settings = JSON.parse(process.argv[2]!) as Settings
const wall = { now: () => new Date() }
const metadata = await openMetadata(settings.home, wall, settings.url)
const owner = ownName()
const clock = {
  now: () =>
    new Date(Math.min(settings.end, settings.start + (Date.now() - settings.began) * settings.factor)),
}

const runner: Runner = {
  async start({ job, claim, end, trigger }: Assignment) {
    const own = (await metadata.activeRuns(job.name)).find(run => run.interval_start === claim.start)
    if (own && isRunning(own, wall.now())) return 75
    const run = own
      ? await metadata.takeOver(own, owner, !isAlive(own.owner))
      : await metadata.startRun(
          {
            run: `${job.name}-${claim.start}-${claim.fence}`,
            job: job.name,
            run_at: end,
            spec_hash: '',
            owner,
            trigger,
            interval_start: claim.start,
            interval_end: end,
          },
          job.maxActiveRuns,
          claim,
        )
    if (!run) return 75
    const store = metadata.taskStore(run)
    if ((await store.output('load')) === undefined) {
      await store.begin('load')
      await delay(Math.random() * 20)
      await store.commit('load', { end })
    }
    const nothing = { records: 0, seconds: 0, error: undefined, syncPoints: [] }
    await metadata.endRun({
      ...nothing,
      run: run.run,
      fence: run.fence,
      job: job.name,
      status: 'SUCCESS',
      runAt: end,
    })
    return 0
  },
  stop() {},
}

const jobs = nightJobs()
const scheduler = new Scheduler({
  metadata,
  clock,
  jobs: () => jobs,
  slots: 4,
  runner,
  owner,
  log: pino({ level: 'silent' }),
  leadTime: 1_000,
  startTime: 1_000,
})
flushCompileCache()
console.log('ready')
for (;;) {
  await scheduler.tick()
  await delay(10)
}
