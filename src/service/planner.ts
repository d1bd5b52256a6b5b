import type { Clock } from '../../engine/contracts/tasks.ts'
import type { Intervals, PlannedInterval } from '../metadata/intervals.ts'
import type { Lease } from '../metadata/leases.ts'
import type { Triggers } from '../metadata/triggers.ts'
import type { Cron } from '../schedule/cron.ts'
import { AT_ONCE, dueIntervals, type Interval } from '../schedule/due.ts'
import type { ScheduledJob } from './job.ts'

/** By how much the clocks of two machines may differ, in milliseconds. */
export const SKEW = 60_000
/** An interval that is planned so long after its end was missed, in milliseconds. */
const LATE_MS = 300_000

/** A start that was missed: when it was due, and the data intervals that are not run for it. */
export interface Missed {
  due: Date
  passedOver?: PassedOver
}

/** Data intervals that nobody runs: how many (`isMore`: at least), and where the first and the last of them begin. */
export interface PassedOver {
  count: number
  isMore: boolean
  first: Date
  last: Date
}

/** Told of what keeps a job from being planned as its schedule says. */
export interface PlannerAlerts {
  /** What is planned is planned far too late. */
  missed(job: ScheduledJob, missed: Missed): unknown
  /** The end of what is planned is in the future: a clock was ahead, or this one is behind. */
  ahead(job: ScheduledJob, end: Date): unknown
}

interface Known {
  hash: string
  /** The end of what is planned. */
  cursor: Date | undefined
  /** Nothing is due before, in milliseconds. */
  due: number
  /** Successes of another job that changed before have been seen; milliseconds. */
  seen: number
  /** What is planned next comes late, and nothing was missed: it was paused, has another schedule now, or catches up. */
  isLate: boolean
}

/** Writes down the intervals that are due, as long as its lease holds. A new leader takes a new planner. */
export class Planner {
  private readonly intervals: Intervals
  private readonly triggers: Triggers
  private readonly clock: Clock
  private readonly lease: Lease
  private readonly alerts: PlannerAlerts
  private readonly known = new Map<string, Known>()
  /** Jobs of which nothing is planned until a time in the future that was planned already, with that time. */
  readonly ahead = new Map<string, Date>()

  /** `clock` says what is due; leases are judged by the store's own. */
  constructor(intervals: Intervals, triggers: Triggers, clock: Clock, lease: Lease, alerts: PlannerAlerts) {
    this.intervals = intervals
    this.triggers = triggers
    this.clock = clock
    this.lease = lease
    this.alerts = alerts
  }

  /**
   * Plans what is due of the jobs given, but of those that are `paused`, and of those with so many intervals `waiting` that
   * more would only fill the store. Fails with FENCED when somebody else leads.
   */
  async plan(
    jobs: Iterable<ScheduledJob>,
    paused: ReadonlySet<string>,
    waiting: ReadonlyMap<string, number>,
  ): Promise<void> {
    const now = this.clock.now()
    const due: PlannedInterval[] = []
    const planned: (() => void)[] = []
    for (const job of jobs) {
      const known = await this.knownOf(job, now)
      if (paused.has(job.name)) known.isLate = true
      if (paused.has(job.name) || (waiting.get(job.name) ?? 0) >= AT_ONCE || this.isAhead(job, known, now))
        continue
      if (job.cron) {
        if (now.getTime() < known.due) continue
        const found = dueIntervals({ ...job, cron: job.cron }, known.cursor, now)
        for (const { start, end } of found) due.push({ job: job.name, start, end })
        if (!known.isLate) this.tellMissed(job, job.cron, known.cursor, found[0], now)
        planned.push(() => {
          const isMore = found.length === AT_ONCE
          known.cursor = found.at(-1)?.end ?? known.cursor
          known.due = isMore ? 0 : (job.cron!.next(now)?.getTime() ?? Number.POSITIVE_INFINITY)
          known.isLate = isMore
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
    const passedOver = passedOverFrom(cron, cron.align(cursor), first.start)
    const due = passedOver ? cron.next(passedOver.first)! : first.end
    if (passedOver || now.getTime() - first.end.getTime() > LATE_MS)
      this.alerts.missed(job, { due, ...(passedOver && { passedOver }) })
  }

  private async knownOf({ name, hash }: ScheduledJob, now: Date): Promise<Known> {
    const known = this.known.get(name)
    const isAhead = known?.cursor !== undefined && known.cursor.getTime() > now.getTime() + SKEW
    if (known?.hash === hash && !isAhead) return known
    const cursor = await this.intervals.lastPlanned(name)
    const fresh = { hash, cursor, due: 0, seen: 0, isLate: known !== undefined }
    this.known.set(name, fresh)
    return fresh
  }

  /** Whether what is planned already ends in the future; that is told. */
  private isAhead(job: ScheduledJob, { cursor }: Known, now: Date): boolean {
    const isAhead = cursor !== undefined && cursor.getTime() > now.getTime() + SKEW
    if (isAhead) {
      this.ahead.set(job.name, cursor)
      this.alerts.ahead(job, cursor)
    } else this.ahead.delete(job.name)
    return isAhead
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

/** The intervals between two starts of a schedule, which nobody runs; undefined where there is none. */
function passedOverFrom(cron: Cron, first: Date | undefined, until: Date): PassedOver | undefined {
  let count = 0
  let last: Date | undefined
  for (let start = first; start && start < until && count < AT_ONCE; start = cron.next(start)) {
    count++
    last = start
  }
  if (!first || !last) return undefined
  const before = cron.last(new Date(until.getTime() - 1))!
  return { count, isMore: last < before, first, last: before }
}

const planned = (
  job: string,
  { interval_start, interval_end }: { interval_start: string; interval_end: string },
) => ({
  job,
  start: new Date(interval_start),
  end: new Date(interval_end),
})
