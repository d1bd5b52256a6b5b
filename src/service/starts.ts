import type { IntervalRecord } from '../metadata/intervals.ts'
import { keyOf } from './waits.ts'

/** Starts of an interval's run, one after another, none of which led to a run. */
export interface FailedStarts {
  job: string
  /** Where the interval begins. */
  start: string
  count: number
  /** The first of them. */
  since: Date
  /** Why the latest did not. */
  reason: string
}

type Named = Pick<IntervalRecord, 'job' | 'interval_start'>

/** Until a run that could not begin, or was killed, is tried again; longer where the same is to be expected. */
const PAUSE_MS = 5_000
const LONG_PAUSE_MS = 60_000
/** So many starts within so long may come to nothing before a person has to know. */
const MOST_STARTS = 3
const MOST_MS = 180_000

/** What became of starts that did not end well: when the next one may be, and which will not lead to a run by themselves. */
export class Starts {
  private readonly now: () => Date
  private readonly resting = new Map<string, { from: number; ms: number }>()
  private readonly failed = new Map<string, FailedStarts>()

  constructor(now: () => Date) {
    this.now = now
  }

  /** The interval is not tried again at once. */
  rest({ job, interval_start }: Named, isTransient: boolean): void {
    const ms = isTransient ? PAUSE_MS : LONG_PAUSE_MS
    this.resting.set(keyOf(job, interval_start), { from: this.now().getTime(), ms })
  }

  isResting({ job, interval_start }: Named): boolean {
    const found = this.resting.get(keyOf(job, interval_start))
    // Nor where the clock was put back.
    return found !== undefined && Math.abs(this.now().getTime() - found.from) < found.ms
  }

  /** A start led to no run. */
  fail({ job, interval_start: start }: Named, reason: string): void {
    const key = keyOf(job, start)
    const { count, since } = this.failed.get(key) ?? { count: 0, since: this.now() }
    this.failed.set(key, { job, start, count: count + 1, since, reason })
  }

  /** A start led to a run. */
  succeed({ job, interval_start }: Named): void {
    this.failed.delete(keyOf(job, interval_start))
  }

  /** Forgets all but intervals that are still open; gives those that a person has to know of. */
  review(open: Named[]): FailedStarts[] {
    const keys = new Set(open.map(({ job, interval_start }) => keyOf(job, interval_start)))
    for (const known of [this.resting, this.failed])
      for (const key of known.keys()) if (!keys.has(key)) known.delete(key)
    const now = this.now().getTime()
    return [...this.failed.values()].filter(
      ({ count, since }) => count >= MOST_STARTS && now - since.getTime() >= MOST_MS,
    )
  }
}
