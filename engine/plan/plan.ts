import { REJECTED } from '../batch/builder.ts'
import { HISTORY } from '../contracts/changes.ts'
import type { LoadSpec, SyncPoint } from '../contracts/load.ts'
import type {
  CatalogTable,
  ExtractSpec,
  LogPosition,
  Read,
  Stored,
  TableSchema,
} from '../contracts/source.ts'
import type { TableStructure } from '../contracts/structure.ts'
import { EngineError } from '../errors.ts'
import { ownValue } from '../ownValue.ts'
import { caseTwins, isReserved, keptName } from '../sql/bind.ts'
import { quoteName } from '../sql/duckdb.ts'
import type { Image, StagedSchema } from '../staging/image.ts'
import { asText, type Column, columnNamed, typeName } from '../types/logical.ts'
import { widens } from '../types/widen.ts'
import { type Drift, renamed, weigh } from './drift.ts'
import { storedAnew } from './stored.ts'
import { before, canBeWatermark, isFuture } from './watermark.ts'

/** What a run will read and write: plain data, made without reading a row, committed before anything else. */
export interface Plan {
  reads: PlannedRead[]
  loads: LoadSpec[]
  /** Tables that are compared with the target itself, row by row, whatever is known of earlier loads. */
  refresh?: string[]
}

export interface PlannedRead extends Read {
  from: string
  /** Null where no glob stands for it; absent in plans of earlier versions. */
  catalog?: CatalogTable | null
  /** True where the source itself guarantees that `key` is unique. */
  unique: boolean
  incremental?: Pick<NonNullable<ExtractSpec['incremental']>, 'column' | 'findDeletes' | 'nulls' | 'future'>
  /** Set where its changes are read from the source's log, on top of {@link base}; without that, it is read whole first. */
  changes?: FollowedRead
  /** True where the source itself gives only what is new: see {@link TableSchema.accumulates}. */
  accumulates?: boolean
  /** True where nothing is read: the table is the image of {@link base}, by the extract's `refresh`. */
  reused?: true
  /** Sync point and image this read builds on; absent: the whole table is read. */
  base?: { value: string | null; run: string; image: Image }
  /** Columns that the source no longer has and models see as NULL. */
  absent: Column[]
  structure?: TableStructure
  /** Estimated rows and bytes of the whole table. */
  rows?: number
  bytes?: number
  /** Why it reads what it reads, what changed in its columns, and which types are not exact: for people. */
  notes: string[]
}

/** How a table is read from a log. */
export interface FollowedRead {
  reader: string
  /** End of the log when the run was planned, before the table was described. */
  until: LogPosition
  /** Number of the last change known, or of the snapshot. */
  number: number
  history: boolean
  stored?: Stored
  /** True where the table is read whole as well as its log, to find what that missed. */
  reconcile?: true
}

/** How far a table has been read from a log: the cursor of its image. */
export interface LogCursor {
  position: LogPosition
  number: number
  /** Of a history: the greatest time of its changes. */
  at?: string
  /** As it was found before. */
  stored?: Stored
  /** Time of the run that read the table whole last; unknown of images of earlier versions. */
  whole?: string
}

/** What the plan of one extract is made from. */
export interface ReadFacts {
  spec: ExtractSpec
  schema: TableSchema
  /** The sync point on which every target agrees, with its image where it is still kept. */
  last?: { point: SyncPoint; image: Image | undefined }
  /** What a committed run knew of the table's columns. */
  known?: StagedSchema
  limits: Read['limits']
  now: Date
  /** Why the table is read whole, whatever was read of it. */
  renew?: string
  /** Of a table that is read from a log. */
  log?: Pick<FollowedRead, 'reader' | 'until' | 'stored'>
  /** True where its rows are to be compared with what its log said. */
  reconcile?: boolean
}

const IMAGE_GONE = 'the image of the last load is no longer staged, or is damaged'

