import { createHash } from 'node:crypto'
import type { Logger } from 'pino'
import { errorData } from '../../engine/errors.ts'
import type { IntervalRecord } from '../metadata/intervals.ts'
import type { Metadata } from '../metadata/metadata.ts'
import { syncPoints } from '../metadata/syncHistory.ts'
import { watchLogs } from '../runs/changeLogs.ts'
import { isRunning } from '../util/owner.ts'
import type { ScheduledJob } from './job.ts'

/** A look at a job's logs that goes on. */
interface Watch {
  job: ScheduledJob
  abort: AbortController
  /** Changes that wait, and since when, as {@link performance.now} has it. */
  changes: number
  since?: number
  /** Whether the logs went on at all. */
  moved: boolean
  error?: unknown
  ended: Promise<void>
}

/** What waits in the logs of a job. */
export interface Waiting {
  changes: number
  /** Since the first of them was seen; 0 where none waits. Milliseconds. */
  lag: number
}

export interface LogWatchOptions {
  metadata: Metadata
  log: Logger
  /** Removes what later runs of a job have replaced. */
  sweep: (job: string) => Promise<void>
}

/** Until a log that could not be read is looked at again, and how often that is done before a run has to say why. */
const RETRY_MS = 5_000
const MOST_RETRIES = 3
/** Until a job whose run failed runs again; twice as long after each failure in a row. */
const REST_MS = 60_000
const MOST_REST_MS = 3600_000
/** Where nothing of ours changes, the server may forget its log so often. */
const IDLE_MS = 600_000
const SWEEP_MS = 60_000
/** Intervals that tell how often a job has failed in a row. */
const RECENT = 8

/** Follows the logs of jobs between their runs: each has one run as soon as there is something for it. */
export class LogWatch {
  private readonly options: LogWatchOptions
  private readonly watches = new Map<string, Watch>()
  private readonly failures = new Map<string, { count: number; at: number }>()
  private readonly behind = new Map<string, { changes: number; since: number }>()
  private readonly swept = new Map<string, number>()

  constructor(options: LogWatchOptions) {
    this.options = options
  }

  /** One look at all jobs: only who leads watches. */
  async look(jobs: ReadonlyMap<string, ScheduledJob>, leads: boolean): Promise<void> {
    for (const [name, { job }] of this.watches) if (!leads || jobs.get(name) !== job) await this.end(name)
    if (!leads) return
    for (const job of jobs.values()) if (job.follow && job.broken === undefined) await this.lookAt(job)
  }

  async stop(): Promise<void> {
    await Promise.all([...this.watches.keys()].map(name => this.end(name)))
  }

  /** What waits, of each job that is followed. */
  waiting(): Map<string, Waiting> {
    const now = performance.now()
    return new Map(
      [...new Set([...this.watches.keys(), ...this.behind.keys()])].map(name => {
        const { changes = 0, since } = this.watches.get(name) ?? this.behind.get(name) ?? {}
        return [name, { changes, lag: since === undefined ? 0 : now - since }]
      }),
    )
  }

  private async lookAt(job: ScheduledJob): Promise<void> {
    const { name } = job
    const { metadata } = this.options
    const { intervals, triggers } = metadata
    const latest = await intervals.list(name, RECENT)
    const now = performance.now()
    const stored = intervals.now().getTime()
    const active = await metadata.activeRuns(name)
    const isBusy =
      latest.some(({ state }) => state === 'WAITING' || state === 'RUNNING') ||
      active.some(run => isRunning(run, intervals.now())) ||
      (await triggers.isWaiting(name))
    // One at a time reads a log: whoever runs the job, also by hand, goes first.
    if (isBusy) return this.end(name)
    if (latest[0] && latest[0].state !== 'FAILED') {
      if (!this.watches.has(name)) this.behind.delete(name)
      await this.sweep(name, now)
    }
    const watch = this.watches.get(name)
    if (watch) {
      if (watch.error !== undefined) await this.failed(name, watch)
      else if (isDue(watch, latest[0], stored)) await this.begin(name, watch)
      return
    }
    if (stored < restsUntil(latest)) return
    const failure = this.failures.get(name)
    if (failure && now < failure.at + RETRY_MS) return
    const points = await syncPoints(metadata.database, name)
    const { extracts } = job.logged!
    const isUnread = extracts.some(({ name, changes }) => changes && !points.get(name))
    if (isUnread) await this.trigger(name, 0)
    else this.watch(job, points)
  }

  private watch(job: ScheduledJob, points: Map<string, string | null>): void {
    const abort = new AbortController()
    const watch: Watch = { job, abort, changes: 0, moved: false, ended: Promise.resolve() }
    const seen = (changes: number) => {
      watch.moved = true
      if (changes === 0) return
      watch.since ??= performance.now()
      watch.changes += changes
    }
    watch.ended = watchLogs(job.logged!, points, seen, abort.signal).catch(error => {
      if (!abort.signal.aborted) watch.error = error
    })
    this.watches.set(job.name, watch)
  }

  /** What fails again and again is for a run to say, which people hear of. */
  private async failed(name: string, { error }: Watch): Promise<void> {
    await this.end(name)
    const count = (this.failures.get(name)?.count ?? 0) + 1
    this.options.log.warn({ job: name, error: errorData(error) }, 'its log could not be followed')
    this.failures.set(name, { count, at: performance.now() })
    if (count < MOST_RETRIES) return
    this.failures.delete(name)
    await this.trigger(name, 0)
  }

  private async begin(name: string, { changes, since }: Watch): Promise<void> {
    await this.end(name)
    this.failures.delete(name)
    if (since !== undefined && !this.behind.has(name)) this.behind.set(name, { changes, since })
    await this.trigger(name, changes)
  }

  private async trigger(name: string, changes: number): Promise<void> {
    const payload = { changes, at: new Date().toISOString() }
    const id = createHash('sha256')
      .update(JSON.stringify([name, 'log', payload]))
      .digest('hex')
    await this.options.metadata.triggers.add(id, name, 'log', payload)
  }

  private async end(name: string): Promise<void> {
    const watch = this.watches.get(name)
    if (!watch) return
    this.watches.delete(name)
    watch.abort.abort()
    await watch.ended
  }

  private async sweep(name: string, now: number): Promise<void> {
    if (now < (this.swept.get(name) ?? -SWEEP_MS) + SWEEP_MS) return
    this.swept.set(name, now)
    await this.options.sweep(name)
  }
}

function isDue({ job, changes, moved }: Watch, latest: IntervalRecord | undefined, now: number): boolean {
  const { every, rows } = job.follow!
  if (changes >= rows) return true
  const rested = now - (latest ? Date.parse(latest.interval_end) : 0)
  return (changes > 0 && rested >= every) || (moved && rested >= Math.max(every, IDLE_MS))
}

/** When a job whose latest runs failed may run again, in milliseconds. */
function restsUntil(latest: IntervalRecord[]): number {
  const done = latest.findIndex(({ state }) => state !== 'FAILED')
  const failures = done < 0 ? latest.length : done
  if (failures === 0) return 0
  return Date.parse(latest[0]!.updated_at) + Math.min(REST_MS * 2 ** (failures - 1), MOST_REST_MS)
}
