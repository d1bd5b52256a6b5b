import type { Clock } from '../../engine/contracts/tasks.ts'
import type { Category, ErrorCode } from '../../engine/errors.ts'
import type { Database, Params, Queries } from './database.ts'

/**
 * `reprocessed`: its correction holds, or it was asked for again and was right; `resolved`: a later run had the row right, or
 * the source had it no more; `discarded`: by hand.
 */
export type ErrorState = 'open' | 'queued' | 'reprocessed' | 'resolved' | 'discarded'

/** States in which a record can be corrected otherwise, or discarded. */
export const UNCLOSED: readonly ErrorState[] = ['open', 'queued', 'reprocessed']

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
  /** These, of all that the rest names. */
  ids?: readonly string[]
  job?: string
  run?: string
  state?: ErrorState
  table?: string
  key?: string
  /** A part of the reason or of the check's name, in whatever case. */
  reason?: string
  /** Kept at this time or later, ISO 8601 UTC. */
  since?: string
  /** As they were at this time. */
  asOf?: string
  /** Default: all. */
  limit?: number
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

  /**
   * Keeps records, all or none. Those already kept have the reasons, and the sensitive columns, of now, and stay where they were,
   * but that one that had been right is open again.
   */
  async add(records: NewErrorRecord[]): Promise<void> {
    const now = this.now()
    // A statement cannot meet a record twice.
    const met = new Set<string>()
    const all = records.filter(({ id }) => !met.has(id) && met.add(id))
    await this.database.transaction(async queries => {
      for (const some of portions(all, ADDED_AT_ONCE)) await insert(queries, some, now)
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
      `SELECT * FROM error_records ${where} ORDER BY created_at DESC, id${limit === undefined ? '' : ' LIMIT :limit'}`,
      { ...values, ...(limit !== undefined && { limit }) },
    )
    return found.map(parsed)
  }

  /** Those of some records that are in one of these states, whatever number. */
  async among(
    ids: string[],
    states: readonly ErrorState[],
    wanted: Omit<ErrorQuery, 'limit' | 'state' | 'ids'>,
  ): Promise<ErrorRecord[]> {
    const found: ErrorRecord[] = []
    for (const some of portions(ids, MOVED_AT_ONCE))
      for (const state of states) found.push(...(await this.list({ ...wanted, ids: some, state })))
    return found
  }

  /** All that are wanted, newest first, so many at a time that memory holds them; what is kept meanwhile is not among them. */
  async *pages(wanted: Omit<ErrorQuery, 'limit'>): AsyncGenerator<ErrorRecord[]> {
    const { where, values } = conditionsOf(wanted)
    let last = { created_at: '9999', id: '' }
    for (;;) {
      const after = `(created_at < :created_at OR (created_at = :created_at AND id > :id))`
      const found = await this.database.all<Stored>(
        `SELECT * FROM error_records ${where === '' ? 'WHERE' : `${where} AND`} ${after}
         ORDER BY created_at DESC, id LIMIT ${PAGE}`,
        { ...values, created_at: last.created_at, id: last.id },
      )
      if (found.length > 0) yield found.map(parsed)
      if (found.length < PAGE) return
      last = found.at(-1)!
    }
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

  /** The columns that records of a job have as sensitive ones, by table: each of the several that may be. */
  async marks(job: string): Promise<Pick<ErrorRecord, 'table_name' | 'sensitive'>[]> {
    const found = await this.database.all<Pick<Stored, 'table_name' | 'sensitive'>>(
      'SELECT DISTINCT table_name, sensitive FROM error_records WHERE job = :job',
      { job },
    )
    return found.map(({ table_name, sensitive }) => ({ table_name, sensitive: listed(sensitive) }))
  }

  /** Sets which columns of records are sensitive, and their reasons as people may see them. */
  async mark(records: Pick<ErrorRecord, 'id' | 'sensitive' | 'reason'>[]): Promise<void> {
    for (const some of portions(records, MOVED_AT_ONCE))
      await this.database.transaction(async queries => {
        for (const { id, sensitive, reason } of some)
          await queries.run(
            'UPDATE error_records SET sensitive = :sensitive, reason = :reason WHERE id = :id',
            {
              id,
              reason,
              sensitive: JSON.stringify(sensitive),
            },
          )
      })
  }

  /** Open records of a table, by id and key. */
  open(job: string, table: string): Promise<Pick<ErrorRecord, 'id' | 'row_key'>[]> {
    return this.database.all(
      `SELECT id, row_key FROM error_records WHERE job = :job AND table_name = :table AND state = 'open'`,
      { job, table },
    )
  }

  /** Closes records that a run had right, where they are `asOf` then what it had. */
  async resolve(ids: string[], run: string, from: ErrorState, asOf?: string): Promise<void> {
    for (const some of portions(ids, MOVED_AT_ONCE)) {
      const { where, values } = conditionsOf({ ids: some, state: from, ...(asOf && { asOf }) })
      await this.database.run(
        `UPDATE error_records SET state = 'resolved', resolved_by = :run, updated_at = :now ${where}`,
        { ...values, run, now: this.now() },
      )
    }
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
    return (await this.moveAll({ ids: [id] }, from, to)) === 1
  }

  /**
   * Moves records from one state to the next, a portion at a time, so that nobody waits long for the store; gives how many.
   * One that is open again has no correction any more: it was refused.
   */
  async moveAll(
    { ids, ...wanted }: Omit<ErrorQuery, 'limit' | 'state'>,
    from: ErrorState,
    to: ErrorState,
  ): Promise<number> {
    let moved = 0
    for (const some of ids ? portions(ids, MOVED_AT_ONCE) : [undefined]) {
      const { where, values } = conditionsOf({ ...wanted, ...(some && { ids: some }), state: from })
      for (let changed = MOVED_AT_ONCE; changed > 0; moved += changed)
        changed = await this.database.run(
          `UPDATE error_records SET state = :to, updated_at = :now,
             attempts = attempts + CASE WHEN CAST(:to AS TEXT) = 'queued' THEN 1 ELSE 0 END,
             correction = CASE WHEN CAST(:to AS TEXT) = 'open' THEN NULL ELSE correction END
           WHERE state = :state AND id IN (SELECT id FROM error_records ${where} LIMIT ${MOVED_AT_ONCE})`,
          { ...values, to, now: this.now() },
        )
    }
    return moved
  }

  /** Closes records that are not closed yet, by hand: a correction holds no more. Gives how many. */
  async discard(wanted: Omit<ErrorQuery, 'limit' | 'state'>): Promise<number> {
    let discarded = 0
    for (const from of UNCLOSED) discarded += await this.moveAll(wanted, from, 'discarded')
    return discarded
  }

  /**
   * Sets what replaces values of records in these states, by id, and has the next run take them; gives how many these were.
   * One that had the very same before is none of them.
   */
  async queueCorrected(
    corrections: ReadonlyMap<string, Record<string, string | null>>,
    from: readonly ErrorState[] = ['open'],
  ): Promise<number> {
    const states = from.map(state => `'${state}'`).join(', ')
    let queued = 0
    for (const some of portions([...corrections], MOVED_AT_ONCE))
      queued += await this.database.transaction(async queries => {
        let changed = 0
        for (const [id, correction] of some)
          changed += await queries.run(
            `UPDATE error_records SET correction = :correction, state = 'queued', attempts = attempts + 1, updated_at = :now
             WHERE id = :id AND state IN (${states}) AND (state = 'open' OR correction IS NULL OR correction <> :correction)`,
            { id, correction: JSON.stringify(correction), now: this.now() },
          )
        return changed
      })
    return queued
  }

  private now(): string {
    return this.clock.now().toISOString()
  }
}

const COLUMNS = [
  'id',
  'run',
  'job',
  'table_name',
  'row_key',
  'check_name',
  'severity',
  'category',
  'code',
  'reason',
  'record',
  'sensitive',
] as const

/** Rows of one statement, or of one short transaction: others wait for the store meanwhile. */
const ADDED_AT_ONCE = 50
const MOVED_AT_ONCE = 500
/** Records in memory at a time: each is a whole row. */
const PAGE = 5000

const portions = <T>(all: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(all.length / size) }, (_, n) => all.slice(n * size, (n + 1) * size))