/**
 * Plans one extract. Pure. Fails with COLUMN_MISSING, CONFIG_INVALID or SCHEMA_DRIFT, naming the extract and the
 * column.
 */
export function planRead(facts: ReadFacts): PlannedRead {
  const { spec, last, known, limits, now, renew, log } = facts
  const schema = spec.changes?.history ? withHistory(facts) : facts.schema
  const where = `${spec.from}.${spec.name}`
  const names = schema.columns.map(column => column.name)
  refuseReserved(where, names)
  const twins = caseTwins(names)
  if (twins)
    throw new EngineError(
      'CONFIG_INVALID',
      `${where}: columns ${twins.join(' and ')} differ in their letters' case only, and are one for SQL`,
      { hint: `Read a view that gives one of them another name: SELECT … ${quoteName(twins[1])} AS …` },
    )
  const need = (column: string, role: string): Column => {
    const found = schema.columns.find(({ name }) => name === column)
    if (!found)
      throw new EngineError('COLUMN_MISSING', `${where}: ${role} ${column} is not a column of the table`, {
        hint: `Its columns: ${names.join(', ')}.`,
      })
    return found
  }
  // One that is misspelled would be shown.
  for (const name of schema.columns.length > 0 ? (spec.sensitive ?? []) : [])
    if (!columnNamed(schema.columns, name)) need(name, 'sensitive column')
  const key = spec.key.length > 0 && !spec.changes?.history ? spec.key : schema.key
  const described = schema.columns.map((column): Column => {
    const policy = ownValue(spec.columns, column.name)
    return policy === 'text' ? { ...asText(column), policy } : policy ? { ...column, policy } : column
  })
  const { columns, absent, whole, unlike, notes } = known
    ? weigh({
        where,
        extract: spec.name,
        last: known,
        columns: described,
        key,
        ownKey: spec.key.length > 0,
        watermark: spec.incremental?.column,
        named: Object.keys(spec.columns),
        policy: spec.drift,
        declared: schema.declared,
        accumulates: schema.accumulates,
        history: isHistory(facts),
      })
    : ({ columns: [...described], absent: [], whole: [], unlike: [], notes: [] } satisfies Drift)
  for (const column of key) need(column, 'key column')
  for (const column of Object.keys(spec.columns))
    if (!absent.some(({ name }) => name === column)) need(column, 'columns:')
  const inexact = columns.flatMap(column =>
    column.inexact && column.policy && column.policy !== 'fail'
      ? [`${column.name} (${column.native}): ${column.inexact}; policy ${column.policy}`]
      : [],
  )
  notes.push(...(schema.notes ?? []), ...inexact)
  if (schema.rejects || columns.some(column => column.policy === 'quarantine'))
    columns.push({ name: REJECTED, type: { kind: 'text' }, nullable: true, native: 'text' })
  const unique = !schema.keyRepeats && sameSet(key, schema.key)
  const read: PlannedRead = {
    extract: spec.name,
    where,
    from: spec.from,
    columns,
    absent,
    key,
    unique,
    options: spec.options,
    limits,
    catalog: spec.catalog ?? null,
    ...(spec.sensitive && { sensitive: spec.sensitive }),
    ...(schema.structure && { structure: schema.structure }),
    rows: schema.rows,
    bytes: schema.bytes,
    notes,
  }
  if (spec.refresh !== undefined && schema.accumulates)
    throw new EngineError('CONFIG_INVALID', `${where}: refresh is for tables that are read whole`, {
      hint: 'Its files are taken once each: leave refresh out, or set take: all.',
    })
  if (schema.accumulates) return accumulating(read, schema.accumulates, last)
  if (log) return followed(read, facts, whole, unlike)
  const full = (reason: string) => ({ ...read, notes: [...notes, `reads the whole table: ${reason}`] })
  if (!spec.incremental) return known && last && !last.image ? full(IMAGE_GONE) : read
  const { column, lag, findDeletes, nulls, future } = spec.incremental
  need(column, 'incremental column')
  const marked = columnNamed(columns, column)!
  const { type } = marked
  if (!canBeWatermark(marked))
    throw new EngineError(
      'CONFIG_INVALID',
      `${where}: ${column} cannot be a watermark: its type is ${marked.native}`,
      {
        hint: 'Take a timestamp, a date, a number or a text that only grows.',
      },
    )
  if (type.kind === 'text' && lag > 0)
    throw new EngineError('CONFIG_INVALID', `${where}: text has no lag, and ${column} is ${marked.native}`, {
      hint: `Leave lag out of incremental: of extract ${spec.name}.`,
    })
  if (key.length === 0)
    throw new EngineError('CONFIG_INVALID', `${where}: an incremental extract needs a key`, {
      hint: 'Name the columns that identify a row: key: member_id.',
    })
  read.incremental = {
    column,
    ...(findDeletes && { findDeletes }),
    ...(nulls && { nulls }),
    ...(future && { future }),
  }
  if (lag === 0 && !findDeletes)
    notes.push(
      `no lag: a row that is committed after the read with a lesser ${column} than the greatest one read is never read (incremental: { lag: … }, or find_deletes: true)`,
    )
  const nullable = marked.nullable || (marked.inexact !== undefined && marked.policy !== undefined)
  if (renew) return full(renew)
  if (!last) return full('no earlier load')
  if (last.point.value === null) return full('the last load saw no row')
  if (!last.image) return full(IMAGE_GONE)
  if (whole.length > 0) return full(whole.join('; '))
  if (isFuture(last.point.value, type, now))
    return full(`the watermark of the last load, ${last.point.value}, lies in the future`)
  const base = { value: last.point.value, run: last.point.run, image: last.image }
  return {
    ...read,
    base,
    since: { column, value: before(last.point.value, type, lag), ...(nullable && { nulls: true }) },
  }
}

