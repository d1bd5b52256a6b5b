import type { CommitResult } from '../../engine/contracts/load.ts'
import { taskName } from '../../engine/contracts/taskName.ts'
import type { Clock, TaskStore } from '../../engine/contracts/tasks.ts'
import { EngineError } from '../../engine/errors.ts'
import { type Checkpoint, Checkpoints } from './checkpoints.ts'
import type { Database, Queries } from './database.ts'
import { type Delta, keepDeltas } from './deltaTracking.ts'
import { ErrorRecords } from './errorRecords.ts'
import {
  type Claim,
  endInterval,
  type IntervalState,
  Intervals,
  joinInterval,
  rejoinInterval,
  settleFailed,
} from './intervals.ts'
import { fenced, LEASE_TIME, Leases } from './leases.ts'
import { MIGRATIONS } from './migrations/index.ts'
import { Pauses } from './pauses.ts'
import { type EndDetails, endDetails, noteDetails, type RunDetails } from './runDetails.ts'
import { idAfter } from './runId.ts'
import {
  activeRuns,
  findRun,
  insertRun,
  isDone,
  lastRunId,
  latestRuns,
  type NewRun,
  type RunRecord,
  type RunStatus,
  runLease,
  SHARED,
  SHARED_LEASE_TIME,
  stoppedRun,
  unarchivedRuns,
} from './runs.ts'
import { type Ended, type HistoryQuery, type HistoryRecord, history, keepHistory } from './syncHistory.ts'
import { keepTables, type TableResult } from './tableHistory.ts'
import { describe, forgetTasks, type Held, settleTask, type TaskRecord, taskStore, tasksOf } from './tasks.ts'
import { addTotals, type Total } from './totals.ts'
import { Triggers } from './triggers.ts'

/** What ends a run, in one transaction. */
export interface RunEnd extends Ended {
  deltas?: Delta[]
  tables?: TableResult[]
  /** What is counted of the run as a whole, and what of this process's work on it. */
  counted?: Total[]
  added?: Total[]
  /** What is to be seen of it. */
  seen?: EndDetails
  /** Of the lease under which it ran. */
  fence: number
  status: Exclude<RunStatus, 'RUNNING'>
  error: unknown
  /** What else is written with it, or not at all. */
  also?: (queries: Queries) => Promise<void>
}

/** What is remembered from run to run, in SQLite or Postgres. Every write is durable on return. */
export class Metadata {
  readonly leases: Leases
  readonly checkpoints: Checkpoints
  readonly errors: ErrorRecords
  readonly intervals: Intervals
  readonly pauses: Pauses
  readonly triggers: Triggers
  /** For queries of others; see {@link Database.transaction}. */
  readonly database: Database
  private readonly clock: Clock

  private constructor(database: Database, clock: Clock) {
    this.database = database
    this.clock = clock
    this.leases = new Leases(database, clock)
    this.checkpoints = new Checkpoints(database, clock)
    this.errors = new ErrorRecords(database, clock)
    this.intervals = new Intervals(database, clock)
    this.pauses = new Pauses(database, clock)
    this.triggers = new Triggers(database, clock)
  }

  /** Opens a store, made or brought to this version where needed; closes the database where that fails. */
  static async open(database: Database, clock: Clock): Promise<Metadata> {
    try {
      await database.migrate(MIGRATIONS)
    } catch (error) {
      await database.close()
      throw error
    }
    return new Metadata(database, clock)
  }

  close(): Promise<void> {
    return this.database.close()
  }

  /**
   * Starts a run under a lease. Fails with RUN_CONFLICT while `maxActive` runs of the job, or one of its data
   * interval, are active; with FENCED when the run is for an interval that somebody else has taken since the claim. Its id
   * becomes one that sorts after those of the job's earlier runs.
   */
  startRun(given: NewRun, maxActive = 1, claim?: Claim): Promise<RunRecord> {
    return this.database.transaction(async queries => {
      await this.refuseConflict(queries, given, maxActive)
      const run = { ...given, run: idAfter(await lastRunId(queries, given.job), given.run) }
      if (claim) await joinInterval(queries, claim, run.run, this.now())
      const lease = await new Leases(queries, this.clock).acquire(
        runLease(run.run),
        run.owner,
        leaseTime(run),
      )
      await insertRun(queries, run, lease!.fence, this.now())
      return (await findRun(queries, run.run))!
    })
  }

  /**
   * Continues an interrupted run: from now on only `owner` can write to it. Undefined when somebody else was faster,
   * or its owner has come back. `dead`: that owner is known to be gone, and its lease need not expire.
   */
  takeOver(
    { run, owner: from }: Pick<RunRecord, 'run' | 'owner'>,
    owner: string,
    dead: boolean,
  ): Promise<RunRecord | undefined> {
    return this.database.transaction(async queries => {
      const found = await findRun(queries, run)
      if (found?.status !== 'RUNNING' || found.owner !== from) return undefined
      return this.hold(queries, found, owner, dead)
    })
  }

