import type { Database, Queries } from './database.ts'
import { type RunStatus, runLease, stepLease } from './runs.ts'

/** What decides whether a run may be forgotten. */
export interface Kept {
  run: string
  job: string
  status: RunStatus
  started_at: string
  ended_at: string | null
  /** Checkpoints refer to it. */
  checkpoints: number
}

/** A load task of a run: `load.warehouse`. */
export interface LoadTask {
  run: string
  job: string
  task: string
  status: string
  started_at: string
  ended_at: string | null
}

/** Why a run stays: where several reasons hold, the first. */
export type Reason =
  | 'running'
  | 'recent'
  | 'committed'
  | 'perhaps committed'
  | 'sync point'
  | 'not archived'
  | 'plan or checkpoint'

export interface RetentionFacts {
  runs: Kept[]
  loads: LoadTask[]
  /** Runs that sync points name. */
  points: string[]
  /** Runs whose archive failed. */
  unarchived?: string[]
}

export async function retentionFacts(queries: Queries): Promise<RetentionFacts> {
  return {
    runs: await queries.all(
      `SELECT r.run, r.job, r.status, r.started_at, r.ended_at,
         (SELECT count(*) FROM checkpoints c WHERE c.run = r.run) AS checkpoints
       FROM runs r ORDER BY r.started_at, r.run`,
    ),
    loads: await queries.all(
      `SELECT t.run, r.job, t.task, t.status, t.started_at, t.ended_at
       FROM tasks t JOIN runs r ON r.run = t.run WHERE t.task LIKE 'load.%'`,
    ),
    points: (await queries.all<{ run: string }>('SELECT DISTINCT run FROM sync_points')).map(
      ({ run }) => run,
    ),
    unarchived: (
      await queries.all<{ run: string }>(`SELECT run FROM tasks WHERE task = 'archive' AND status = 'FAILED'`)
    ).map(({ run }) => run),
  }
}

/** The runs that stay, with the reason; all others ended before the time given and nothing needs them. Pure. */
export function retained(
  { runs, loads, points, unarchived = [] }: RetentionFacts,
  before: string,
): Map<string, Reason> {
  const reasons = new Map<string, Reason>()
  const keep = (run: string, reason: Reason) => {
    if (!reasons.has(run)) reasons.set(run, reason)
  }
  for (const { run, status, ended_at } of runs)
    if (status === 'RUNNING') keep(run, 'running')
    else if (ended_at === null || ended_at >= before) keep(run, 'recent')
  const lastCommit = new Map<string, string>()
  for (const group of Map.groupBy(loads, ({ job, task }) => `${job} ${task}`).values()) {
    // A reopened plan commits after runs that began later: the time of the load counts, not the run's.
    const last = group
      .filter(({ status }) => status === 'SUCCESS')
      .reduce<LoadTask | undefined>((a, b) => (a && a.ended_at! >= b.ended_at! ? a : b), undefined)
    if (last) {
      keep(last.run, 'committed')
      if (last.ended_at! > (lastCommit.get(last.job) ?? '')) lastCommit.set(last.job, last.ended_at!)
    }
    // Killed, or cut off, between the target's commit and ours: the target may name it.
    for (const { run, status, started_at } of group)
      if (status !== 'SUCCESS' && (!last || started_at >= last.ended_at!)) keep(run, 'perhaps committed')
  }
  for (const run of points) keep(run, 'sync point')
  for (const run of unarchived) keep(run, 'not archived')
  for (const { run, job, status, checkpoints, ended_at } of runs)
    if ((status === 'PLANNED' || checkpoints > 0) && ended_at! >= (lastCommit.get(job) ?? ''))
      keep(run, 'plan or checkpoint')
  return reasons
}

/** Tables whose rows belong to one run. Error records outlive it that are open or queued, or whose correction still holds: they hold their own rows. */
const OF_A_RUN = [
  'parts',
  'tasks',
  'sync_history',
  'table_history',
  'run_details',
  'delta_tracking',
  'checkpoints',
  'sla_violations',
]

/** Forgets a run that has ended; false where it is going again. */
export function forgetRun(database: Database, run: string): Promise<boolean> {
  return database.transaction(async queries => {
    const ended = await queries.all(`SELECT 1 AS one FROM runs WHERE run = :run AND status <> 'RUNNING'`, {
      run,
    })
    if (ended.length === 0) return false
    // Of a schedule's intervals, and of those taken over from other jobs, it is known for ever that they were run; those of
    // events follow one another by the minute, and stay where others that wait may ask for them.
    await queries.run(
      `DELETE FROM intervals WHERE run = :run AND (job, interval_start) IN
         (SELECT job, interval_start FROM runs WHERE run = :run AND trigger = 'event')
         AND NOT EXISTS (SELECT 1 FROM intervals w WHERE w.state IN ('WAITING', 'RUNNING') AND w.job <> intervals.job
           AND w.interval_start < intervals.interval_end AND w.interval_end > intervals.interval_start)`,
      { run },
    )
    for (const table of OF_A_RUN) await queries.run(`DELETE FROM ${table} WHERE run = :run`, { run })
    await queries.run(
      `DELETE FROM error_records WHERE run = :run
         AND (state IN ('discarded', 'resolved') OR (state = 'reprocessed' AND correction IS NULL))`,
      { run },
    )
    await queries.run('DELETE FROM leases WHERE name = :own OR name LIKE :steps', {
      own: runLease(run),
      steps: stepLease(run, '%'),
    })
    await queries.run('DELETE FROM runs WHERE run = :run', { run })
    return true
  })
}

/** Forgets what logs told of that has started runs before the time given; a file is known for as long as it may lie there. */
export async function forgetTriggers(queries: Queries, before: string): Promise<void> {
  await queries.run(`DELETE FROM triggers WHERE kind = 'log' AND consumed_at < :before`, { before })
}

/** Forgets alerts whose causes were gone before the time given; one that is still on its way in a channel looks at the others. */
export async function forgetAlerts(queries: Queries, before: string): Promise<void> {
  await queries.run(
    `DELETE FROM alerts WHERE state = 'resolved' AND coalesce(sent_at, first_at) < :before
       AND NOT EXISTS (SELECT 1 FROM alerts o WHERE o.key = alerts.key
         AND (o.state <> 'resolved' OR coalesce(o.sent_at, o.first_at) >= :before))`,
    { before },
  )
}
