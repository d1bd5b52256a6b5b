import type pg from 'pg'
import { BatchBuilder, type BatchLimits, REJECTED } from '../../../engine/batch/builder.ts'
import { ByteSummer, type RowSum } from '../../../engine/batch/rowSum.ts'
import type { Sink } from '../../../engine/contracts/source.ts'
import { EngineError } from '../../../engine/errors.ts'
import type { Column } from '../../../engine/types/logical.ts'
import { postgresError } from './connect.ts'
import { afterHeader, CopyDecoder } from './decode.ts'
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

/** The sum of the bytes of a query's rows, by the same COPY: the server sends a row a message, and none is decoded. */
export async function sumCopied(client: pg.Client, sql: string, where: string): Promise<RowSum> {
  const summer = new ByteSummer()
  const view = viewOnce()
  let [begun, ended] = [false, false]
  try {
    await converse(client, where, `COPY (${sql}) TO STDOUT (FORMAT binary)`, {
      message(type, bytes, from, to) {
        if (type !== MESSAGE.copyData) return
        if (!begun) {
          const found = afterHeader(bytes, from, to)
          if (typeof found === 'string') throw new EngineError('DECODE_FAILED', `${where}: ${found}`)
          begun = true
          from = found
        }
        if (to - from === 2 && bytes.readInt16BE(from) === -1) ended = true
        else if (from < to) summer.add(view(bytes), from, to)
      },
    })
  } catch (error) {
    throw postgresError(error, where)
  }
  if (!ended) throw new EngineError('DECODE_FAILED', `${where}: the stream ended before its trailer`)
  return summer.sum
}

/** A view on bytes; messages of one piece lie in the same. */
function viewOnce() {
  let viewed: Buffer | undefined
  let view: DataView = new DataView(new ArrayBuffer(0))
  return (bytes: Buffer) => {
    if (bytes !== viewed) view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    viewed = bytes
    return view
  }
}