  /**
   * Sets a run that has ended going again, towards the load where nothing else is said; undefined when somebody else was
   * faster. Without a claim its data interval is its own where no other run has it. Fails as {@link startRun} does.
   */
  reopen(
    { run, status }: Pick<RunRecord, 'run' | 'status'>,
    owner: string,
    {
      goal = 'load',
      maxActive = 1,
      claim,
    }: { goal?: RunRecord['goal']; maxActive?: number; claim?: Claim } = {},
  ): Promise<RunRecord | undefined> {
    return this.database.transaction(async queries => {
      const found = await findRun(queries, run)
      if (!found || found.status !== status) return undefined
      await this.refuseConflict(queries, found, maxActive)
      if (!(await this.hold(queries, found, owner, false))) return undefined
      if (claim) await joinInterval(queries, claim, run, this.now())
      else await rejoinInterval(queries, found, this.now())
      await queries.run(
        `UPDATE runs SET status = 'RUNNING', goal = :goal, ended_at = NULL, error = NULL WHERE run = :run`,
        { run, goal },
      )
      return findRun(queries, run)
    })
  }

  /**
   * Asks the process that runs a run to stop, see {@link RunRecord}; that of one which has failed, not to resume it by
   * itself. False where there is nothing to stop.
   */
  async requestCancel(run: string, level: 1 | 2): Promise<boolean> {
    const changed = await this.database.run(
      `UPDATE runs SET cancel_requested = :level WHERE run = :run AND status IN ('RUNNING', 'FAILED')`,
      { run, level },
    )
    return changed === 1
  }

  /** Notes what a task that goes on waits for; gone with its end. */
  async noteWait({ run, fence }: Held, task: string, message: string): Promise<void> {
    await this.database.run(
      `UPDATE tasks SET error = :error WHERE run = :run AND task = :task AND fence = :fence AND status = 'RUNNING'`,
      { run, task, fence, error: JSON.stringify({ message }) },
    )
  }

  /** From now on the run goes by these files. */
  async acceptChanges({ run, fence }: Held, spec_hash: string): Promise<void> {
    await this.database.run('UPDATE runs SET spec_hash = :spec_hash WHERE run = :run AND fence = :fence', {
      run,
      fence,
      spec_hash,
    })
  }

  /** Forgets tasks of a run that is held: they will be done again. */
  forgetTasks(held: Held, tasks: string[]): Promise<void> {
    return forgetTasks(this.database, held, tasks)
  }

  /** Runs whose archive is still to be made. */
  unarchived(job: string): Promise<RunRecord[]> {
    return unarchivedRuns(this.database, job)
  }

  /** A task that failed, of a run that has ended, is done after all. */
  settleTask(run: string, task: string, output: unknown): Promise<void> {
    return settleTask(this.database, this.clock, { run, task, output })
  }

  /** Takes a run that is not running back to a checkpoint: these tasks and the checkpoints after it are forgotten. */
  restore({ run, created_at, id }: Checkpoint, tasks: string[]): Promise<void> {
    return this.database.transaction(async queries => {
      for (const task of tasks)
        await queries.run('DELETE FROM tasks WHERE run = :run AND task = :task', { run, task })
      await queries.run(
        `DELETE FROM checkpoints WHERE run = :run AND (created_at > :created_at OR (created_at = :created_at AND id > :id))`,
        { run, created_at, id },
      )
    })
  }

  /**
   * Ends a run; gives where data intervals begin that had failed and are done by it. Fails with FENCED when somebody else
   * has taken it over.
   */
  endRun(end: RunEnd): Promise<string[]> {
    const { run, fence, status } = end
    const error = end.error === undefined ? null : describe(end.error)
    return this.database.transaction(async queries => {
      const changed = await queries.run(
        `UPDATE runs SET status = :status, ended_at = :now, error = :error
         WHERE run = :run AND fence = :fence AND status = 'RUNNING'`,
        { run, fence, status, error, now: this.now() },
      )
      if (changed === 0) throw fenced(`run ${run}`)
      await this.keepEnd(queries, end)
      await end.also?.(queries)
      const record = (await findRun(queries, run))!
      const state = stateAfter(end, record)
      await endInterval(queries, record, state, this.now())
      const isByHand = record.trigger === 'manual' && record.interval_start === null && record.goal === 'load'
      const settled = isByHand && isDone(state) ? await settleFailed(queries, record, state, this.now()) : []
      const { owner } = record
      await new Leases(queries, this.clock).release({ name: runLease(run), owner, fence })
      return settled
    })
  }

