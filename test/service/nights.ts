import { Cron } from '../../src/schedule/cron.ts'
import type { ScheduledJob } from '../../src/service/job.ts'

/** Simulated nights: milliseconds since 1970, and simulated milliseconds a real one. */
export interface Settings {
  home: string
  url: string | undefined
  start: number
  end: number
  factor: number
  /** The real time at `start`. */
  began: number
}

/** A job of the scheduler's tests. */
export function job(name: string, more: Partial<ScheduledJob> = {}): ScheduledJob {
  return {
    name,
    folder: `/nowhere/${name}`,
    hash: '1',
    catchup: true,
    after: [],
    maxActiveRuns: 1,
    dependsOnPast: false,
    priority: 0,
    pools: [],
    ...more,
  }
}

export const START = new Date('2026-03-26T00:00:00Z')

/** A night's load, a report that follows it, and a job of every four hours, of which several may run at once. */
export function nightJobs(): Map<string, ScheduledJob> {
  const jobs = [
    job('load', { cron: new Cron('30 2 * * *', 'Europe/Berlin'), start: START, dependsOnPast: true }),
    job('report', { after: ['load'], start: START, priority: 1 }),
    job('often', { cron: new Cron('0 */4 * * *', 'UTC'), start: START, maxActiveRuns: 3, pools: ['db'] }),
  ]
  return new Map(jobs.map(each => [each.name, each]))
}
