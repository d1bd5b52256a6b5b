import type { Clock } from '../../engine/contracts/tasks.ts'
import type { Database, Queries } from './database.ts'
import { fenced, type Lease, Leases } from './leases.ts'
import { isDone, type RunStatus } from './runs.ts'

/** WAITING: planned, or interrupted on request; RUNNING: somebody has taken it; the others are its run's end. */
export type IntervalState = 'WAITING' | Exclude<RunStatus, 'PLANNED'>

/** A data interval of a job, [start, end). Times are ISO 8601 UTC. */
export interface IntervalRecord {
  job: string
  interval_start: string
  interval_end: string
  state: IntervalState
  /** Its run; null until that has begun. */
  run: string | null
  /** One more each time somebody takes it: the fence of whoever has. */
  try: number
  updated_at: string
  /** What it waits for, where it does, and since when: as the scheduler that leads has seen it. */
  waits_for: string | null
  waits_since: string | null
}

/** One that has not ended, with the state of its run. */
export interface OpenInterval extends IntervalRecord {
  owner: string | null
  expires_at: string | null
  /** How often its run was begun or continued. */
  attempt: number | null
}

/** One that is to be there. */
export interface PlannedInterval {
  job: string
  start: Date
  end: Date
}

/** Names a taken interval; writes of a claim that was overtaken change nothing, or fail with FENCED. */
export interface Claim {
  job: string
  start: string
  /** The interval's `try`. */
  fence: number
}

const SELECT = `SELECT i.job, i.interval_start, i.interval_end, i.state, i.run, i.try, i.updated_at, i.waits_for, i.waits_since`

export class Intervals {
  private readonly database: Database
  private readonly clock: Clock

  constructor(database: Database, clock: Clock) {
    this.database = database
    this.clock = clock
  }

  /** The time by which claims and leases are judged. */
  now(): Date {
    return this.clock.now()
  }

  /** Adds those that are not there, all or none; of the leader only. Fails with FENCED when it leads no more. */
  plan(intervals: PlannedInterval[], leader: Lease): Promise<void> {
    return this.led(leader, queries => insert(queries, intervals, this.time()))
  }

  /**
   * Adds one for the triggers of a job that wait, and marks them as its own. Of the leader only.
   * Fails with FENCED when it leads no more.
   */
  planEvent(interval: PlannedInterval, leader: Lease): Promise<void> {
    return this.led(leader, async queries => {
      await insert(queries, [interval], this.time())
      await queries.run(
        'UPDATE triggers SET consumed_by = :start, consumed_at = :now WHERE job = :job AND consumed_by IS NULL',
        { job: interval.job, start: interval.start.toISOString(), now: this.time() },
      )
    })
  }

  /** Adds one of a backfill where it is not there, and gives what is. */
  async demand(interval: PlannedInterval): Promise<IntervalRecord> {
    await insert(this.database, [interval], this.time())
    return (await this.find(interval.job, interval.start.toISOString()))!
  }

  /** Takes intervals as they were read; gives the claims of those that nobody took meanwhile. */
  take(wanted: IntervalRecord[], leader?: Lease): Promise<Claim[]> {
    const act = async (queries: Queries) => {
      const claims: Claim[] = []
      for (const some of portions(wanted)) {
        const values = some.map((_, i) => `(:job${i}, :start${i}, :state${i}, CAST(:try${i} AS BIGINT))`)
        claims.push(
          ...(await queries.all<Claim>(
            `UPDATE intervals SET run = CASE WHEN state = 'RUNNING' THEN run END, state = 'RUNNING', try = try + 1,
               updated_at = :now
             WHERE (job, interval_start, state, try) IN (VALUES ${values.join(', ')})
             RETURNING job, interval_start AS start, try AS fence`,
            Object.assign(
              { now: this.time() },
              ...some.map(({ job, interval_start, state, try: fence }, i) => ({
                [`job${i}`]: job,
                [`start${i}`]: interval_start,
                [`state${i}`]: state,
                [`try${i}`]: fence,
              })),
            ),
          )),
        )
      }
      return claims
    }
    return leader ? this.led(leader, act) : this.database.transaction(act)
  }

  /** Says that a process which has taken an interval is still starting its run. */
  async touch({ job, start, fence }: Claim): Promise<void> {
    await this.database.run(
      `UPDATE intervals SET updated_at = :now
       WHERE job = :job AND interval_start = :start AND try = :fence AND state = 'RUNNING' AND run IS NULL`,
      { job, start, fence, now: this.time() },
    )
  }

  /** Gives back an interval whose run did not begin; false when it did, or somebody else has taken it. */
  async letGo({ job, start, fence }: Claim): Promise<boolean> {
    const changed = await this.database.run(
      `UPDATE intervals SET state = 'WAITING', updated_at = :now
       WHERE job = :job AND interval_start = :start AND try = :fence AND state = 'RUNNING' AND run IS NULL`,
      { job, start, fence, now: this.time() },
    )
    return changed === 1
  }

