import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { EngineError, errorData } from '../../engine/errors.ts'
import type { Clock, Ledger } from '../../engine/ports.ts'
import { MIGRATIONS } from './migrations.ts'

export type RunStatus = 'RUNNING' | 'SUCCESS' | 'COMPLETED_WITH_ERRORS' | 'FAILED'

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
    this.db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON')
    this.migrate()
  }

  /** Starts a run. Fails with RUN_CONFLICT while another run of the job is active. */
  startRun(run: Pick<RunRecord, 'run' | 'job' | 'run_at' | 'spec_hash' | 'owner'>): void {
    try {
      this.db
        .prepare(
          `INSERT INTO runs (run, job, status, run_at, started_at, spec_hash, owner)
           VALUES (:run, :job, 'RUNNING', :run_at, :now, :spec_hash, :owner)`,
        )
        .run({ ...run, now: this.now() })
    } catch (cause) {
      if (this.activeRun(run.job) === undefined) throw cause
      throw new EngineError('RUN_CONFLICT', `${run.job}: another run is active`, {
        cause,
        hint: `nightfreight status ${run.job} shows it.`,
      })
    }
  }

  /** Takes over an interrupted run. False when somebody else was faster. */
  takeOver(run: string, from: string, owner: string): boolean {
    const { changes } = this.db
      .prepare(`UPDATE runs SET owner = :owner WHERE run = :run AND owner = :from AND status = 'RUNNING'`)
      .run({ run, from, owner })
    return changes === 1
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