async function insert(queries: Queries, records: NewErrorRecord[], now: string): Promise<void> {
  const values: Params = { now }
  const rows = records.map((record, n) => {
    const stored = {
      ...record,
      record: JSON.stringify(record.record),
      sensitive: JSON.stringify(record.sensitive),
    }
    for (const name of COLUMNS) values[`${name}${n}`] = stored[name]
    return `(${COLUMNS.map(name => `:${name}${n}`).join(', ')}, 'open', :now, :now)`
  })
  await queries.run(
    `INSERT INTO error_records (${COLUMNS.join(', ')}, state, created_at, updated_at) VALUES ${rows.join(', ')}
     ON CONFLICT (id) DO UPDATE SET
         state = CASE WHEN ${WAS_RIGHT} THEN 'open' ELSE error_records.state END,
         resolved_by = CASE WHEN ${WAS_RIGHT} THEN NULL ELSE error_records.resolved_by END,
         correction = CASE WHEN ${WAS_RIGHT} THEN NULL ELSE error_records.correction END,
         updated_at = CASE WHEN ${WAS_RIGHT} THEN excluded.updated_at ELSE error_records.updated_at END,
         ${FOUND.map(name => `${name} = excluded.${name}`).join(', ')}
       WHERE ${WAS_RIGHT} OR ${FOUND.map(name => `error_records.${name} IS DISTINCT FROM excluded.${name}`).join(' OR ')}`,
    values,
  )
}

const WAS_RIGHT = `(error_records.state = 'resolved' OR (error_records.state = 'reprocessed' AND error_records.correction IS NULL))`

/** What a run says of a row that it finds again. */
const FOUND = ['check_name', 'category', 'code', 'reason', 'sensitive'] as const

const CONDITIONS = {
  job: 'job = :job',
  run: 'run = :run',
  state: 'state = :state',
  table: 'table_name = :table',
  key: 'row_key = :key',
  reason: `lower(check_name || ' ' || reason) LIKE lower(:reason) ESCAPE '!'`,
  since: 'created_at >= :since',
  asOf: 'updated_at <= :asOf',
}

function conditionsOf({ ids, reason, ...wanted }: Omit<ErrorQuery, 'limit'>) {
  const part = reason === undefined ? undefined : `%${reason.replaceAll(/[!%_]/g, '!$&')}%`
  const given = Object.entries({ ...wanted, reason: part }).filter(([, value]) => value !== undefined)
  const conditions = given.map(([name]) => CONDITIONS[name as keyof typeof CONDITIONS])
  if (ids) conditions.push(ids.length === 0 ? '1 = 0' : `id IN (${ids.map((_, n) => `:id${n}`).join(', ')})`)
  return {
    where: conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : '',
    values: Object.fromEntries([...given, ...(ids ?? []).map((id, n) => [`id${n}`, id])]) as Record<
      string,
      string
    >,
  }
}

const listed = (sensitive: string | null): string[] => (sensitive === null ? [] : JSON.parse(sensitive))

const parsed = ({ record, correction, sensitive, ...rest }: Stored): ErrorRecord => ({
  ...rest,
  sensitive: listed(sensitive),
  record: JSON.parse(record),
  correction: correction === null ? null : JSON.parse(correction),
})