/** The rows of a history are changes: their own columns, and a key that no two of them have. */
function withHistory({ spec, schema }: ReadFacts): TableSchema {
  const { kind, number, at } = HISTORY
  const key = spec.key.length > 0 ? spec.key : schema.key
  const taken = schema.columns.find(({ name }) => Object.values<string>(HISTORY).includes(name.toLowerCase()))
  if (taken)
    throw new EngineError(
      'CONFIG_INVALID',
      `${spec.from}.${spec.name}: the table has a column ${taken.name}, which history: true adds`,
      { hint: `Leave history out of extract ${spec.name}, or rename the column.` },
    )
  const own = (name: string, type: Column['type']): Column => ({ name, type, nullable: false, native: 'log' })
  return {
    ...schema,
    // Of a delete, the log may tell no more than the key.
    columns: [
      ...schema.columns.map(column => ({ ...column, nullable: !key.includes(column.name) })),
      own(kind, { kind: 'text' }),
      own(number, { kind: 'int', bits: 64, signed: true }),
      own(at, { kind: 'timestamp', zoned: true }),
    ],
    key: key.length > 0 ? [...key, number] : [],
  }
}

/** Whether what is known of a table is a history, and it is to go on. */
const isHistory = ({ spec, known }: Pick<ReadFacts, 'spec' | 'known'>): boolean =>
  spec.changes?.history === true && columnNamed(known?.columns ?? [], HISTORY.number) !== undefined

