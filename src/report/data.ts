import type { LoadAccount } from '../../engine/quality/accounts.ts'
import type { Verification } from '../../engine/verify/result.ts'

/** What a run's report shows. Plain data: times are ISO 8601, shares are 0 to 1. */
export interface ReportData {
  job: string
  /** In which it ran; absent of production. */
  environment?: string
  run: string
  status: 'succeeded' | 'completed with errors' | 'failed' | 'running' | 'planned'
  startedAt: string
  /** Absent while the run goes on. */
  finishedAt?: string
  /** The span of data that the run covers. */
  interval?: { from: string; to: string }
  extracts: ReportExtract[]
  /** `corrected`: rows that a person's correction put in place of rejected ones. */
  models: {
    name: string
    rows: number
    rejected: number
    warned: number
    corrected?: number
    /** The run that computed its rows, where it was an earlier one: nothing that they are made of had changed. */
    takenFrom?: string
    /** Of an incremental model: the run that its other rows are of, and the keys that were computed anew. */
    updated?: { run: string; keys: number }
  }[]
  checks: ReportCheck[]
  loads: ReportLoad[]
  /** What became of the rows of every load. */
  accounts: LoadAccount[]
  /** What a plan would do. */
  plans?: ReportPlan[]
  /** What the targets were found to hold after the load. */
  verifications?: Verification[]
  errorRate: number
  maxErrorRate: number
  qualityScore: number
  minQualityScore?: number
  /** SLA targets other than the quality score: run time, age of the data. */
  sla?: { name: string; target: string; actual: string; kept: boolean }[]
  /** `sample`: of so many rows only, spread over all. */
  profile: { model: string; sample?: number; columns: ProfileColumn[] }[]
  /** Milliseconds since the run's start. */
  tasks: { name: string; startMs: number; endMs: number }[]
  error?: { code: string; message: string; hint?: string }
  /** Nights of the job before this one, the latest last. */
  past?: PastNight[]
  /** Where the run is shown live. */
  page?: string
  /** What to type once the cause of the failure is mended. */
  remedy?: string
}

export interface PastNight {
  run: string
  startedAt: string
  status: ReportData['status']
  seconds: number
  read: number
  loaded: number
  /** Of its worst table, 0 to 1. */
  errorRate: number
}

export interface ReportExtract {
  name: string
  from: string
  rows: number
  parts: number
  /** Value of the incremental column from which it was read; absent for a full extract. */
  since?: string
  /** What changed in its columns, why it was read as it was, where its snapshot is weaker than one view. */
  note?: string
}

export interface ReportCheck {
  name: string
  /** The model whose rows it judges; absent for a check of the whole. */
  model?: string
  level: 'reject' | 'warn' | 'stop' | 'pass'
  rows: number
  /** Of a row check, how many rows it judged. */
  of?: number
  /** Of one that job.yaml declares, the column that it is of. */
  column?: { table: string; column: string }
  /** What a set check measured; absent where that is made of sensitive values. */
  value?: number
  /** `record` is JSON, or empty. */
  samples: { reason: string; record: string }[]
}

export interface ReportLoad {
  table: string
  to: string
  staged: number
  inserted: number
  updated: number
  deleted: number
  unchanged: number
  older: number
  /** Why all rows were compared with the table, although an earlier load is known. */
  reason?: string
  /** What else the target's server changed by foreign keys. */
  cascades?: string[]
}

export interface ReportPlan {
  table: string
  to: string
  counts: { inserts: number; updates: number; deletes: number; superseded: number; unchanged: number }
  /** How many updates change a column. */
  columns: { name: string; rows: number }[]
  notes: string[]
}

export interface ProfileColumn {
  name: string
  type: string
  nullShare: number
  /** Approximate. */
  distinct: number
  min: string | null
  max: string | null
}

/** A job, and the environment in which it is. */
export const jobText = ({ job, environment }: { job: string; environment?: string }): string =>
  environment === undefined ? job : `${job}, environment ${environment}`
