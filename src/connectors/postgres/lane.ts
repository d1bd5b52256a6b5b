import type pg from 'pg'
import { REJECTED } from '../../../engine/batch/builder.ts'
import type { Lane, Range, Read, Sink } from '../../../engine/contracts/source.ts'
import {
  type Access,
  ask,
  connect,
  disconnect,
  hangUp,
  quoteIdent,
  quoteLiteral,
  quoteTable,
} from './connect.ts'
import { copyOut } from './copyOut.ts'
import { type Blocks, type RangePayload, restOf, upTo } from './ranges.ts'
import { selectExpression } from './types.ts'

/** What a lane needs to join: where to connect, and the exported snapshot. */
export interface LanePayload {
  access: Access
  snapshot: string
}

/** Joins the snapshot. Runs in a worker thread. */
export async function openLane(payload: unknown): Promise<Lane> {
  const { access, snapshot } = payload as LanePayload
  const client = await connect(access)
  try {
    await ask(client, access.name, 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
    await ask(client, access.name, `SET TRANSACTION SNAPSHOT ${quoteLiteral(snapshot)}`)
  } catch (error) {
    hangUp(client)
    throw error
  }
  return {
    read: (read, range, limit, sink) => readChunk(client, read, range, limit, sink),
    close: () => disconnect(client),
  }
}

async function readChunk(
  client: pg.Client,
  read: Read,
  range: Range,
  limit: number,
  sink: Sink,
): Promise<Range | undefined> {
  const { table, blocks } = range.payload as RangePayload
  const chunk = blocks && upTo(blocks, range.rows, limit)
  const rows = await copyOut(client, selectSql(read, table, chunk), read, sink)
  return chunk && restOf(range, chunk, rows)
}

/** The rows of a chunk, in the staged columns' order. */
export function selectSql(read: Read, table: string, blocks?: Blocks): string {
  const columns = read.columns
    .filter(column => column.name !== REJECTED)
    .map(column => selectExpression(column, quoteIdent(column.name)))
  const where: string[] = []
  if (blocks && blocks.from > 0) where.push(`ctid >= '(${blocks.from},0)'`)
  if (blocks?.to !== undefined) where.push(`ctid < '(${blocks.to},0)'`)
  // An untyped literal takes the column's own type.
  if (read.since) where.push(`${quoteIdent(read.since.column)} >= ${quoteLiteral(read.since.value)}`)
  const from = `SELECT ${columns.join(', ')} FROM ${blocks ? 'ONLY ' : ''}${quoteTable(table)}`
  return where.length > 0 ? `${from} WHERE ${where.join(' AND ')}` : from
}
