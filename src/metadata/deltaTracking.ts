import type { Queries } from './database.ts'

/** What a run changed in one table, by an extract that it was made from. */
export interface Delta {
  extract: string
  /** `warehouse.dim_members`. */
  target: string
  key: string[]
  /** How far the extract was read, DuckDB's text; null where it is not incremental. */
  syncPoint: string | null
  inserted: number
  updated: number
  deleted: number
  /** Manifest of the keys and hashes that the next run compares with, below the staging root. */
  state: string | null
}

/** Keeps them for a run; a repeat replaces. */
export async function keepDeltas(
  queries: Queries,
  { job, run, deltas = [] }: { job: string; run: string; deltas?: Delta[] },
  now: string,
): Promise<void> {
  for (const { key, syncPoint, ...delta } of deltas)
    await queries.run(
      `INSERT INTO delta_tracking (job, run, extract, target, key_columns, sync_point, rows_inserted, rows_updated,
         rows_deleted, state, updated_at)
       VALUES (:job, :run, :extract, :target, :key, :syncPoint, :inserted, :updated, :deleted, :state, :now)
       ON CONFLICT (run, target, extract) DO UPDATE SET key_columns = excluded.key_columns,
         sync_point = excluded.sync_point, rows_inserted = excluded.rows_inserted,
         rows_updated = excluded.rows_updated, rows_deleted = excluded.rows_deleted, state = excluded.state,
         updated_at = excluded.updated_at`,
      { job, run, now, ...delta, key: JSON.stringify(key), syncPoint },
    )
}
