import type { Part } from '../../../engine/contracts/staging.ts'
import type { Column } from '../../../engine/types/logical.ts'

/** What the last run of a job that loaded has left in staging. */
export interface StagedJob {
  run: string
  /** The run's own time, ISO 8601. */
  runAt: string
  /** Brings the rows of a model here. Fails with TABLE_MISSING where the run has none of that name. */
  table(model: string): Promise<StagedTable>
  /** The same of several models, whose files stay until they are released, whatever later runs of the job replace. */
  hold(models: string[]): Promise<HeldTables>
}

export interface HeldTables {
  tables: Map<string, StagedTable>
  release(): void
}

/** A model's rows in Parquet files. */
export interface StagedTable {
  columns: Column[]
  /** Good ones. */
  rows: number
  /** Absolute folder that the files are below. */
  root: string
  parts: Part[]
  /** File of what checks found, where they reject a row. */
  findings?: string
}

/** Finds it. Fails with TABLE_MISSING where no run of the job has loaded. */
export type OpenStagedJob = (job: string) => Promise<StagedJob>
