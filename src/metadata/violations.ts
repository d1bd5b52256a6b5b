import type { Severity, Violation, ViolationType } from '../spec/violation.ts'
import type { Queries } from './database.ts'

/** An SLA target that a run did not keep. */
export interface ViolationRecord extends Violation {
  job: string
  run: string
  type: ViolationType
  severity: Severity
  /** When it was first seen. */
  at: string
}

/** Keeps a run's violations; those known already take the new figure. */
export async function keepViolations(
  queries: Queries,
  { job, run }: { job: string; run: string },
  violations: Violation[],
  at: string,
): Promise<void> {
  for (const { type, severity, expected, actual } of violations)
    await queries.run(
      `INSERT INTO sla_violations (job, run, type, severity, expected, actual, at)
       VALUES (:job, :run, :type, :severity, :expected, :actual, :at)
       ON CONFLICT (job, run, type) DO UPDATE SET severity = :severity, expected = :expected, actual = :actual`,
      { job, run, type, severity, expected, actual, at },
    )
}

/** Runs that one statement asks for. */
const AT_ONCE = 500

/** The violations of some runs, by run. */
export async function violationsOf(
  queries: Queries,
  runs: string[],
): Promise<Map<string, ViolationRecord[]>> {
  const found: ViolationRecord[] = []
  for (let from = 0; from < runs.length; from += AT_ONCE) {
    const some = runs.slice(from, from + AT_ONCE)
    found.push(
      ...(await queries.all<ViolationRecord>(
        `SELECT job, run, type, severity, expected, actual, at FROM sla_violations
         WHERE run IN (${some.map((_, index) => `:run${index}`).join(', ')}) ORDER BY at, type`,
        Object.fromEntries(some.map((run, index) => [`run${index}`, run])),
      )),
    )
  }
  return Map.groupBy(found, ({ run }) => run)
}

/** How long the tasks of a job's latest loads took, and what was left after each; undisturbed runs only. */
export async function pastTasks(
  queries: Queries,
  job: string,
  limit: number,
): Promise<{ run: string; task: string; took: number; after: number }[]> {
  const found = await queries.all<Record<'run' | 'task' | 'started_at' | 'ended_at' | 'run_ended', string>>(
    `SELECT t.run, t.task, t.started_at, t.ended_at, r.ended_at AS run_ended FROM tasks t JOIN
       (SELECT run, ended_at FROM runs WHERE job = :job AND goal = 'load' AND attempt = 1
          AND status IN ('SUCCESS', 'COMPLETED_WITH_ERRORS') ORDER BY started_at DESC, run DESC LIMIT :limit) r
       ON r.run = t.run WHERE t.status = 'SUCCESS'`,
    { job, limit },
  )
  return found.map(({ run, task, started_at, ended_at, run_ended }) => ({
    run,
    task,
    took: Date.parse(ended_at) - Date.parse(started_at),
    after: Math.max(0, Date.parse(run_ended) - Date.parse(ended_at)),
  }))
}
