import type { Intervals, OpenInterval } from '../metadata/intervals.ts'
import { isDone } from '../metadata/runs.ts'
import { isRunning } from '../util/owner.ts'
import type { ScheduledJob } from './job.ts'

/** Why an interval cannot begin. */
export interface Wait {
  reason: string
  /** Where the interval begins that it depends on and that has failed: it will not begin by itself. */
  failed?: string
}

/** Intervals of a job that wait for one that has failed. */
export interface Blocked {
  reason: string
  /** When the oldest of them was due. */
  since: string
  waiting: number
  /** Where the interval begins that has failed. */
  failed: string
}

/** Why an interval cannot begin, whatever slots are free; undefined where it can. */
export async function reasonToWait(
  intervals: Intervals,
  { dependsOnPast, after }: Pick<ScheduledJob, 'dependsOnPast' | 'after'>,
  { job, interval_start, interval_end }: { job: string; interval_start: string; interval_end: string },
): Promise<Wait | undefined> {
  if (dependsOnPast) {
    const before = await intervals.before(job, interval_start)
    if (before && !isDone(before.state)) {
      const { state, interval_start: start } = before
      return {
        reason: `the interval before it, ${start}, is ${state}`,
        ...(state === 'FAILED' && { failed: start }),
      }
    }
  }
  for (const other of after)
    if (!(await intervals.covers(other, interval_start, interval_end)))
      return { reason: `${other} has not succeeded until ${interval_end}` }
  return undefined
}

/** Milliseconds in which whoever took an interval must begin its run, or say that it still will. */
export const START_TIME = 30_000

/** Whether the process of an interval that runs has gone, or never began the run. */
export function isLeft(interval: OpenInterval, now: Date, startTime = START_TIME): boolean {
  const { run, owner, expires_at, updated_at } = interval
  if (run === null) return now.getTime() - Date.parse(updated_at) >= startTime
  return !isRunning({ owner: owner!, expires_at }, now)
}
