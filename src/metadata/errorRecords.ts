import type { Clock } from '../../engine/contracts/tasks.ts'
import type { Category, ErrorCode } from '../../engine/errors.ts'
import type { Database } from './database.ts'

/**
 * `reprocessed`: its correction holds; `resolved`: a later run had the row right, or the source had it no more;
 * `discarded`: by hand, or a correction whose row the source has changed.
 */
export type ErrorState = 'open' | 'queued' | 'reprocessed' | 'resolved' | 'discarded'

/** A row that a check or a conversion refused. */
export interface ErrorRecord {
  /** Given by whoever keeps it, the same each time it keeps this record: a repeat changes nothing. */
  id: string
  run: string
  job: string
  /** The model or extract. */
  table_name: string
  /** Text of its key's value, a JSON array of a key of several columns; null where it has none. */
  row_key: string | null
  check_name: string
  severity: string
  category: Category
  code: ErrorCode | null
  reason: string
  /** Columns whose values nobody is shown. */
  sensitive: string[]
  /** Raw values by column, as text. */
  record: Record<string, string | null>
  /** Values that replace them; null where there is no correction. */
  correction: Record<string, string | null> | null
  state: ErrorState
  /** The run that resolved it. */
  resolved_by: string | null
  /** How often it was reprocessed. */
  attempts: number
  created_at: string
  updated_at: string
}

export type NewErrorRecord = Omit<
  ErrorRecord,
  'correction' | 'state' | 'resolved_by' | 'attempts' | 'created_at' | 'updated_at'
>

type Stored = Omit<ErrorRecord, 'record' | 'correction' | 'sensitive'> & {
  record: string
  correction: string | null
  sensitive: string | null
}

export interface ErrorQuery {
  job?: string
  run?: string
  state?: ErrorState
  table?: string
  key?: string
  /** A part of the reason or of the check's name, in whatever case. */
  reason?: string
  /** Kept at this time or later, ISO 8601 UTC. */
  since?: string
  limit: number
}

/** Records of one table that one check refused. */
export interface ErrorCount {
  job: string
  table_name: string
  check_name: string
  state: ErrorState
  records: number
  /** One of the reasons. */
  reason: string
}

export class ErrorRecords {
  private readonly database: Database
  private readonly clock: Clock

  constructor(database: Database, clock: Clock) {
    this.database = database
    this.clock = clock
  }

  /** Keeps records, all or none; those already kept stay as they are, but that a resolved one is open again. */
  async add(records: NewErrorRecord[]): Promise<void> {
    const now = this.now()
    await this.database.transaction(async queries => {
      for (const { record, sensitive, ...rest } of records)
        await queries.run(
          `INSERT INTO error_records (id, run, job, table_name, row_key, check_name, severity, category, code, reason, record, sensitive,
             state, created_at, updated_at)
           VALUES (:id, :run, :job, :table_name, :row_key, :check_name, :severity, :category, :code, :reason, :record, :sensitive, 'open',
             :now, :now)
           ON CONFLICT (id) DO UPDATE SET state = 'open', resolved_by = NULL, updated_at = :now
             WHERE error_records.state = 'resolved'`,
          { ...rest, record: JSON.stringify(record), sensitive: JSON.stringify(sensitive), now },
        )
    })
  }

  async find(id: string): Promise<ErrorRecord | undefined> {
    const [found] = await this.database.all<Stored>('SELECT * FROM error_records WHERE id = :id', { id })
    return found && parsed(found)
  }

  /** Newest first. */
  async list({ limit, ...wanted }: ErrorQuery): Promise<ErrorRecord[]> {
    const { where, values } = conditionsOf(wanted)
    const found = await this.database.all<Stored>(
      `SELECT * FROM error_records ${where} ORDER BY created_at DESC, id LIMIT :limit`,
      { ...values, limit },
    )
    return found.map(parsed)
  }

  /** How many there are, by table and check, most first. */
  count(wanted: Omit<ErrorQuery, 'limit'>): Promise<ErrorCount[]> {
    const { where, values } = conditionsOf(wanted)
    return this.database.all<ErrorCount>(
      `SELECT job, table_name, check_name, state, count(*) AS records, min(reason) AS reason FROM error_records ${where}
       GROUP BY job, table_name, check_name, state ORDER BY count(*) DESC, job, table_name, check_name, state`,
      values,
    )
  }

  /** Open records of a table, by id and key. */
  open(job: string, table: string): Promise<Pick<ErrorRecord, 'id' | 'row_key'>[]> {
    return this.database.all(
      `SELECT id, row_key FROM error_records WHERE job = :job AND table_name = :table AND state = 'open'`,
      { job, table },
    )
  }

  /** Closes open records that a run had right. */
  resolve(ids: string[], run: string): Promise<void> {
    return this.database.transaction(async queries => {
      for (const id of ids)
        await queries.run(
          `UPDATE error_records SET state = 'resolved', resolved_by = :run, updated_at = :now WHERE id = :id AND state = 'open'`,
          { id, run, now: this.now() },
        )
    })
  }

  /** Records of a table whose correction holds: see `correct.ts` of the engine. */
  async corrections(job: string, table: string): Promise<ErrorRecord[]> {
    const found = await this.database.all<Stored>(
      `SELECT * FROM error_records WHERE job = :job AND table_name = :table AND state IN ('queued', 'reprocessed')
         AND correction IS NOT NULL ORDER BY created_at, id`,
      { job, table },
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

const CONDITIONS = {
  job: 'job = :job',
  run: 'run = :run',
  state: 'state = :state',
  table: 'table_name = :table',
  key: 'row_key = :key',
  reason: `lower(check_name || ' ' || reason) LIKE lower(:reason) ESCAPE '!'`,
  since: 'created_at >= :since',
}

function conditionsOf({ reason, ...wanted }: Omit<ErrorQuery, 'limit'>) {
  const part = reason === undefined ? undefined : `%${reason.replaceAll(/[!%_]/g, '!$&')}%`
  const given = Object.entries({ ...wanted, reason: part }).filter(([, value]) => value !== undefined)
  const conditions = given.map(([name]) => CONDITIONS[name as keyof typeof CONDITIONS])
  return {
    where: conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : '',
    values: Object.fromEntries(given) as Record<string, string>,
  }
}

const parsed = ({ record, correction, sensitive, ...rest }: Stored): ErrorRecord => ({
  ...rest,
  sensitive: sensitive === null ? [] : JSON.parse(sensitive),
  record: JSON.parse(record),
  correction: correction === null ? null : JSON.parse(correction),
})
