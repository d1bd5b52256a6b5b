import type { Logger } from 'pino'
import type { Clock } from '../../engine/contracts/tasks.ts'
import type { Outcome } from '../../engine/pipeline.ts'
import type { ProgressListener } from '../../engine/runtime/context.ts'
import type { Claim } from '../metadata/intervals.ts'
import type { Metadata } from '../metadata/metadata.ts'
import type { RunRecord } from '../metadata/runs.ts'
import type { JobSpec } from '../spec/job.ts'
import type { Production } from './environment.ts'

/** What whoever does a run, or a step of one, is given. */
export interface RunMeans {
  /** The job's folder: job.yaml, models, checks. */
  folder: string
  env: Record<string, string | undefined>
  /** Where staging, reports and metadata are kept. */
  home: string
  /** Of a job in one of its environments: whose staged data it works on. */
  production?: Production
  metadata: Metadata
  clock: Clock
  progress: ProgressListener
  signal: AbortSignal
  log: Logger
  /** Strings that no output may show: the job's are added here as soon as they are known. */
  secrets: string[]
  /** The run's own time; default now. An interrupted run keeps the time it had. */
  runAt?: Date
  /** Ends the run at the next commit; `signal` ends it at once. */
  stop?: AbortSignal
  /** Is told of the run's end, once that is kept. Never throws. */
  ended?: (job: EndedJob) => Promise<void>
}

/** A run that has ended. */
export interface EndedJob {
  spec: JobSpec
  record: RunRecord
  outcome: Outcome
  /** Without secrets and sensitive values. */
  error?: unknown
  at: Date
  note(text: string): void
}

export interface RunOptions extends RunMeans {
  /** Start anew even where an interrupted run could be continued. */
  fresh?: boolean
  /** `plan` stops before the load and keeps the run, for `fromPlan` of a later one. */
  goal?: RunRecord['goal']
  /** Loads the change sets of this planned run, and reads nothing. */
  fromPlan?: string
  /** Begins with the raw data of an archived run, of this job or `of` another, instead of reading its sources. */
  restore?: { run: string; of?: string }
  /** The data interval that it is for, taken by whoever starts it. The run's own time is the interval's end. */
  interval?: { claim: Claim; end: string; trigger: RunRecord['trigger'] }
  /** Continues this run, which failed or was interrupted. */
  resume?: string
  /** Goes on with the job's files as they are now, where what is committed still fits. */
  acceptChanges?: boolean
  /** Loads these tables (of an empty list: all) as if for the first time. */
  fullRefresh?: string[]
  /** Compares tables of `mode: changes` with what their logs said, and repairs what these missed. */
  reconcile?: boolean
  /** Computes incremental models whole, too, and fails where their rows differ. */
  verifyIncremental?: boolean
  /** A task to begin again at, with all that is made from it; to end after; both. */
  from?: string
  until?: string
}