/** A read of a table that is followed: on top of what is known of it, or whole; a history goes on wherever its log and its earlier nights let it. */
function followed(
  read: PlannedRead,
  { spec, last, known, log, renew, now, reconcile }: ReadFacts,
  changed: string[],
  unlike: string[],
): PlannedRead {
  if (read.key.length === 0)
    throw new EngineError('CONFIG_INVALID', `${read.where}: mode: changes needs a key`, {
      hint: 'Give the table a primary key; or name the columns that identify a row (key: member_id), which its log then must tell of each change.',
    })
  const cursor = last?.image?.cursor as LogCursor | undefined
  const { history } = spec.changes!
  const goesOn = isHistory({ spec, known })
  const isGone = last !== undefined && !last.image
  if (goesOn && !renew && (isGone || unlike.length > 0))
    throw brokenHistory(read, isGone ? [IMAGE_GONE] : unlike)
  const unknown =
    renew ??
    (!last
      ? 'no earlier load'
      : isGone
        ? IMAGE_GONE
        : !cursor
          ? 'the last load did not read its log'
          : undefined)
  // Of a history, its log says whether it was emptied.
  const differs = unknown ? [] : [...changed, ...storedAnew(cursor!.stored, log!.stored, () => goesOn)]
  const reason = unknown ?? (goesOn ? '' : differs.join('; '))
  const changes: FollowedRead = {
    ...log!,
    history,
    // Greater than that of any change before, known or not: in a thousandth of a millisecond no table changes.
    number: reason ? now.getTime() * 1000 : cursor!.number,
  }
  if (reason) {
    const left = goesOn ? '; what changed since the last load is not in its history' : ''
    return {
      ...read,
      changes,
      notes: [...read.notes, `reads the whole table, and its log from then on: ${reason}${left}`],
    }
  }
  const { point, image } = last!
  const { reconcile: every } = spec.changes!
  const isDue = every !== undefined && now.getTime() - Date.parse(cursor!.whole ?? '1970-01-01') >= every
  if (reconcile || isDue || differs.length > 0) {
    changes.reconcile = true
    const why = reconcile
      ? 'as was asked for'
      : differs.length > 0
        ? `since ${differs.join('; ')}`
        : `by its reconcile, last ${cursor!.whole ?? 'at a time that is not known'}`
    read.notes.push(`reads the whole table and its log, and compares them, ${why}`)
  }
  return { ...read, changes, cursor, base: { value: point.value, run: point.run, image: image! } }
}

const brokenHistory = ({ where }: PlannedRead, why: string[]) =>
  new EngineError('SCHEMA_DRIFT', `${where}: its history cannot go on: ${why.join('; ')}`, {
    hint: 'To have it begin anew, without what changed since the last load: nightfreight run JOB --full-refresh.',
  })

function accumulating(read: PlannedRead, what: 'kept' | 'cleared', last: ReadFacts['last']): PlannedRead {
  const accumulates = { ...read, accumulates: true }
  if (!last) return accumulates
  const { point, image } = last
  if (!image && what === 'kept')
    return {
      ...accumulates,
      notes: [...read.notes, `reads everything: ${IMAGE_GONE}`],
    }
  // A load would lose what earlier nights gave.
  if (!image)
    throw new EngineError(
      'STAGING_CORRUPT',
      `${read.where}: what run ${point.run} had read so far is no longer staged, so what is new cannot be known`,
      {
        hint: `Restore the staging folder, or ${renamed(read.extract, what)}: then it is read as new, from its first file on.`,
      },
    )
  for (const { name, type } of read.columns) {
    const was = columnNamed(image.columns, name)
    if (was && typeName(was.type) !== typeName(type) && !widens(was.type, type))
      throw new EngineError(
        'SCHEMA_DRIFT',
        `${read.where}: column ${name} is ${typeName(type)} now, was ${typeName(was.type)}, and earlier rows cannot be read again`,
        {
          hint: `Take a type that holds every ${typeName(was.type)}, or ${renamed(read.extract, what)}: then it is read as new.`,
        },
      )
  }
  return {
    ...accumulates,
    base: { value: point.value, run: point.run, image },
    cursor: image.cursor,
  }
}

/** Fails with CONFIG_INVALID where a table has a column whose name is kept for what the engine knows of its rows. */
export function refuseReserved(where: string, names: string[]): void {
  const name = names.find(isReserved)
  if (name === undefined) return
  const { message, hint } = keptName(name)
  throw new EngineError('CONFIG_INVALID', `${where}: ${message}`, { hint })
}

const sameSet = (a: string[], b: string[]) =>
  b.length > 0 && a.length === b.length && a.every(name => b.includes(name))
