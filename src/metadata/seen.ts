import type { Queries } from './database.ts'
import type { RunStatus } from './runs.ts'

/** How the latest run of a job ended. */
export interface LatestEnd {
  job: string
  run: string
  status: RunStatus
  seconds: number
  /** Of the data, in seconds. */
  lag: number | null
  score: number | null
}

/** Of each job whose runs were counted. */
export function latestEnds(queries: Queries): Promise<LatestEnd[]> {
  return queries.all(
    `SELECT j.job, h.run, h.status, h.duration_seconds AS seconds, h.data_lag_seconds AS lag, h.quality_score AS score
     FROM (SELECT DISTINCT job FROM totals WHERE name = 'runs') j JOIN sync_history h ON h.run =
       (SELECT r.run FROM runs r JOIN sync_history e ON e.run = r.run WHERE r.job = j.job
        ORDER BY r.started_at DESC, r.run DESC LIMIT 1)
     ORDER BY j.job`,
  )
}

/** How often each promise of a job was not kept since a time, ISO 8601 UTC. */
export function violationCounts(
  queries: Queries,
  since: string,
): Promise<{ job: string; type: string; count: number }[]> {
  return queries.all(
    `SELECT job, type, count(*) AS count FROM sla_violations WHERE at >= :since GROUP BY job, type ORDER BY job, type`,
    { since },
  )
}
