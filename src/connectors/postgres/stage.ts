import type pg from 'pg'
import type { Batch } from '../../../engine/batch/batch.ts'
import { ByteSummer, type RowSum, RowSummer } from '../../../engine/batch/rowSum.ts'
import { EngineError } from '../../../engine/errors.ts'
import { readParquet } from '../../../engine/parquet/read.ts'
import { type Column, typeName } from '../../../engine/types/logical.ts'
import { type Access, connect, quoteIdent } from './connect.ts'
import { COPY_HEADER, COPY_TRAILER, CopyEncoder } from './encode.ts'
import { loadError } from './session.ts'
import { converse, MESSAGE, socketOf } from './wire.ts'

/** Parts on their way into a staging table: plain data, for a worker thread. */
export interface StageInput {
  access: Access
  /** The staging table, quoted. */
  table: string
  /** For messages: `warehouse.dim_members`. */
  where: string
  paths: string[]
  columns: Column[]
  /** Whether the table keeps values as the bytes that are sent: then those are added up. */
  asSent?: boolean
}

/** Copies Parquet parts into a staging table, on a connection of its own; the sum of the rows sent. Runs in a worker. */
export async function stageParts(input: unknown): Promise<RowSum> {
  const { access, where } = input as StageInput
  const client = await connect(access)
  try {
    return await sendParts(client, input as StageInput)
  } catch (error) {
    throw loadError(error, where)
  } finally {
    await client.end().catch(() => {})
  }
}

/** The same over a connection that is there. */
export async function sendParts(client: pg.Client, input: Omit<StageInput, 'access'>): Promise<RowSum> {
  const { table, where, columns } = input
  const list = columns.map(column => quoteIdent(column.name)).join(', ')
  const ready = Promise.withResolvers<void>()
  const copied = converse(client, where, `COPY ${table} (${list}) FROM STDIN (FORMAT binary)`, {
    message(type) {
      if (type === MESSAGE.copyIn) ready.resolve()
    },
  })
  // The server refuses or hangs up at any time: then `copied` rejects, and nobody waits for the socket.
  copied.catch(() => {})
  await Promise.race([ready.promise, copied])
  const sum = await send(client, copied, input)
  await copied
  return sum
}

async function send(
  client: pg.Client,
  copied: Promise<void>,
  input: Omit<StageInput, 'access'>,
): Promise<RowSum> {
  const socket = socketOf(client)
  const bytes = input.asSent ? new ByteSummer() : undefined
  const values = new RowSummer()
  // Waits until the system has the bytes, for their buffer is used again; it keeps enough for the server meanwhile.
  const write = async (payload: Buffer) => {
    const head = Buffer.alloc(5)
    head[0] = MESSAGE.copyData
    head.writeInt32BE(payload.length + 4, 1)
    const flushed = Promise.withResolvers<void>()
    socket.cork()
    socket.write(head)
    socket.write(payload, error => (error ? flushed.reject(error) : flushed.resolve()))
    socket.uncork()
    await Promise.race([flushed.promise, copied])
  }
  const encoder = new CopyEncoder(input.where, bytes)
  try {
    await write(COPY_HEADER)
    for (const path of input.paths)
      await readParquet(path, async batch => {
        const rows = planned(batch, path, input.columns)
        if (!bytes) values.add(rows)
        for (const bytes of encoder.encode(rows)) await write(bytes)
      })
    await write(COPY_TRAILER)
    socket.write(Buffer.from([MESSAGE.copyDone, 0, 0, 0, 4]))
    return (bytes ?? values).sum
  } catch (error) {
    // CopyFail with an empty reason: the server forgets what it got. Its own refusal, where there is one, comes first.
    socket.write(Buffer.from([0x66, 0, 0, 0, 5, 0]))
    await copied.catch(() => {})
    throw error
  }
}

/** The batch's vectors in the plan's order, and of the plan's types. */
function planned(batch: Batch, path: string, columns: Column[]): Batch {
  const vectors = columns.map(column => {
    const vector = batch.vectors.find(({ column: { name } }) => name === column.name)
    const found = vector && typeName(vector.column.type)
    if (vector && found === typeName(column.type)) return vector
    throw new EngineError(
      'STAGING_CORRUPT',
      `${path}: column ${column.name} is ${found ?? 'missing'} instead of ${typeName(column.type)}`,
    )
  })
  return { rows: batch.rows, vectors }
}
