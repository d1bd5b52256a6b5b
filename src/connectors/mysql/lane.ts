import { REJECTED } from '../../../engine/batch/builder.ts'
import type { Lane, Read } from '../../../engine/ports.ts'
import { type Access, ask, connect, disconnect, type Session } from './connect.ts'
import { readResult } from './result.ts'
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
    read: (read, chunk, sink) =>
      readResult(session, readSql(read, chunk.payload as ChunkPayload), read, chunk.label, sink),
    close: () => disconnect(session),
  }
}

/** Opens a read-only transaction whose view is the database as of now. */
export async function startSnapshot(session: Session): Promise<void> {
  await ask(session, 'SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ')
  await ask(session, 'START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY')
}

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