  /** Writes down what intervals wait for. */
  noteWaits(waits: { job: string; start: string; reason: string }[]): Promise<void> {
    return this.database.transaction(async queries => {
      for (const { job, start, reason } of waits)
        await queries.run(
          `UPDATE intervals SET waits_for = :reason, waits_since = :now
           WHERE job = :job AND interval_start = :start AND state = 'WAITING'`,
          { job, start, reason, now: this.time() },
        )
    })
  }

  async find(job: string, start: string): Promise<IntervalRecord | undefined> {
    const [found] = await this.database.all<IntervalRecord>(
      `${SELECT} FROM intervals i WHERE i.job = :job AND i.interval_start = :start`,
      { job, start },
    )
    return found
  }

  /** All that have not ended, oldest first. */
  open(): Promise<OpenInterval[]> {
    return this.database.all(
      `${SELECT}, r.owner, r.attempt, l.expires_at
       FROM intervals i LEFT JOIN runs r ON r.run = i.run LEFT JOIN leases l ON l.name = 'run/' || i.run
       WHERE i.state IN ('WAITING', 'RUNNING') ORDER BY i.interval_end, i.job, i.interval_start`,
    )
  }

  async countWaiting(): Promise<number> {
    const [row] = await this.database.all<{ n: number }>(
      `SELECT count(*) AS n FROM intervals WHERE state = 'WAITING'`,
    )
    return row!.n
  }

  /** The latest of a job, newest first. */
  list(job: string, limit: number): Promise<IntervalRecord[]> {
    return this.database.all(
      `${SELECT} FROM intervals i WHERE i.job = :job ORDER BY i.interval_start DESC LIMIT :limit`,
      { job, limit },
    )
  }

  /** Forgets those of a job that end in the future and that nobody runs: a clock was ahead. Gives how many. */
  forgetFuture(job: string): Promise<number> {
    return this.database.run(
      `DELETE FROM intervals WHERE job = :job AND interval_end > :now AND state <> 'RUNNING'`,
      { job, now: this.time() },
    )
  }

  /** The end of the last one planned; those of backfills do not count. */
  async lastPlanned(job: string): Promise<Date | undefined> {
    const [row] = await this.database.all<{ last: string | null }>(
      `SELECT max(i.interval_end) AS last FROM intervals i LEFT JOIN runs r ON r.run = i.run
       WHERE i.job = :job AND coalesce(r.trigger, 'schedule') <> 'backfill'`,
      { job },
    )
    return row?.last ? new Date(row.last) : undefined
  }

  /** The one before; undefined where there is none. */
  async before(
    job: string,
    start: string,
  ): Promise<Pick<IntervalRecord, 'state' | 'interval_start'> | undefined> {
    const [row] = await this.database.all<Pick<IntervalRecord, 'state' | 'interval_start'>>(
      `SELECT state, interval_start FROM intervals WHERE job = :job AND interval_start < :start
       ORDER BY interval_start DESC LIMIT 1`,
      { job, start },
    )
    return row
  }

  /** Whether a job's intervals reach the end of the one given and all that overlap it have succeeded. */
  async covers(job: string, start: string, end: string): Promise<boolean> {
    const overlapping = await this.database.all<Pick<IntervalRecord, 'state' | 'interval_end'>>(
      'SELECT state, interval_end FROM intervals WHERE job = :job AND interval_start < :end AND interval_end > :start',
      { job, start, end },
    )
    return overlapping.some(i => i.interval_end >= end) && overlapping.every(({ state }) => isDone(state))
  }

  /**
   * Intervals of `other` that succeeded, as this job does not have them yet, oldest first: those that begin at `from`
   * or later and have changed at `since` or later.
   */
  succeeded(
    other: string,
    job: string,
    from: string,
    since: string,
    limit: number,
  ): Promise<IntervalRecord[]> {
    return this.database.all(
      `${SELECT} FROM intervals i WHERE i.job = :other AND i.interval_start >= :from AND i.updated_at >= :since
         AND i.state IN ('SUCCESS', 'COMPLETED_WITH_ERRORS') AND NOT EXISTS (
           SELECT 1 FROM intervals m WHERE m.job = :job AND m.interval_start = i.interval_start)
       ORDER BY i.interval_start LIMIT :limit`,
      { other, job, from, since, limit },
    )
  }

  /** The latest of a job that succeeded. */
  async lastSucceeded(job: string): Promise<IntervalRecord | undefined> {
    const [found] = await this.database.all<IntervalRecord>(
      `${SELECT} FROM intervals i WHERE i.job = :job AND i.state IN ('SUCCESS', 'COMPLETED_WITH_ERRORS')
       ORDER BY i.interval_start DESC LIMIT 1`,
      { job },
    )
    return found
  }

