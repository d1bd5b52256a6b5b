import type { Queries } from './database.ts'
import type { RunStatus } from './runs.ts'

/** One run over time. */
export interface HistoryRecord {
  run: string
  job: string
  status: RunStatus
  trigger: string
  attempt: number
  run_at: string
  started_at: string
  ended_at: string | null
  /** Rows that the run inserted, updated and deleted; null while it has not ended. */
  records_processed: number | null
  duration_seconds: number | null
  /** What became of the rows of all its loads: read = loaded + unchanged + rejected + superseded. Null where it loaded none. */
  rows_read: number | null
  rows_loaded: number | null
  rows_unchanged: number | null
  rows_rejected: number | null
  rows_superseded: number | null
  /** Of its worst table, 0 to 1. */
  error_rate: number | null
  /** Tasks that were begun more than once. */
  retried: number
  /** Rejected rows that it was the first to find, as far as they were kept as error records. */
  errors: number
  error: string | null
  owner: string
  expires_at: string | null
}

export interface HistoryQuery {
  job?: string
  /** Runs that began at this time or later, ISO 8601 UTC. */
  since?: string
  limit: number
}

/** Runs, newest first, with what they did. */
export function history(queries: Queries, { job, since, limit }: HistoryQuery): Promise<HistoryRecord[]> {
  const wanted = [...(job ? ['r.job = :job'] : []), ...(since ? ['r.started_at >= :since'] : [])]
  return queries.all(
    `SELECT r.run, r.job, r.status, r.trigger, r.attempt, r.run_at, r.started_at, r.ended_at,
       h.records_processed, h.duration_seconds, h.rows_read, h.rows_loaded, h.rows_unchanged, h.rows_rejected,
       h.rows_superseded, h.error_rate, r.error, r.owner, l.expires_at,
       (SELECT count(*) FROM tasks t WHERE t.run = r.run AND t.attempt > 1) AS retried,
       (SELECT count(*) FROM error_records e WHERE e.run = r.run) AS errors
     FROM runs r LEFT JOIN sync_history h ON h.run = r.run LEFT JOIN leases l ON l.name = 'run/' || r.run
     ${wanted.length > 0 ? `WHERE ${wanted.join(' AND ')}` : ''}
     ORDER BY r.started_at DESC, r.run DESC LIMIT :limit`,
    { limit, ...(job && { job }), ...(since && { since }) },
  )
}

/** How a run went, beside what became of its rows. */
export interface RunFigures {
  /** Of its worst table, 0 to 1. */
  qualityScore: number
  /** From the newest row of the stalest extract to the run's own time; absent where nothing tells it. */
  dataLagSeconds?: number
  /** Tasks that were begun again. */
  retries: number
  /** Times that a load began to wait for a lock. */
  lockWaits: number
  chunks: number
  chunkRows: number
  chunkBytes: number
}

/** What a run leaves in the history. */
export interface Ended {
  run: string
  job: string
  status: RunStatus
  /** The run's own time. */
  runAt: string
  records: number
  seconds: number
  /** Of all loads together; absent where nothing was loaded. */
  rows?: { read: number; loaded: number; unchanged: number; rejected: number; superseded: number }
  errorRate?: number
  figures?: RunFigures
  syncPoints: { extract: string; value: string | null }[]
}

/** Columns of a run's end, and what stands in them. */
function columnsOf({ job, runAt, status, records, seconds, rows, errorRate, figures }: Ended) {
  return {
    job_name: job,
    sync_timestamp: runAt,
    status,
    records_processed: records,
    duration_seconds: seconds,
    rows_read: rows?.read ?? null,
    rows_loaded: rows?.loaded ?? null,
    rows_unchanged: rows?.unchanged ?? null,
    rows_rejected: rows?.rejected ?? null,
    rows_superseded: rows?.superseded ?? null,
    error_rate: errorRate ?? null,
    quality_score: figures?.qualityScore ?? null,
    data_lag_seconds: figures?.dataLagSeconds ?? null,
    retries: figures?.retries ?? null,
    lock_waits: figures?.lockWaits ?? null,
    chunks: figures?.chunks ?? null,
    chunk_rows: figures?.chunkRows ?? null,
    chunk_bytes: figures?.chunkBytes ?? null,
  }
}

/** Notes the end of a run and how far it read. */
export async function keepHistory(queries: Queries, end: Ended): Promise<void> {
  const { job, run } = end
  const columns = columnsOf(end)
  const names = Object.keys(columns)
  await queries.run(
    `INSERT INTO sync_history (run, ${names.join(', ')}) VALUES (:run, ${names.map(name => `:${name}`).join(', ')})
     ON CONFLICT (run) DO UPDATE SET ${names.map(name => `${name} = excluded.${name}`).join(', ')}`,
    { run, ...columns },
  )
  for (const { extract, value } of end.syncPoints)
    await queries.run(
      `INSERT INTO sync_points (job, extract, value, run) VALUES (:job, :extract, :value, :run)
       ON CONFLICT (job, extract) DO UPDATE SET value = :value, run = :run`,
      { job, extract, value, run },
    )
}

/** How far each extract of a job was read by the run that ended last. */
export async function syncPoints(queries: Queries, job: string): Promise<Map<string, string | null>> {
  const points = await queries.all<{ extract: string; value: string | null }>(
    'SELECT extract, value FROM sync_points WHERE job = :job',
    { job },
  )
  return new Map(points.map(({ extract, value }) => [extract, value]))
}
