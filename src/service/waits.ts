import type { Intervals, OpenInterval } from '../metadata/intervals.ts'

/** Why data intervals wait, as the scheduler saw it last; only what changes is written down. */
export class Waits {
  private readonly intervals: Intervals
  private noted = new Map<string, string>()

  constructor(intervals: Intervals) {
    this.intervals = intervals
  }

  /** Writes down what each of these intervals waits for; `reasons` by {@link keyOf}. */
  async note(waiting: OpenInterval[], reasons: ReadonlyMap<string, string>): Promise<void> {
    const now = new Map<string, string>()
    const changed: { job: string; start: string; reason: string }[] = []
    for (const interval of waiting) {
      const key = keyOf(interval.job, interval.interval_start)
      const reason = reasons.get(key)
      if (reason === undefined) continue
      now.set(key, reason)
      if ((this.noted.get(key) ?? interval.waits_for) !== reason)
        changed.push({ job: interval.job, start: interval.interval_start, reason })
    }
    if (changed.length > 0) await this.intervals.noteWaits(changed)
    this.noted = now
  }
}

export const keyOf = (job: string, start: string) => `${job} ${start}`
