import type { Outcome } from '../../engine/pipeline.ts'
import type { RunStatus } from '../metadata/runs.ts'
import type { ArchiveOutcome } from './archive.ts'

/** A run as it ended. */
export interface RunResult {
  run: string
  job: string
  /** In which it ran; absent of production. */
  environment?: string
  status: Exclude<RunStatus, 'RUNNING'>
  resumed: boolean
  seconds: number
  outcome: Outcome
  /** Path of its report; empty where none could be written. */
  report: string
  /** Where the job has an archive and the run is loaded. */
  archive?: ArchiveOutcome
  /** Of a plan: seconds that loading it may take, by connection. */
  estimates: Record<string, number>
  /** What failed the run. */
  error?: unknown
}

export const nothingYet = (): Outcome => ({
  reads: [],
  extracted: [],
  tables: [],
  checks: [],
  quality: { errorRate: 0, score: 1 },
  changes: [],
  previews: [],
  loaded: [],
  verifications: [],
  accounts: { extracts: [], models: [], loads: [] },
  feeds: {},
})
