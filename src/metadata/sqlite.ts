import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { EngineError, errorData } from '../../engine/errors.ts'
import type { Clock, CommitResult, Ledger } from '../../engine/ports.ts'
import { MIGRATIONS } from './migrations.ts'

export type RunStatus = 'RUNNING' | 'PLANNED' | 'SUCCESS' | 'COMPLETED_WITH_ERRORS' | 'FAILED'

/** One run as the history keeps it. Times are ISO 8601 UTC. */
export interface RunRecord {
  run: string
  job: string
  status: RunStatus
  run_at: string
  started_at: string
  ended_at: string | null
  spec_hash: string
  owner: string
  error: string | null
  /** How far it goes: a plan stops before the load. */
  goal: 'load' | 'plan'
}

export interface TaskRecord {
  task: string
  status: 'RUNNING' | 'SUCCESS' | 'FAILED'
  started_at: string
  ended_at: string | null
}

/** What ends a run, in one transaction. */
export interface RunEnd {
  run: string
  job: string
  status: RunStatus
  runAt: string
  records: number
  seconds: number
  error: unknown
  syncPoints: { extract: string; value: string | null }[]
}

/** The metadata store in one SQLite file; safe for several processes (WAL). Every write is durable on return. */
export class Metadata {
  private readonly db: DatabaseSync
  private readonly clock: Clock

  constructor(file: string, clock: Clock) {
    mkdirSync(dirname(file), { recursive: true })
    this.db = new DatabaseSync(file, { timeout: 10_000 })
    this.clock = clock
    // A migration may make a table anew that others refer to.
    this.db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF')
    this.migrate()
    this.db.exec('PRAGMA foreign_keys = ON')
  }

  /** Starts a run. Fails with RUN_CONFLICT while another run of the job is active. */
  startRun(run: Pick<RunRecord, 'run' | 'job' | 'run_at' | 'spec_hash' | 'owner' | 'goal'>): void {
    try {
      this.db
        .prepare(
          `INSERT INTO runs (run, job, status, run_at, started_at, spec_hash, owner, goal)
           VALUES (:run, :job, 'RUNNING', :run_at, :now, :spec_hash, :owner, :goal)`,
        )
        .run({ ...run, now: this.now() })
    } catch (cause) {
      if (this.activeRun(run.job) === undefined) throw cause
      throw conflict(run.job, cause)
    }
  }

  /** Takes over an interrupted run. False when somebody else was faster. */
  takeOver(run: string, from: string, owner: string): boolean {
    const { changes } = this.db
      .prepare(`UPDATE runs SET owner = :owner WHERE run = :run AND owner = :from AND status = 'RUNNING'`)
      .run({ run, from, owner })
    return changes === 1
  }

  /**
   * Sets a planned run going again, towards the load; false when somebody else was faster. Fails with RUN_CONFLICT
   * while another run of the job is active.
   */
  reopen({ run, job, status }: RunRecord, owner: string): boolean {
    try {
      const { changes } = this.db
        .prepare(
          `UPDATE runs SET status = 'RUNNING', goal = 'load', owner = :owner, ended_at = NULL, error = NULL
           WHERE run = :run AND status = :status`,
        )
        .run({ run, status, owner })
      return changes === 1
    } catch (cause) {
      if (this.activeRun(job) === undefined) throw cause
      throw conflict(job, cause)
    }
  }

  run(run: string): RunRecord | undefined {
    return this.db.prepare('SELECT * FROM runs WHERE run = ?').get(run) as RunRecord | undefined
  }

  /** The latest finished loads of a job into one connection, newest first: what they wrote and how long it took. */
  loads(job: string, connection: string, limit: number): { rows: number; seconds: number }[] {
    const found = this.db
      .prepare(
        `SELECT t.output, (julianday(t.ended_at) - julianday(t.started_at)) * 86400 AS seconds
         FROM tasks t JOIN runs r USING (run)
         WHERE r.job = ? AND t.task = ? AND t.status = 'SUCCESS' ORDER BY t.ended_at DESC LIMIT ?`,
      )
      .all(job, `load.${connection}`, limit) as { output: string; seconds: number }[]
    return found.map(({ output, seconds }) => {
      const { counts } = JSON.parse(output) as CommitResult
      const rows = counts.reduce((sum, c) => sum + c.inserted + c.updated + c.deleted + c.unchanged, 0)
      return { rows, seconds }
    })
  }

  activeRun(job: string): RunRecord | undefined {
    return this.db.prepare(`SELECT * FROM runs WHERE job = ? AND status = 'RUNNING'`).get(job) as
      | RunRecord
      | undefined
  }

