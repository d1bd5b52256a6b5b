import { REJECTED } from '../../../engine/batch/builder.ts'
import type { Lane, Range, Read, Sink } from '../../../engine/contracts/source.ts'
import { columnNamed } from '../../../engine/types/logical.ts'
import { DEFAULT_TIMEOUTS } from '../declare/define.ts'
import { conditionOf, relation, type Selection } from '../wire/selection.ts'
import { unlessSilent } from '../wire/silence.ts'
import { type Access, ask, connect, disconnect, interrupt, interruptOn, type Session } from './connect.ts'
import { positionOf } from './keyPosition.ts'
import {
  type Bounds,
  exact,
  type Key,
  type KeyPosition,
  labelOf,
  leadingColumns,
  order,
  within,
} from './keys.ts'
import { ResultReader, readResult } from './result.ts'
import { identifier, literal, selectExpression, tableName } from './types.ts'
import { socketOf } from './wire.ts'

/** Rows of a table by its key; without one they are read in one go, in any order. */
export interface RangePayload {
  key?: Key
  bounds?: Bounds
}

/** What a lane needs to join: where to connect, and statements that lock what is read. */
export interface LanePayload {
  access: Access
  locks: string[]
}

/**
 * While we wait for the read lock, everyone who writes waits behind us: better few lanes than a stall. And who alters a table waits
 * for the view, and a lane that comes later behind him: the two would wait for each other.
 */
export const LOCK_WAIT_SECONDS = 10

/** A range of a key as the engine sees it. */
export function keyedRange(read: Read, key: Key, bounds: Bounds, rows: number): Range {
  const { table } = read.options as { table: string }
  const hidden = (read.sensitive ?? []).map(name => {
    const column = columnNamed(read.columns, name)
    return column?.sourceName ?? column?.name ?? name
  })
  const label = labelOf(table, key, bounds, hidden)
  return { label, rows, payload: { key, bounds } satisfies RangePayload }
}

/** Joins the snapshot: called while the source's read lock, if it needs one, is held. */
export async function openLane(payload: unknown, signal?: AbortSignal): Promise<Lane> {
  const { access, locks } = payload as LanePayload
  const session = await connect(access, signal)
  try {
    await ask(session, `SET SESSION lock_wait_timeout = ${LOCK_WAIT_SECONDS}`, signal)
    await startSnapshot(session, signal)
    for (const lock of locks) await ask(session, lock, signal)
    await ask(session, 'SET SESSION lock_wait_timeout = DEFAULT', signal)
  } catch (error) {
    session.connection.destroy()
    throw error
  }
  return {
    async read(read, range, limit, sink, signal) {
      const release = interruptOn(signal, session)
      const { silence } = session.access.timeouts ?? DEFAULT_TIMEOUTS
      return unlessSilent(
        socketOf(session.connection),
        silence,
        read.where,
        () => readChunk(session, read, range, limit, sink),
        () => interrupt(session),
      ).finally(release)
    },
    close: () => disconnect(session),
  }
}

/** Opens a read-only transaction whose view is the database as of now. */
export async function startSnapshot(session: Session, signal?: AbortSignal): Promise<void> {
  await ask(session, 'SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ', signal)
  await ask(session, 'START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY', signal)
}

async function readChunk(
  session: Session,
  read: Read,
  range: Range,
  limit: number,
  sink: Sink,
): Promise<Range | undefined> {
  const { key, bounds } = range.payload as RangePayload
  const ahead = key ? leadingColumns(key) : []
  const sent = { ...read, columns: [...ahead, ...read.columns] }
  let last: KeyPosition | undefined
  const reader = new ResultReader(
    sent,
    range.label,
    ({ rows, vectors }) => sink.write({ rows, vectors: vectors.slice(ahead.length) }),
    key && { position: limit, take: (columns, row) => (last = positionOf(key, ahead.length, columns, row)) },
  )
  await readResult(session, chunkSql(read, range.payload as RangePayload, limit), reader)
  if (!key || !last) return undefined
  // A full chunk where the estimate promised no more than that: there may be any number yet.
  const rows = (range.rows ?? 0) > limit ? range.rows! - limit : limit
  return keyedRange(read, key, { ...bounds, after: last }, rows)
}

/** The query of one chunk: the first rows of a range, in the order of its key. */
export function chunkSql(read: Read, { key, bounds }: RangePayload, limit: number): string {
  const columns = read.columns
    .filter(column => column.name !== REJECTED)
    .map(column => selectExpression(column, identifier(column.sourceName ?? column.name)))
  const selected = read.options as Selection
  const where = key ? within(key, bounds ?? {}) : []
  if (read.since) where.push(sinceSql(read, bounds?.partial))
  where.push(...conditionOf(selected))
  const condition = where.length > 0 ? ` WHERE ${where.join(' AND ')}` : ''
  const from = relation(selected, tableName)
  if (!key) return `SELECT ${columns.join(', ')} FROM ${from}${condition}`
  // The server would sort whole tables where it thinks another index better.
  const ahead = key.columns.filter(({ at }) => at === undefined).map(exact)
  return `SELECT ${[...ahead, ...columns].join(', ')}
    FROM ${from} FORCE INDEX (${identifier(key.index)})${condition} ORDER BY ${order(key, 'ASC')} LIMIT ${limit}`
}

/** The condition of an incremental read; the session's time zone is UTC, so an instant needs no offset. */
export function sinceSql(read: Read, partial?: true): string {
  const { column, value, nulls } = read.since!
  const {
    type: { kind },
    sourceName = column,
  } = columnNamed(read.columns, column)!
  const name = identifier(sourceName)
  const since = (() => {
    if (kind === 'int' || kind === 'decimal') return `${name} >= ${value}`
    // Text is ordered by its bytes in UTF-8, as the watermark was found, not by its collation.
    if (kind === 'text')
      return `CAST(CONVERT(${name} USING utf8mb4) AS BINARY) >= x'${Buffer.from(value, 'utf8').toString('hex')}'`
    // Its first year is 0.
    return `${name} >= ${literal(value.includes('(BC)') ? '0000-00-00' : value.replace(/\+00(:00)?$/, ''))}`
  })()
  if (!nulls) return since
  // Staged as NULL, as its policy says: 0000-00-00, 2026-00-00.
  const zero = kind === 'date' || kind === 'timestamp' ? ` OR ${name} < '0001-01-01'` : ''
  return `(${since} OR ${name} IS NULL${zero}${partial ? ` OR ${partialSql(read)}` : ''})`
}

/** The condition of rows whose date has no month or day; undefined of a column that holds none such. No index finds them. */
export function partialSql(read: Read): string | undefined {
  const { column, nulls } = read.since!
  const { type, sourceName = column } = columnNamed(read.columns, column)!
  const isDate = type.kind === 'date' || (type.kind === 'timestamp' && !type.zoned)
  const name = identifier(sourceName)
  return nulls && isDate ? `MONTH(${name}) = 0 OR DAYOFMONTH(${name}) = 0` : undefined
}
