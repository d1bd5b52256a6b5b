import type { Batch } from '../../../engine/batch/batch.ts'
import { BatchBuilder, REJECTED } from '../../../engine/batch/builder.ts'
import type { ExtractSpec } from '../../../engine/contracts/source.ts'
import { planRead } from '../../../engine/plan/plan.ts'
import type { Column } from '../../../engine/types/logical.ts'
import { connect, disconnect } from '../../../src/connectors/postgres/connect.ts'
import { CopyDecoder } from '../../../src/connectors/postgres/decode.ts'
import { selectSql } from '../../../src/connectors/postgres/lane.ts'
import { PostgresSource } from '../../../src/connectors/postgres/source.ts'
import { converse, Framer, MESSAGE, socketOf } from '../../../src/connectors/postgres/wire.ts'
import { serverText } from './serverText.ts'

/** What a server sent for a COPY of one table, byte by byte, and the columns it is read into. */
export interface Recorded {
  columns: Column[]
  /** Whole protocol messages, from CopyOutResponse to ReadyForQuery. */
  stream: Buffer
}

/** Records the answer to the COPY that a lane would send for the table. */
export async function record(url: string, spec: ExtractSpec): Promise<Recorded> {
  const source = new PostgresSource({ name: 'pg', url })
  const limits = { rows: 8, bytes: 1 << 20 }
  const read = planRead({ now: new Date(), spec, schema: await source.describe(spec), limits })
  const client = await connect({ url }, 'pg')
  const pieces: Buffer[] = []
  try {
    const table = (spec.options as { table: string }).table
    const answer = converse(client, 'pg', `COPY (${selectSql(read, table)}) TO STDOUT (FORMAT binary)`, {
      message() {},
    })
    socketOf(client).on('data', piece => pieces.push(Buffer.from(piece)))
    await answer
  } finally {
    await disconnect(client)
  }
  return { columns: read.columns, stream: Buffer.concat(pieces) }
}

/** Decodes pieces of a stream as a lane does: framed, decoded, in batches of three rows; to the stream's own end. */
export function decodePieces(columns: Column[], pieces: Buffer[], onBatch: (batch: Batch) => void): void {
  const builder = new BatchBuilder('pg.t', columns, { rows: 3, bytes: 1 << 20 })
  const flush = () => {
    onBatch(builder.batch())
    builder.reset()
  }
  const count = columns.filter(({ name }) => name !== REJECTED).length
  const decoder = new CopyDecoder('pg.t', builder, count, flush)
  const framer = new Framer('pg.t', {
    message: (type, bytes, from, to) => {
      if (type === MESSAGE.copyData) decoder.message(bytes, from, to)
    },
  })
  for (const piece of pieces) framer.push(piece)
  decoder.end()
  flush()
}

/** The rows that pieces of a stream decode to, every value as the server writes it. */
export function decodeRows(columns: Column[], pieces: Buffer[]): (string | null)[][] {
  const rows: (string | null)[][] = []
  decodePieces(columns, pieces, batch => {
    for (let row = 0; row < batch.rows; row++) rows.push(batch.vectors.map(vector => serverText(vector, row)))
  })
  return rows
}
