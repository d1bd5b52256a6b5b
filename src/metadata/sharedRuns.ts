import { taskName } from '../../engine/contracts/taskName.ts'
import type { Clock } from '../../engine/contracts/tasks.ts'
import type { Database } from './database.ts'
import { fenced, Leases } from './leases.ts'
import { findRun, type RunRecord, runLease, SHARED, SHARED_LEASE_TIME, stepLease } from './runs.ts'

/**
 * Gives a step of a shared run a fence of its own, higher than that of every step before it; it ends the run with that.
 * Fails with FENCED where the run is no longer shared.
 */
export function shareRun(database: Database, clock: Clock, run: string): Promise<RunRecord> {
  return database.transaction(async queries => {
    const fence = await new Leases(queries, clock).nextFence(runLease(run), SHARED, SHARED_LEASE_TIME)
    const changed =
      fence !== undefined &&
      (await queries.run(
        `UPDATE runs SET fence = :fence WHERE run = :run AND owner = :owner AND status = 'RUNNING'`,
        { run, fence, owner: SHARED },
      ))
    if (!changed) throw fenced(`run ${run}`)
    return (await findRun(queries, run))!
  })
}

/** The step of a shared run that is going on; undefined where none is. */
export async function goingStep(database: Database, clock: Clock, run: string): Promise<string | undefined> {
  const [found] = await database.all<{ name: string }>(
    `SELECT name FROM leases WHERE name LIKE :prefix AND owner <> '' AND expires_at > :now ORDER BY name LIMIT 1`,
    { prefix: stepLease(run, '%'), now: clock.now().toISOString() },
  )
  return found?.name.slice(stepLease(run, '').length)
}

/** Who has taken a run, or steps of it, and was not followed by others, whether they still live or not. */
export async function holdersOf(database: Database, run: string): Promise<string[]> {
  const found = await database.all<{ owner: string }>(
    `SELECT DISTINCT owner FROM leases WHERE owner <> '' AND (name = :own OR name LIKE :steps)`,
    { own: runLease(run), steps: stepLease(run, '%') },
  )
  return found.map(({ owner }) => owner)
}

/** The run of a job that an orchestrator knows by a key, which its id ends with. */
export async function runOfKey(
  database: Database,
  job: string,
  ending: string,
): Promise<RunRecord | undefined> {
  const [found] = await database.all<{ run: string }>(
    `SELECT run FROM runs WHERE job = :job AND run LIKE :ending ORDER BY run DESC LIMIT 1`,
    { job, ending: `%-${ending}` },
  )
  return found && findRun(database, found.run)
}

/** Whether a later run of the job has begun to load. Ids of runs sort by time. */
export async function isLoadedAfter(
  database: Database,
  { job, run }: Pick<RunRecord, 'job' | 'run'>,
): Promise<boolean> {
  const [found] = await database.all<{ run: string }>(
    `SELECT r.run FROM runs r JOIN tasks t ON t.run = r.run
     WHERE r.job = :job AND r.run > :run AND t.task LIKE :loads LIMIT 1`,
    { job, run, loads: taskName('load', '%') },
  )
  return found !== undefined
}
