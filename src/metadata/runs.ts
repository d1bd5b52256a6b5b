import type { Queries, Value } from './database.ts'

export type RunStatus = 'RUNNING' | 'PLANNED' | 'SUCCESS' | 'COMPLETED_WITH_ERRORS' | 'FAILED'

/** Whether a run, or an interval by it, is done: all that was good is loaded. */
export const isDone = (status: RunStatus | 'WAITING') =>
  status === 'SUCCESS' || status === 'COMPLETED_WITH_ERRORS'

/** One run as the history keeps it. Times are ISO 8601 UTC. */
export interface RunRecord {
  run: string
  job: string
  status: RunStatus
  /** How far it goes: a plan stops before the load. */
  goal: 'load' | 'plan'
  trigger: 'manual' | 'schedule' | 'backfill' | 'event' | 'after' | 'restore'
  priority: number
  run_at: string
  /** The data interval, [start, end); null for a run of none. */
  interval_start: string | null
  interval_end: string | null
  started_at: string
  ended_at: string | null
  spec_hash: string
  owner: string
  /** Of the lease under which it runs. */
  fence: number
  /** When the lease ends without renewal; null where there is none (an earlier version began the run). */
  expires_at: string | null
  /** 1, and one more each time it was continued. */
  attempt: number
  /** 1: at the next commit; 2: at once. */
  cancel_requested: number
  error: string | null
}

/** What a run begins with. */
export type NewRun = Pick<RunRecord, 'run' | 'job' | 'run_at' | 'spec_hash' | 'owner'> &
  Partial<Pick<RunRecord, 'goal' | 'trigger' | 'priority' | 'interval_start' | 'interval_end'>>

/** The lease under which a run runs. */
export const runLease = (run: string): string => `run/${run}`

/** The lease under which a step of a run runs, where an orchestrator runs its steps in processes of their own. */
export const stepLease = (run: string, step: string): string => `step/${run}/${step}`

/** The owner of a run whose steps are processes of their own, on whatever machine; in the form of a process's name. */
export const SHARED = 'orchestrator::'
/** How long such a run may stand between two steps, in milliseconds. */
export const SHARED_LEASE_TIME = 86_400_000

const SELECT = `SELECT r.run, r.job, r.status, r.goal, r.trigger, r.priority, r.run_at, r.interval_start,
    r.interval_end, r.started_at, r.ended_at, r.spec_hash, r.owner, r.fence, r.attempt, r.cancel_requested, r.error,
    l.expires_at
  FROM runs r LEFT JOIN leases l ON l.name = 'run/' || r.run`

export async function findRun(queries: Queries, run: string): Promise<RunRecord | undefined> {
  const [found] = await queries.all<RunRecord>(`${SELECT} WHERE r.run = :run`, { run })
  return found
}

/** The runs of a job that have not ended, oldest first. */
export function activeRuns(queries: Queries, job: string): Promise<RunRecord[]> {
  return queries.all(`${SELECT} WHERE r.job = :job AND r.status = 'RUNNING' ORDER BY r.started_at, r.run`, {
    job,
  })
}

/** The id of a job's run that sorts last. */
export async function lastRunId(queries: Queries, job: string): Promise<string | undefined> {
  const [found] = await queries.all<{ last: string | null }>(
    `SELECT max(run) AS last FROM runs WHERE job = :job`,
    { job },
  )
  return found?.last ?? undefined
}

/** Runs of a job that have ended, are loaded, and whose archive failed; oldest first. */
export function unarchivedRuns(queries: Queries, job: string): Promise<RunRecord[]> {
  return queries.all(
    `${SELECT} JOIN tasks t ON t.run = r.run AND t.task = 'archive' AND t.status = 'FAILED'
     WHERE r.job = :job AND r.status IN ('SUCCESS', 'COMPLETED_WITH_ERRORS') ORDER BY r.started_at, r.run`,
    { job },
  )
}

/** The latest runs, newest first; of one job where it is named. */
export function latestRuns(queries: Queries, limit: number, job?: string): Promise<RunRecord[]> {
  return queries.all(
    `${SELECT} ${job ? 'WHERE r.job = :job' : ''} ORDER BY r.started_at DESC, r.run DESC LIMIT :limit`,
    { limit, ...(job && { job }) },
  )
}

/**
 * The run of a job towards a goal that was the last to end, where a signal has stopped it: nobody cancelled it, and no run has
 * ended since, so that the same command goes on with it. `start`: of its data interval; null of one that is of none.
 */
export async function stoppedRun(
  queries: Queries,
  { job, goal, start }: { job: string; goal: RunRecord['goal']; start: string | null },
): Promise<RunRecord | undefined> {
  const [last] = await queries.all<RunRecord>(
    `${SELECT} WHERE r.job = :job AND r.goal = :goal AND r.status <> 'RUNNING' AND r.spec_hash <> ''
     ORDER BY r.ended_at DESC, r.run DESC LIMIT 1`,
    { job, goal },
  )
  return last && isStopped(last) && last.interval_start === start ? last : undefined
}

function isStopped({ status, error, cancel_requested }: RunRecord): boolean {
  if (status !== 'FAILED' || error === null || cancel_requested > 0) return false
  return (JSON.parse(error) as { code?: string }).code === 'INTERRUPTED'
}

export async function insertRun(queries: Queries, run: NewRun, fence: number, now: string): Promise<void> {
  const { goal = 'load', trigger = 'manual', priority = 0, interval_start, interval_end } = run
  const params: Record<string, Value> = {
    run: run.run,
    job: run.job,
    run_at: run.run_at,
    spec_hash: run.spec_hash,
    owner: run.owner,
    goal,
    trigger,
    priority,
    interval_start: interval_start ?? null,
    interval_end: interval_end ?? null,
    fence,
    now,
  }
  await queries.run(
    `INSERT INTO runs (run, job, status, goal, trigger, priority, run_at, interval_start, interval_end, started_at,
       spec_hash, owner, fence)
     VALUES (:run, :job, 'RUNNING', :goal, :trigger, :priority, :run_at, :interval_start, :interval_end, :now,
       :spec_hash, :owner, :fence)`,
    params,
  )
}
