import type { Clock } from '../../engine/contracts/tasks.ts'
import type { Intervals, PlannedInterval } from '../metadata/intervals.ts'
import type { Lease } from '../metadata/leases.ts'
import type { Triggers } from '../metadata/triggers.ts'
import type { Cron } from '../schedule/cron.ts'
import { AT_ONCE, dueIntervals, type Interval } from '../schedule/due.ts'
import type { ScheduledJob } from './job.ts'

/** By how much the clocks of two machines may differ, in milliseconds. */
const SKEW = 60_000
/** An interval that is planned so long after its end was missed, in milliseconds. */
const LATE_MS = 300_000

/** A start that was missed: when it was due, and the data intervals that are not run for it. */
export interface Missed {
  due: Date
  passedOver: Interval[]
}

interface Known {
  hash: string
  /** The end of what is planned. */
  cursor: Date | undefined
  /** Nothing is due before, in milliseconds. */
  due: number
  /** Successes of another job that changed before have been seen; milliseconds. */
  seen: number
}

/** Writes down the intervals that are due, as long as its lease holds. A new leader takes a new planner. */
export class Planner {
  private readonly intervals: Intervals
  private readonly triggers: Triggers
  private readonly clock: Clock
  private readonly lease: Lease
  private readonly missed: (job: ScheduledJob, missed: Missed) => void
  private readonly known = new Map<string, Known>()

  /** `clock` says what is due; leases are judged by the store's own. `missed` is told of what is planned far too late. */
  constructor(
    intervals: Intervals,
    triggers: Triggers,
    clock: Clock,
    lease: Lease,
    missed: (job: ScheduledJob, missed: Missed) => void,
  ) {
    this.intervals = intervals
    this.triggers = triggers
    this.clock = clock
    this.lease = lease
    this.missed = missed
  }

  /** Plans what is due of the jobs given. Fails with FENCED when somebody else leads. */
  async plan(jobs: Iterable<ScheduledJob>): Promise<void> {
    const now = this.clock.now()
    const due: PlannedInterval[] = []
    const planned: (() => void)[] = []
    for (const job of jobs) {
      const known = await this.knownOf(job)
      if (job.cron) {
        if (now.getTime() < known.due) continue
        const found = dueIntervals({ ...job, cron: job.cron }, known.cursor, now)
        for (const { start, end } of found) due.push({ job: job.name, start, end })
        this.tellMissed(job, job.cron, known.cursor, found[0], now)
        planned.push(() => {
          known.cursor = found.at(-1)?.end ?? known.cursor
          known.due =
            found.length === AT_ONCE ? 0 : (job.cron!.next(now)?.getTime() ?? Number.POSITIVE_INFINITY)
        })
      } else if (job.files || job.follow) await this.planEvent(job, known, now)
      else if (job.after.length > 0) due.push(...(await this.dueAfter(job, known)))
    }
    if (due.length > 0) await this.intervals.plan(due, this.lease)
    for (const done of planned) done()
  }

  private tellMissed(
    job: ScheduledJob,
    cron: Cron,
    cursor: Date | undefined,
    first: Interval | undefined,
    now: Date,
  ): void {
    if (!cursor || !first) return
    const passedOver: Interval[] = []
    for (let start = cron.align(cursor); start && start < first.start && passedOver.length < AT_ONCE; ) {
      const end = cron.next(start)
      if (end) passedOver.push({ start, end })
      start = end
    }
    if (passedOver.length > 0 || now.getTime() - first.end.getTime() > LATE_MS)
      this.missed(job, { due: (passedOver[0] ?? first).end, passedOver })
  }

  private async knownOf({ name, hash }: ScheduledJob): Promise<Known> {
    const known = this.known.get(name)
    if (known?.hash === hash) return known
    const fresh = { hash, cursor: await this.intervals.lastPlanned(name), due: 0, seen: 0 }
    this.known.set(name, fresh)
    return fresh
  }

  private async planEvent({ name, start: earliest }: ScheduledJob, known: Known, now: Date): Promise<void> {
    const start = known.cursor ?? new Date(now.getTime() - 1)
    if (start >= now || (earliest && now < earliest) || !(await this.triggers.isWaiting(name))) return
    await this.intervals.planEvent({ job: name, start, end: now }, this.lease)
    known.cursor = now
  }

  // The first of the other jobs gives the intervals, also one that succeeds late; the rest are waited for.
  private async dueAfter(
    { name, after, start, catchup }: ScheduledJob,
    known: Known,
  ): Promise<PlannedInterval[]> {
    const [other] = after as [string]
    const from = start?.toISOString() ?? (await this.intervals.first(name))
    const looked = this.intervals.now().getTime()
    if (!catchup || from === undefined) {
      const last = await this.intervals.lastSucceeded(other)
      if (!last || (from !== undefined && last.interval_start < from)) return []
      return (await this.intervals.find(name, last.interval_start)) ? [] : [planned(name, last)]
    }
    const since = new Date(Math.max(0, known.seen - SKEW)).toISOString()
    const found = await this.intervals.succeeded(other, name, from, since, AT_ONCE)
    if (found.length < AT_ONCE) known.seen = looked
    return found.map(record => planned(name, record))
  }
}

const planned = (
  job: string,
  { interval_start, interval_end }: { interval_start: string; interval_end: string },
) => ({
  job,
  start: new Date(interval_start),
  end: new Date(interval_end),
})
