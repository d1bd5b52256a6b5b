import type { Queries } from './database.ts'

/** What a run made of one loaded table. */
export interface TableResult {
  /** `warehouse.dim_members`. */
  table: string
  read: number
  loaded: number
  unchanged: number
  rejected: number
  superseded: number
  inserted: number
  updated: number
  deleted: number
  /** The extracts that it is made from. */
  madeFrom: string[]
  columns: { name: string; type: string }[]
}

/** One night of a table. */
export interface TableNight extends TableResult {
  job: string
  run: string
  /** Of the run's end, ISO 8601 UTC. */
  loadedAt: string
  status: string
  /** Seconds that the run took. */
  seconds: number
}

interface Stored {
  job: string
  table_name: string
  run: string
  loaded_at: string
  rows_read: number
  rows_loaded: number
  rows_unchanged: number
  rows_rejected: number
  rows_superseded: number
  rows_inserted: number
  rows_updated: number
  rows_deleted: number
  made_from: string
  columns: string
  status: string
  duration_seconds: number
}

const FIELDS = [
  'table_name',
  'rows_read',
  'rows_loaded',
  'rows_unchanged',
  'rows_rejected',
  'rows_superseded',
  'rows_inserted',
  'rows_updated',
  'rows_deleted',
  'made_from',
  'columns',
] as const

/** Rows a statement. */
const AT_ONCE = 50

/** Keeps what a run made of its tables; a repeat replaces. */
export async function keepTables(
  queries: Queries,
  { job, run }: { job: string; run: string },
  tables: TableResult[],
  now: string,
): Promise<void> {
  for (let from = 0; from < tables.length; from += AT_ONCE) {
    const some = tables.slice(from, from + AT_ONCE)
    const params: Record<string, string | number> = { job, run, now }
    const values = some.map((result, i) => {
      const { read, loaded, unchanged, rejected, superseded, inserted, updated, deleted } = result
      const row = [
        result.table,
        ...[read, loaded, unchanged, rejected, superseded, inserted, updated, deleted],
        JSON.stringify(result.madeFrom),
        JSON.stringify(result.columns),
      ]
      for (const [at, value] of row.entries()) params[`${FIELDS[at]}${i}`] = value
      return `(:job, :run, :now, ${FIELDS.map(name => `:${name}${i}`).join(', ')})`
    })
    await queries.run(
      `INSERT INTO table_history (job, run, loaded_at, ${FIELDS.join(', ')}) VALUES ${values.join(', ')}
       ON CONFLICT (run, table_name) DO UPDATE SET loaded_at = excluded.loaded_at,
         ${FIELDS.slice(1)
           .map(name => `${name} = excluded.${name}`)
           .join(', ')}`,
      params,
    )
  }
}

const SELECT = `SELECT t.*, h.status, h.duration_seconds FROM table_history t
  JOIN sync_history h ON h.run = t.run`

/** The latest nights of a table, newest first. */
export async function tableNights(
  queries: Queries,
  job: string,
  table: string,
  limit: number,
): Promise<TableNight[]> {
  const found = await queries.all<Stored>(
    `${SELECT} WHERE t.job = :job AND t.table_name = :table ORDER BY t.loaded_at DESC, t.run DESC LIMIT :limit`,
    { job, table, limit },
  )
  return found.map(parsed)
}

/** When each table was loaded last; of one job where it is named. */
export function freshness(
  queries: Queries,
  job?: string,
): Promise<{ job: string; table: string; loadedAt: string }[]> {
  return queries.all(
    `SELECT job, table_name AS "table", max(loaded_at) AS "loadedAt" FROM table_history
     ${job === undefined ? '' : 'WHERE job = :job'} GROUP BY job, table_name ORDER BY job, table_name`,
    job === undefined ? {} : { job },
  )
}

const parsed = (row: Stored): TableNight => ({
  job: row.job,
  run: row.run,
  table: row.table_name,
  loadedAt: row.loaded_at,
  status: row.status,
  seconds: row.duration_seconds,
  read: row.rows_read,
  loaded: row.rows_loaded,
  unchanged: row.rows_unchanged,
  rejected: row.rows_rejected,
  superseded: row.rows_superseded,
  inserted: row.rows_inserted,
  updated: row.rows_updated,
  deleted: row.rows_deleted,
  madeFrom: JSON.parse(row.made_from),
  columns: JSON.parse(row.columns),
})
