import { BatchBuilder, REJECTED } from '../../../engine/batch/builder.ts'
import type { Lane, Range, Read, Sink } from '../../../engine/ports.ts'
import { type Access, ask, connect, disconnect, engineError, type Session } from './connect.ts'
import { RowDecoder } from './decode.ts'
import { type Bounds, type Key, labelOf, leadingColumns, order, type Place, within } from './keys.ts'
import { after, fieldAt } from './rowPacket.ts'
import { identifier, literal, selectExpression, tableName } from './types.ts'

/** Rows of a table by its key; without one they are read in one go, in any order. */
export interface RangePayload {
  key?: Key
  bounds?: Bounds
}

/** A range of a key as the engine sees it. */
export function keyedRange(read: Read, key: Key, bounds: Bounds, rows: number): Range {
  const { table } = read.options as { table: string }
  return { label: labelOf(table, key, bounds), rows, payload: { key, bounds } satisfies RangePayload }
}

/** Joins the snapshot: called while the source's read lock, if it needs one, is held. */
export async function openLane(payload: unknown): Promise<Lane> {
  const session = await connect(payload as Access)
  try {
    await startSnapshot(session)
  } catch (error) {
    session.connection.destroy()
    throw error
  }
  return {
    read: (read, range, limit, sink) => readChunk(session, read, range, limit, sink),
    close: () => disconnect(session),
  }
}

/** Opens a read-only transaction whose view is the database as of now. */
export async function startSnapshot(session: Session): Promise<void> {
  await ask(session, 'SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ')
  await ask(session, 'START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY')
}

// The part of mysql2's query command that we replace: it calls `row` for every packet after the column
// definitions and goes on with the function that returns. `done` ends the command.
interface RowPacket {
  buffer: Buffer
  offset: number
  end: number
  isEOF(): boolean
}
type RowHandler = (this: QueryCommand, packet: RowPacket) => RowHandler | null
interface QueryCommand {
  row: RowHandler
  done(): null
}

async function readChunk(
  session: Session,
  read: Read,
  range: Range,
  limit: number,
  sink: Sink,
): Promise<Range | undefined> {
  const { key, bounds } = range.payload as RangePayload
  const builder = new BatchBuilder(read.where, read.columns, read.limits)
  const decoder = new RowDecoder(read.where, builder, range.label)
  const { name, connection } = session
  const flush = () => {
    sink.write(builder.batch())
    builder.reset()
  }
  const leading = key ? leadingColumns(key).length : 0
  let last: LastRow | undefined
  await new Promise<void>((resolve, reject) => {
    const query = connection.query(chunkSql(read, range.payload as RangePayload, limit), error => {
      if (error) reject(engineError(name, error))
      else resolve()
    }) as unknown as QueryCommand
    // Everything happens within the socket's data event, so a slow sink slows the server down by itself.
    query.row = function row(packet) {
      if (packet.isEOF()) return this.done()
      try {
        const { buffer, end } = packet
        let start = packet.offset
        for (let skipped = 0; skipped < leading; skipped++) start = after(read.where, buffer, start, end)
        decoder.decode(buffer, start, end)
        if (decoder.position === limit && key) last = { buffer, start: packet.offset, end }
        if (builder.full) flush()
        return row
      } catch (error) {
        reject(error)
        // The rest of the result is of no use, and only hanging up stops the server from sending it.
        connection.destroy()
        return swallow
      }
    }
  })
  if (builder.rows > 0) flush()
  if (!key || !last) return undefined
  // A full chunk where the estimate promised no more than that: there may be any number yet.
  const rows = (range.rows ?? 0) > limit ? range.rows! - limit : limit
  return keyedRange(read, key, { ...bounds, after: placeOf(read.where, key, last) }, rows)
}

const swallow: RowHandler = () => swallow

/** The packet of the row that a chunk ends with. */
interface LastRow {
  buffer: Buffer
  start: number
  end: number
}

/** The key of a row, from the bytes that the server sent. */
function placeOf(where: string, key: Key, { buffer, start, end }: LastRow): Place {
  const leading = leadingColumns(key).length
  const starts: number[] = []
  const wanted = leading + Math.max(0, ...key.columns.map(({ at }) => (at ?? -1) + 1))
  for (let at = start; starts.length < wanted; at = after(where, buffer, at, end)) starts.push(at)
  let lead = 0
  return key.columns.map(({ at, kind }) => {
    const { from, to } = fieldAt(where, buffer, starts[at === undefined ? lead++ : leading + at]!, end)
    // What is sent ahead is hex already.
    const hex = at !== undefined && (kind === 'text' || kind === 'bytes')
    return hex ? buffer.toString('hex', from, to).toUpperCase() : buffer.toString('latin1', from, to)
  })
}

/** The query of one chunk: the first rows of a range, in the order of its key. */
export function chunkSql(read: Read, { key, bounds }: RangePayload, limit: number): string {
  const columns = read.columns.filter(column => column.name !== REJECTED).map(selectExpression)
  const { table } = read.options as { table: string }
  const where = key ? within(key, bounds ?? {}) : []
  if (read.since) where.push(sinceSql(read))
  const condition = where.length > 0 ? ` WHERE ${where.join(' AND ')}` : ''
  if (!key) return `SELECT ${columns.join(', ')} FROM ${tableName(table)}${condition}`
  // The server would sort whole tables where it thinks another index better.
  return `SELECT ${[...leadingColumns(key), ...columns].join(', ')}
    FROM ${tableName(table)} FORCE INDEX (${identifier(key.index)})${condition} ORDER BY ${order(key, 'ASC')} LIMIT ${limit}`
}

/** The condition of an incremental read; the session's time zone is UTC, so an instant needs no offset. */
export function sinceSql(read: Read): string {
  const { column, value } = read.since!
  const kind = read.columns.find(({ name }) => name === column)?.type.kind
  const number = (kind === 'int' || kind === 'decimal') && /^-?\d+(\.\d+)?$/.test(value)
  return `${identifier(column)} >= ${number ? value : literal(value.replace(/\+00(:00)?$/, ''))}`
}
