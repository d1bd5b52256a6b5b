import { BatchBuilder, REJECTED } from '../../../engine/batch/builder.ts'
import type { Chunk, Lane, Read, Sink } from '../../../engine/ports.ts'
import { type Access, ask, connect, disconnect, engineError, type Session } from './connect.ts'
import { RowDecoder } from './decode.ts'
import { identifier, literal, selectExpression, tableName } from './types.ts'

/** A range of an integer key, `[from, below)`, open where a bound is absent; no key: the whole table. */
export interface ChunkPayload {
  key?: string
  from?: string
  below?: string
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
    read: (read, chunk, sink) => readChunk(session, read, chunk, sink),
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

async function readChunk(session: Session, read: Read, chunk: Chunk, sink: Sink): Promise<void> {
  const builder = new BatchBuilder(read.where, read.columns, read.limits)
  const decoder = new RowDecoder(read.where, builder, chunk.label)
  const { name, connection } = session
  const flush = () => {
    sink.write(builder.batch())
    builder.reset()
  }
  await new Promise<void>((resolve, reject) => {
    const query = connection.query(readSql(read, chunk.payload as ChunkPayload), error => {
      if (error) reject(engineError(name, error))
      else resolve()
    }) as unknown as QueryCommand
    // Everything happens within the socket's data event, so a slow sink slows the server down by itself.
    query.row = function row(packet) {
      if (packet.isEOF()) return this.done()
      try {
        decoder.decode(packet.buffer, packet.offset, packet.end)
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
}

const swallow: RowHandler = () => swallow

/** The query of one chunk. */
export function readSql(read: Read, { key, from, below }: ChunkPayload): string {
  const columns = read.columns.filter(column => column.name !== REJECTED)
  const { table } = read.options as { table: string }
  const where: string[] = []
  if (key !== undefined && from !== undefined) where.push(`${identifier(key)} >= ${from}`)
  if (key !== undefined && below !== undefined) where.push(`${identifier(key)} < ${below}`)
  if (read.since) where.push(sinceSql(read))
  const condition = where.length > 0 ? ` WHERE ${where.join(' AND ')}` : ''
  return `SELECT ${columns.map(selectExpression).join(', ')} FROM ${tableName(table)}${condition}`
}

/** The condition of an incremental read; the session's time zone is UTC, so an instant needs no offset. */
export function sinceSql(read: Read): string {
  const { column, value } = read.since!
  const kind = read.columns.find(({ name }) => name === column)?.type.kind
  const number = (kind === 'int' || kind === 'decimal') && /^-?\d+(\.\d+)?$/.test(value)
  return `${identifier(column)} >= ${number ? value : literal(value.replace(/\+00(:00)?$/, ''))}`
}
