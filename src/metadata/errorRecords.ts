import type { Clock } from '../../engine/contracts/tasks.ts'
import type { Category, ErrorCode } from '../../engine/errors.ts'
import type { Database } from './database.ts'

export type ErrorState = 'open' | 'queued' | 'reprocessed' | 'discarded'

/** A row that a check or a conversion refused. */
export interface ErrorRecord {
  /** Given by whoever keeps it, the same each time it keeps this record: a repeat changes nothing. */
  id: string
  run: string
  job: string
  model: string
  check_name: string
  severity: string
  category: Category
  code: ErrorCode | null
  reason: string
  /** Raw values by column, as text. */
  record: Record<string, string | null>
  /** Values that replace them; null where there is no correction. */
  correction: Record<string, string | null> | null
  state: ErrorState
  /** How often it was reprocessed. */
  attempts: number
  created_at: string
  updated_at: string
}

type Stored = Omit<ErrorRecord, 'record' | 'correction'> & { record: string; correction: string | null }

export interface ErrorQuery {
  job?: string
  run?: string
  state?: ErrorState
  limit: number
}

export class ErrorRecords {
  private readonly database: Database
  private readonly clock: Clock

  constructor(database: Database, clock: Clock) {
    this.database = database
    this.clock = clock
  }

  /** Keeps records, all or none; those already kept stay as they are. */
  async add(
    records: Omit<ErrorRecord, 'correction' | 'state' | 'attempts' | 'created_at' | 'updated_at'>[],
  ): Promise<void> {
    const now = this.now()
    await this.database.transaction(async queries => {
      for (const { record, ...rest } of records)
        await queries.run(
          `INSERT INTO error_records (id, run, job, model, check_name, severity, category, code, reason, record,
             state, created_at, updated_at)
           VALUES (:id, :run, :job, :model, :check_name, :severity, :category, :code, :reason, :record, 'open', :now, :now)
           ON CONFLICT (id) DO NOTHING`,
          { ...rest, record: JSON.stringify(record), now },
        )
    })
  }

  async find(id: string): Promise<ErrorRecord | undefined> {
    const [found] = await this.database.all<Stored>('SELECT * FROM error_records WHERE id = :id', { id })
    return found && parsed(found)
  }

  /** Oldest first. */
  async list({ limit, ...wanted }: ErrorQuery): Promise<ErrorRecord[]> {
    const given = Object.entries(wanted).filter(([, value]) => value !== undefined)
    const where = given.map(([column]) => `${column} = :${column}`).join(' AND ')
    const found = await this.database.all<Stored>(
      `SELECT * FROM error_records ${where && `WHERE ${where}`} ORDER BY created_at, id LIMIT :limit`,
      { ...Object.fromEntries(given), limit },
    )
    return found.map(parsed)
  }

  /** Records of a table whose correction holds: see `correct.ts` of the engine. */
  async corrections(job: string, model: string): Promise<ErrorRecord[]> {
    const found = await this.database.all<Stored>(
      `SELECT * FROM error_records WHERE job = :job AND model = :model AND state IN ('queued', 'reprocessed')
         AND correction IS NOT NULL ORDER BY created_at, id`,
      { job, model },
    )
    return found.map(parsed)
  }

  /** Moves a record from one state to the next; false when it was in another: somebody else was faster. */
  async move(id: string, from: ErrorState, to: ErrorState): Promise<boolean> {
    const changed = await this.database.run(
      `UPDATE error_records SET state = :to, updated_at = :now,
         attempts = attempts + CASE WHEN CAST(:to AS TEXT) = 'queued' THEN 1 ELSE 0 END
       WHERE id = :id AND state = :from`,
      { id, from, to, now: this.now() },
    )
    return changed === 1
  }

  /** Sets what replaces a record's values; false when it is no longer open. */
  async correct(id: string, correction: Record<string, string | null>): Promise<boolean> {
    const changed = await this.database.run(
      `UPDATE error_records SET correction = :correction, updated_at = :now WHERE id = :id AND state = 'open'`,
      { id, correction: JSON.stringify(correction), now: this.now() },
    )
    return changed === 1
  }

  private now(): string {
    return this.clock.now().toISOString()
  }
}

const parsed = ({ record, correction, ...rest }: Stored): ErrorRecord => ({
  ...rest,
  record: JSON.parse(record),
  correction: correction === null ? null : JSON.parse(correction),
})