  run(run: string): Promise<RunRecord | undefined> {
    return findRun(this.database, run)
  }

  /** The job's run that has not ended: the oldest, where several may be active. */
  async activeRun(job: string): Promise<RunRecord | undefined> {
    return (await activeRuns(this.database, job))[0]
  }

  activeRuns(job: string): Promise<RunRecord[]> {
    return activeRuns(this.database, job)
  }

  /** See {@link stoppedRun}. */
  stoppedRun(of: Parameters<typeof stoppedRun>[1]): Promise<RunRecord | undefined> {
    return stoppedRun(this.database, of)
  }

  /** The latest runs, newest first; of one job where it is named. */
  runs(limit: number, job?: string): Promise<RunRecord[]> {
    return latestRuns(this.database, limit, job)
  }

  tasks(run: string): Promise<TaskRecord[]> {
    return tasksOf(this.database, run)
  }

  /** See {@link noteDetails}. */
  noteDetails(held: Held, details: Partial<RunDetails>): Promise<void> {
    return noteDetails(this.database, held, details, this.now())
  }

  history(query: HistoryQuery): Promise<HistoryRecord[]> {
    return history(this.database, query)
  }

  taskStore(held: Held, alongside?: Parameters<typeof taskStore>[3]): TaskStore {
    return taskStore(this.database, this.clock, held, alongside)
  }

  /** The latest finished loads of a job into one connection, newest first: what they wrote and how long it took. */
  async loads(job: string, connection: string, limit: number): Promise<{ rows: number; seconds: number }[]> {
    const found = await this.database.all<{ output: string; started_at: string; ended_at: string }>(
      `SELECT t.output, t.started_at, t.ended_at FROM tasks t JOIN runs r ON r.run = t.run
       WHERE r.job = :job AND t.task = :task AND t.status = 'SUCCESS' ORDER BY t.ended_at DESC LIMIT :limit`,
      { job, task: taskName('load', connection), limit },
    )
    return found.map(({ output, started_at, ended_at }) => {
      const { counts } = JSON.parse(output) as CommitResult
      const rows = counts.reduce((sum, c) => sum + c.inserted + c.updated + c.deleted + c.unchanged, 0)
      return { rows, seconds: (Date.parse(ended_at) - Date.parse(started_at)) / 1000 }
    })
  }

  private async hold(
    queries: Queries,
    { run, owner: from }: RunRecord,
    owner: string,
    dead: boolean,
  ): Promise<RunRecord | undefined> {
    const leases = new Leases(queries, this.clock)
    const lease = await leases.acquire(runLease(run), owner, leaseTime({ owner }), dead ? from : undefined)
    if (!lease) return undefined
    await queries.run(
      'UPDATE runs SET owner = :owner, fence = :fence, attempt = attempt + 1, cancel_requested = 0 WHERE run = :run',
      { run, owner, fence: lease.fence },
    )
    return findRun(queries, run)
  }

  private async keepEnd(queries: Queries, end: RunEnd): Promise<void> {
    const { run, job, status, seconds, tables = [], counted = [], added = [] } = end
    const isPlan = status === 'PLANNED'
    if (!isPlan) await keepHistory(queries, end)
    await keepDeltas(queries, end, this.now())
    await keepTables(queries, end, tables, this.now())
    const more = await endDetails(queries, run, end.seen, isPlan ? [] : counted, this.now())
    if (isPlan) return
    const ended: Total[] = [
      { name: 'runs', label: status, value: 1 },
      { name: 'seconds', label: '', value: seconds },
    ]
    await addTotals(queries, job, [...more, ...added, ...ended])
  }

  private async refuseConflict(
    queries: Queries,
    { job, interval_start }: Pick<NewRun, 'job' | 'interval_start'>,
    maxActive: number,
  ): Promise<void> {
    const active = await activeRuns(queries, job)
    const same = active.find(run => run.interval_start === (interval_start ?? null))
    if (active.length < maxActive && !same) return
    throw new EngineError('RUN_CONFLICT', `${job}: run ${(same ?? active[0]!).run} is active`, {
      hint: `nightfreight status ${job} shows it.`,
    })
  }

  private now(): string {
    return this.clock.now().toISOString()
  }
}

const leaseTime = ({ owner }: Pick<NewRun, 'owner'>) => (owner === SHARED ? SHARED_LEASE_TIME : LEASE_TIME)

// What a process left because it was told to stop is to be done; what a person cancelled is not.
function stateAfter({ status, error }: RunEnd, { cancel_requested }: RunRecord): IntervalState {
  const stopped = error instanceof EngineError && error.code === 'INTERRUPTED' && cancel_requested === 0
  return stopped || status === 'PLANNED' ? 'WAITING' : status
}
