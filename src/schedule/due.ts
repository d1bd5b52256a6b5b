import type { Cron } from './cron.ts'

/** A data interval, [start, end): its run starts at its end. */
export interface Interval {
  start: Date
  end: Date
}

/** How many intervals are planned at a time: a long catch-up must not hold the store. */
export const AT_ONCE = 500

/**
 * The intervals that are due, oldest first, as Airflow's CronDataIntervalTimetable has them: each ends where the next
 * begins. `cursor` is the end of the last one planned before. With catch-up all from `start` (or from the cursor, or
 * the latest alone) on; without it the latest complete one only.
 */
export function dueIntervals(
  { cron, catchup, start }: { cron: Cron; catchup: boolean; start?: Date },
  cursor: Date | undefined,
  now: Date,
): Interval[] {
  const latest = latestStart(cron, now)
  const earliest = start && cron.align(start)
  const floor = catchup ? (earliest ?? (cursor ? undefined : latest)) : later(latest, earliest)
  let from = later(cursor && cron.align(cursor), floor)
  const due: Interval[] = []
  while (from && due.length < AT_ONCE) {
    const end = cron.next(from)
    if (!end || end > now) break
    due.push({ start: from, end })
    from = end
  }
  return due
}

/** The complete intervals whose start is in [from, to], as Airflow's backfill takes them. */
export function intervalsBetween(cron: Cron, from: Date, to: Date, now: Date): Interval[] {
  const found: Interval[] = []
  for (let start = cron.align(from); start && start <= to; ) {
    const end = cron.next(start)
    if (!end || end > now) break
    found.push({ start, end })
    start = end
  }
  return found
}

// The start of the latest interval that has ended.
function latestStart(cron: Cron, now: Date): Date | undefined {
  const end = cron.last(now)
  return end && cron.last(new Date(end.getTime() - 1))
}

const later = (a: Date | undefined, b: Date | undefined) => (!a ? b : !b || a > b ? a : b)
