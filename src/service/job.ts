import type { LoggedJob } from '../runs/changeLogs.ts'
import type { Cron } from '../schedule/cron.ts'
import type { FileTrigger, Follow } from '../spec/job.ts'

/** What the scheduler knows of a job. */
export interface ScheduledJob {
  name: string
  /** Absolute path; what starts its runs. */
  folder: string
  /** Why its files cannot be used as they are now; the rest is as they were. */
  broken?: string
  /** It changes when any of the job's files does. */
  hash: string
  cron?: Cron
  /** Nothing is planned before. */
  start?: Date
  catchup: boolean
  /** Jobs that must have succeeded for the same data. */
  after: string[]
  files?: FileTrigger
  follow?: Follow
  /** Where it has connections with logs of changes, read or not: what is needed to ask for them. */
  logged?: LoggedJob
  maxActiveRuns: number
  dependsOnPast: boolean
  /** Higher goes first. */
  priority: number
  /** A run takes one slot of each. */
  pools: string[]
}
