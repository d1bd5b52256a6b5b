import type pg from 'pg'
import { BatchBuilder, type BatchLimits, REJECTED } from '../../../engine/batch/builder.ts'
import type { Sink } from '../../../engine/contracts/source.ts'
import type { Column } from '../../../engine/types/logical.ts'
import { postgresError } from './connect.ts'
import { CopyDecoder } from './decode.ts'
import { converse, MESSAGE } from './wire.ts'

/** What a query gives: its columns in order, and how many rows and bytes a batch of them may hold. */
export interface CopiedRows {
  /** For messages: `warehouse.dim_members`. */
  where: string
  columns: Column[]
  limits: BatchLimits
}

/**
 * Writes a query's rows into a sink, by `COPY … TO STDOUT (FORMAT binary)`; how many there were. `first`: a statement that
 * is sent with it, before it.
 */
export async function copyOut(
  client: pg.Client,
  sql: string,
  { where, columns, limits }: CopiedRows,
  sink: Sink,
  first?: string,
): Promise<number> {
  const builder = BatchBuilder.borrow(where, columns, limits)
  let rows = 0
  const flush = () => {
    rows += builder.rows
    sink.write(builder.batch())
    builder.reset()
  }
  const count = columns.filter(column => column.name !== REJECTED).length
  const decoder = new CopyDecoder(where, builder, count, flush)
  try {
    await converse(client, where, `${first ? `${first}; ` : ''}COPY (${sql}) TO STDOUT (FORMAT binary)`, {
      message(type, bytes, from, to) {
        if (type === MESSAGE.copyData) decoder.message(bytes, from, to)
      },
    })
  } catch (error) {
    throw postgresError(error, where)
  }
  decoder.end()
  if (builder.rows > 0) flush()
  builder.release()
  return rows
}
