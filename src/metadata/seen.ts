import type { ViolationType } from '../spec/violation.ts'
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

/** How often each SLA target of a job was missed since a time, ISO 8601 UTC. */
export function violationCounts(
  queries: Queries,
  since: string,
): Promise<{ job: string; type: ViolationType; count: number }[]> {
  return queries.all(
    `SELECT job, type, count(*) AS count FROM sla_violations WHERE at >= :since GROUP BY job, type ORDER BY job, type`,
    { since },
  )
}

/** A run as an overview shows it. */
export interface SeenRun {
  run: string
  job: string
  status: RunStatus
  goal: string
  started_at: string
  ended_at: string | null
  owner: string
  expires_at: string | null
  error: string | null
  rows_read: number | null
  rows_loaded: number | null
  /** Of its worst table, 0 to 1. */
  error_rate: number | null
}

export interface SeenQuery {
  job?: string
  /** Of one of these. */
  jobs?: string[]
  status?: string
  /** Began at this time or later, ISO 8601 UTC. */
  since?: string
  /** Comes after this one: the last of the page before. */
  after?: Pick<SeenRun, 'started_at' | 'run'>
  limit: number
}

/** Runs, newest first. */
export function seenRuns(
  queries: Queries,
  { limit, jobs = [], after, ...wanted }: SeenQuery,
): Promise<SeenRun[]> {
  const conditions = {
    job: 'r.job = :job',
    status: 'r.status = :status',
    since: 'r.started_at >= :since',
    at: '(r.started_at, r.run) < (:at, :run)',
  }
  const names = jobs.map((job, n) => [`job${n}`, job] as const)
  const given = Object.entries({ ...wanted, ...(after && { at: after.started_at }) }).filter(
    ([, value]) => value !== undefined,
  ) as [keyof typeof conditions, string][]
  const all = [
    ...given.map(([name]) => conditions[name]),
    ...(names.length > 0 ? [`r.job IN (${names.map(([name]) => `:${name}`).join(', ')})`] : []),
  ]
  const where = all.length > 0 ? `WHERE ${all.join(' AND ')}` : ''
  return queries.all(
    `SELECT r.run, r.job, r.status, r.goal, r.started_at, r.ended_at, r.owner, l.expires_at, r.error,
       h.rows_read, h.rows_loaded, h.error_rate
     FROM runs r LEFT JOIN sync_history h ON h.run = r.run LEFT JOIN leases l ON l.name = 'run/' || r.run
     ${where} ORDER BY r.started_at DESC, r.run DESC LIMIT :limit`,
    { ...Object.fromEntries([...given, ...names]), ...(after && { run: after.run }), limit },
  )
}

/** How many of a job's runs began since a time, and how they stand; `active`: they have not ended. */
export interface JobTonight {
  job: string
  runs: number
  done: number
  failed: number
  active: number
}

/** Jobs with a run that began since a time, ISO 8601 UTC: first those where something failed, then those that go on. */
export function jobsSince(queries: Queries, since: string): Promise<JobTonight[]> {
  const number = (condition: string) => `sum(CASE WHEN ${condition} THEN 1 ELSE 0 END)`
  return queries.all(
    `SELECT job, count(*) AS runs, ${number(`status IN ('SUCCESS', 'COMPLETED_WITH_ERRORS')`)} AS done,
       ${number(`status = 'FAILED'`)} AS failed, ${number(`status = 'RUNNING'`)} AS active
     FROM runs WHERE started_at >= :since GROUP BY job ORDER BY failed DESC, active DESC, job`,
    { since },
  )
}

/** What the runs of a job that began in one span of time did. */
export interface SpanOfRuns {
  job: string
  /** The beginning of their start's text: `2026-03-01T02`, `2026-03-01`. */
  span: string
  runs: number
  failed: number
  /** The highest of its runs, each of its worst table, 0 to 1. */
  rate: number
  processed: number
}

/** Runs by job and hour, or day, of their start, since a time. */
export function runsBySpan(queries: Queries, span: 'hour' | 'day', since: string): Promise<SpanOfRuns[]> {
  const part = `substr(r.started_at, 1, ${span === 'hour' ? 13 : 10})`
  return queries.all(
    `SELECT r.job, ${part} AS span, count(*) AS runs,
       sum(CASE WHEN r.status = 'FAILED' THEN 1 ELSE 0 END) AS failed,
       coalesce(max(h.error_rate), 0) AS rate,
       CAST(coalesce(sum(h.records_processed), 0) AS BIGINT) AS processed
     FROM runs r LEFT JOIN sync_history h ON h.run = r.run
     WHERE r.started_at >= :since AND r.goal = 'load' GROUP BY r.job, ${part} ORDER BY r.job, span`,
    { since },
  )
}

/** SLA targets that were missed, by job and day. */
export function violationsByDay(
  queries: Queries,
  since: string,
): Promise<
  { job: string; day: string; type: ViolationType; run: string; expected: number; actual: number }[]
> {
  return queries.all(
    `SELECT job, substr(at, 1, 10) AS day, type, run, expected, actual FROM sla_violations WHERE at >= :since
     ORDER BY job, at, type`,
    { since },
  )
}

/** What is told of SLA targets and lock waits that is not gone: by job, with the alert as JSON. */
export function openWarnings(queries: Queries): Promise<{ job: string; payload: string }[]> {
  return queries.all(
    `SELECT job, payload FROM alerts WHERE kind = 'sla' AND channel = 'log' AND state <> 'resolved' ORDER BY first_at`,
  )
}

/** Jobs that have run, each with the start of its latest run. */
export async function jobsThatRan(queries: Queries): Promise<Map<string, string>> {
  const found = await queries.all<{ job: string; last: string }>(
    `SELECT job, max(started_at) AS last FROM runs GROUP BY job ORDER BY job`,
  )
  return new Map(found.map(({ job, last }) => [job, last]))
}