  /** The latest runs, newest first; of one job where it is named. */
  runs(limit: number, job?: string): RunRecord[] {
    return this.db
      .prepare(
        `SELECT * FROM runs WHERE job = coalesce(:job, job) ORDER BY started_at DESC, rowid DESC LIMIT :limit`,
      )
      .all({ job: job ?? null, limit }) as unknown as RunRecord[]
  }

  tasks(run: string): TaskRecord[] {
    return this.db
      .prepare(
        'SELECT task, status, started_at, ended_at FROM tasks WHERE run = ? ORDER BY started_at, rowid',
      )
      .all(run) as unknown as TaskRecord[]
  }

  endRun(end: RunEnd): void {
    const error = end.error === undefined ? null : describe(end.error)
    this.transaction(() => {
      this.db
        .prepare('UPDATE runs SET status = ?, ended_at = ?, error = ? WHERE run = ?')
        .run(end.status, this.now(), error, end.run)
      if (end.status === 'PLANNED') return
      this.db
        .prepare('INSERT OR REPLACE INTO sync_history VALUES (?, ?, ?, ?, ?, ?)')
        .run(end.job, end.run, end.runAt, end.status, end.records, end.seconds)
      for (const { extract, value } of end.syncPoints)
        this.db
          .prepare('INSERT OR REPLACE INTO sync_points VALUES (?, ?, ?, ?)')
          .run(end.job, extract, value, end.run)
    })
  }

  ledger(run: string): Ledger {
    const finish = this.db.prepare(
      'UPDATE tasks SET status = :status, ended_at = :now, output = :output, error = :error WHERE run = :run AND task = :task',
    )
    return {
      output: async <T>(task: string) => {
        const row = this.db
          .prepare(`SELECT output FROM tasks WHERE run = ? AND task = ? AND status = 'SUCCESS'`)
          .get(run, task) as { output: string } | undefined
        return row && (JSON.parse(row.output) as T)
      },
      begin: async task => {
        this.db
          .prepare(
            `INSERT INTO tasks (run, task, status, started_at) VALUES (:run, :task, 'RUNNING', :now)
             ON CONFLICT (run, task) DO UPDATE SET status = 'RUNNING', started_at = :now, error = NULL`,
          )
          .run({ run, task, now: this.now() })
      },
      commit: async (task, output) => {
        this.transaction(() => {
          finish.run({
            run,
            task,
            status: 'SUCCESS',
            now: this.now(),
            output: JSON.stringify(output),
            error: null,
          })
          for (const { dataset, file, rows, bytes } of partsIn(task, output))
            this.db
              .prepare('INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?)')
              .run(run, dataset, file, rows, bytes)
        })
      },
      fail: async (task, error) => {
        finish.run({ run, task, status: 'FAILED', now: this.now(), output: null, error: describe(error) })
      },
    }
  }

  close(): void {
    this.db.close()
  }

  private now(): string {
    return this.clock.now().toISOString()
  }

  private transaction(act: () => void): void {
    this.db.exec('BEGIN IMMEDIATE')
    try {
      act()
      this.db.exec('COMMIT')
    } catch (error) {
      this.db.exec('ROLLBACK')
      throw error
    }
  }

  private migrate(): void {
    this.transaction(() => {
      const { user_version } = this.db.prepare('PRAGMA user_version').get() as { user_version: number }
      if (user_version > MIGRATIONS.length)
        throw new EngineError('CONFIG_INVALID', 'the metadata store was written by a newer Nightfreight', {
          hint: 'Upgrade this installation.',
        })
      for (const script of MIGRATIONS.slice(user_version)) this.db.exec(script)
      this.db.exec(`PRAGMA user_version = ${MIGRATIONS.length}`)
    })
  }
}

function conflict(job: string, cause: unknown): EngineError {
  return new EngineError('RUN_CONFLICT', `${job}: another run is active`, {
    cause,
    hint: `nightfreight status ${job} shows it.`,
  })
}

function describe(error: unknown): string {
  const { code, message, hint } = errorData(error)
  return JSON.stringify({ code, message, hint })
}

interface PartRow {
  dataset: string
  file: string
  rows: number
  bytes: number
}

// Extracts and change sets carry their parts in their output.
function partsIn(task: string, output: unknown): PartRow[] {
  const carriers = (Array.isArray(output) ? output : [output]) as {
    extract?: string
    parts?: Omit<PartRow, 'dataset'>[]
  }[]
  return carriers.flatMap(carrier =>
    (carrier?.parts ?? []).map(part => ({ dataset: carrier.extract ?? task, ...part })),
  )
}