  /** Where a job's intervals begin. */
  async first(job: string): Promise<string | undefined> {
    const [row] = await this.database.all<{ first: string | null }>(
      'SELECT min(interval_start) AS first FROM intervals WHERE job = :job',
      { job },
    )
    return row?.first ?? undefined
  }

  /** Runs that are active and that no interval which runs has: of people, mostly. */
  others(): Promise<{ job: string; owner: string; expires_at: string | null }[]> {
    return this.database.all(
      `SELECT r.job, r.owner, l.expires_at FROM runs r LEFT JOIN leases l ON l.name = 'run/' || r.run
       WHERE r.status = 'RUNNING' AND NOT EXISTS (SELECT 1 FROM intervals i WHERE i.job = r.job
         AND i.interval_start = r.interval_start AND i.run = r.run AND i.state = 'RUNNING')`,
    )
  }

  private led<T>(leader: Lease, act: (queries: Queries) => Promise<T>): Promise<T> {
    return this.database.transaction(async queries => {
      if (!(await new Leases(queries, this.clock).holds(leader))) throw fenced(leader.name)
      return act(queries)
    })
  }

  private time(): string {
    return this.clock.now().toISOString()
  }
}

async function insert(queries: Queries, intervals: PlannedInterval[], now: string): Promise<void> {
  for (const some of portions(intervals)) {
    const values = some.map((_, i) => `(:job${i}, :start${i}, :end${i}, 'WAITING', :now)`)
    await queries.run(
      `INSERT INTO intervals (job, interval_start, interval_end, state, updated_at)
       VALUES ${values.join(', ')} ON CONFLICT (job, interval_start) DO NOTHING`,
      Object.assign(
        { now },
        ...some.map(({ job, start, end }, i) => ({
          [`job${i}`]: job,
          [`start${i}`]: start.toISOString(),
          [`end${i}`]: end.toISOString(),
        })),
      ),
    )
  }
}

/** Rows a statement: one each would be a round trip each. */
const AT_ONCE = 50

function portions<T>(all: T[]): T[][] {
  const count = Math.ceil(all.length / AT_ONCE)
  return Array.from({ length: count }, (_, n) => all.slice(n * AT_ONCE, (n + 1) * AT_ONCE))
}

/** Gives an interval its run, in the transaction that begins the run. Fails with FENCED when somebody else took it. */
export async function joinInterval(
  queries: Queries,
  { job, start, fence }: Claim,
  run: string,
  now: string,
): Promise<void> {
  // WAITING: this very process has just given up the interval's former run.
  const changed = await queries.run(
    `UPDATE intervals SET state = 'RUNNING', run = :run, updated_at = :now
     WHERE job = :job AND interval_start = :start AND try = :fence AND run IS NULL AND state IN ('RUNNING', 'WAITING')`,
    { job, start, fence, run, now },
  )
  if (changed === 0) throw fenced(`interval ${start} of ${job}`)
}

/** Gives an interval that waits, or whose run has not begun, a former run of it that somebody has set going again. */
export async function rejoinInterval(
  queries: Queries,
  { run, job, interval_start: start }: { run: string; job: string; interval_start: string | null },
  now: string,
): Promise<void> {
  await queries.run(
    `UPDATE intervals SET state = 'RUNNING', run = :run, try = try + 1, updated_at = :now
     WHERE job = :job AND interval_start = :start AND run IS NULL AND state IN ('RUNNING', 'WAITING')`,
    { job, start, run, now },
  )
}

/**
 * Settles intervals of a job that failed, by a run that somebody has started by hand since: it has loaded all that they
 * would have. Gives where they begin.
 */
export async function settleFailed(
  queries: Queries,
  { run, job, run_at }: { run: string; job: string; run_at: string },
  state: IntervalState,
  now: string,
): Promise<string[]> {
  const settled = await queries.all<{ start: string }>(
    `UPDATE intervals SET state = :state, run = :run, updated_at = :now
     WHERE job = :job AND state = 'FAILED' AND interval_end <= :run_at RETURNING interval_start AS start`,
    { run, job, run_at, state, now },
  )
  return settled.map(({ start }) => start).sort()
}

/**
 * Ends the interval of a run, in the transaction that ends the run; WAITING: it is to be run again. One that is done is so
 * also where a later run of it has failed, or has not begun.
 */
export async function endInterval(
  queries: Queries,
  run: { run: string; job: string; interval_start: string | null },
  state: IntervalState,
  now: string,
): Promise<void> {
  if (run.interval_start === null) return
  await queries.run(
    `UPDATE intervals SET state = :state, run = CASE WHEN CAST(:state AS TEXT) = 'WAITING' THEN NULL ELSE :run END,
       updated_at = :now
     WHERE job = :job AND interval_start = :start
       AND (run = :run OR ((state = 'FAILED' OR run IS NULL)
         AND CAST(:state AS TEXT) IN ('SUCCESS', 'COMPLETED_WITH_ERRORS')))`,
    { job: run.job, start: run.interval_start, run: run.run, state, now },
  )
}
