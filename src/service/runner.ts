import type { Claim } from '../metadata/intervals.ts'
import type { RunRecord } from '../metadata/runs.ts'
import type { ScheduledJob } from './job.ts'

/** The run of an interval that was taken. */
export interface Assignment {
  job: ScheduledJob
  claim: Claim
  /** Of the interval. */
  end: string
  trigger: RunRecord['trigger']
}

/** What makes runs. */
export interface Runner {
  /** Runs to the end; gives the exit code of `nightfreight run`, null where the process was killed. */
  start(run: Assignment): Promise<number | null>
  /** Asks all runs to stop cleanly; called again, at once. */
  stop(): void
}
