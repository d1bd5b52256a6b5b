import { setTimeout as delay } from 'node:timers/promises'
import { pino } from 'pino'
import type { Metadata } from '../../src/metadata/metadata.ts'
import type { RunStatus } from '../../src/metadata/runs.ts'
import { Cron } from '../../src/schedule/cron.ts'
import type { ScheduledJob } from '../../src/service/job.ts'
import type { Assignment, Runner } from '../../src/service/runner.ts'
import { Scheduler, type SchedulerAlerts } from '../../src/service/scheduler.ts'
import { type Place, standing } from '../metadata/stores.ts'

export const daily = () => new Cron('0 2 * * *', 'UTC')
export const start = new Date('2026-03-01T00:00Z')
const log = pino({ level: 'silent' })
let runs = 0

/** Runs that begin when they are started and end when the test says so. */
class Pretended implements Runner {
  readonly metadata: Metadata
  readonly active = new Map<string, { run: string; fence: number; done: (code: number | null) => void }>()
  /** In the order they began: job and day of the interval's start. */
  readonly begun: string[] = []
  /** Exit codes of runs that are not to begin, or why they cannot be started. */
  readonly refused = new Map<string, number | null | Error>()
  /** How often one of these was started. */
  tries = 0
  readonly schedulers: Scheduler[] = []
  private starting = 0

  constructor(metadata: Metadata) {
    this.metadata = metadata
  }

  async start({ job, claim, end, trigger }: Assignment): Promise<number | null> {
    const name = `${job.name} ${claim.start.slice(8, 10)}`
    const refused = this.refused.get(name)
    if (refused !== undefined) this.tries++
    if (refused instanceof Error) throw refused
    if (refused !== undefined) return refused
    this.starting++
    this.begun.push(name)
    const { fence, run } = await this.metadata
      .startRun(
        {
          run: `r${++runs}`,
          job: job.name,
          run_at: end,
          spec_hash: '',
          owner: 'elsewhere:1:',
          trigger,
          interval_start: claim.start,
          interval_end: end,
        },
        job.maxActiveRuns,
        claim,
      )
      .finally(() => this.starting--)
    return new Promise(done => this.active.set(name, { run, fence, done }))
  }

  async end(name: string, status: Exclude<RunStatus, 'RUNNING'> = 'SUCCESS', error?: unknown): Promise<void> {
    const { run, fence, done } = this.active.get(name)!
    this.active.delete(name)
    const { job, run_at } = (await this.metadata.run(run))!
    const nothing = { records: 0, seconds: 0, syncPoints: [] }
    await this.metadata.endRun({ ...nothing, run, fence, job, status, runAt: run_at, error })
    done(status === 'FAILED' ? 4 : 0)
    await this.settle()
  }

  /** Until all that the schedulers have begun has begun, and all that has ended is noted. */
  async settle(): Promise<void> {
    const left = () => this.schedulers.reduce((sum, { facts }) => sum + facts.running, 0) > this.active.size
    while (this.starting > 0 || left()) await delay(5)
  }

  /** Until a run has begun. */
  async until(name: string): Promise<void> {
    while (!this.active.has(name)) await delay(5)
  }

  stop(): void {
    for (const { done } of this.active.values()) done(130)
  }
}

/** Schedulers of these jobs, whose clock and whose runs the test moves on. */
export async function nights(
  place: Place,
  jobs: ScheduledJob[],
  {
    now = '2026-03-04T10:00:00.000Z',
    slots = 9,
    alerts,
  }: { now?: string; slots?: number; alerts?: Partial<SchedulerAlerts> } = {},
) {
  const clock = standing(now)
  const wall = standing('2026-03-04T10:00:00.000Z')
  const metadata = await place.open(wall)
  const runner = new Pretended(metadata)
  const known = new Map(jobs.map(each => [each.name, each]))
  const told = {
    blocked: async () => {},
    missed: async () => {},
    ahead: async () => {},
    gaveUp: async () => {},
    stuck: async () => {},
    unserved: async () => {},
    ...alerts,
  }
  const scheduler = (owner: string, own: ReadonlyMap<string, ScheduledJob> = known) => {
    const made = new Scheduler({
      metadata,
      clock,
      jobs: () => own,
      slots,
      runner,
      owner,
      log,
      alerts: told,
    })
    runner.schedulers.push(made)
    return made
  }
  const one = scheduler('there:1:')
  const tick = async (which = one) => {
    await which.tick()
    await runner.settle()
  }
  const states = async (name: string) =>
    (await metadata.intervals.list(name, 99))
      .reverse()
      .map(({ interval_start, state }) => `${interval_start.slice(8, 10)} ${state}`)
  return { clock, wall, metadata, runner, known, scheduler, one, tick, states }
}
