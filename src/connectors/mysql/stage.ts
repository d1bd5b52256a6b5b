import { Readable } from 'node:stream'
import type { ResultSetHeader } from 'mysql2'
import type { Batch } from '../../../engine/batch/batch.ts'
import { EngineError } from '../../../engine/errors.ts'
import { readParquet } from '../../../engine/parquet/read.ts'
import { counted } from '../../../engine/plural.ts'
import { type Column, typeName } from '../../../engine/types/logical.ts'
import { type Access, disconnect, engineError, type Session } from './connect.ts'
import { encodeRows, type ValueRule } from './encode.ts'
import { connectStrict, loadError, refuseWarnings } from './targetSession.ts'
import { identifier } from './types.ts'

/** One part on its way into a staging table: plain data, for a worker thread. */
export interface StageInput {
  access: Access
  /** The staging table, quoted. */
  table: string
  /** For messages: `warehouse.dim_members`. */
  where: string
  path: string
  columns: Column[]
  /** By column. */
  rules: (ValueRule | undefined)[]
}

/** Longest piece that the driver is given: its packets end at 16 MB. */
const PIECE = 8 << 20

/**
 * Sends one Parquet part into a staging table by LOAD DATA LOCAL on a connection of its own; the rows sent. Runs in a
 * worker. LOCAL makes warnings of errors, since the server cannot stop the sender: any warning fails the part.
 */
export async function stagePart(input: unknown): Promise<number> {
  const { access, where } = input as StageInput
  const session = await connectStrict(access)
  try {
    return await send(session, input as StageInput)
  } catch (error) {
    throw loadError(engineError(where, error), where)
  } finally {
    await disconnect(session)
  }
}

async function send(session: Session, input: StageInput): Promise<number> {
  const { table, where, columns } = input
  let local: ReturnType<typeof rowStream> | undefined
  // Not before the server asks: an error that came while nobody listened would be lost.
  const infileStreamFactory = () => {
    local = rowStream(input)
    return local.stream
  }
  const { promise, resolve, reject } = Promise.withResolvers<ResultSetHeader>()
  const sql = `LOAD DATA LOCAL INFILE 'nightfreight' INTO TABLE ${table} CHARACTER SET binary
    FIELDS TERMINATED BY '\\t' ESCAPED BY '\\\\' LINES TERMINATED BY '\\n' (${columns.map(column => identifier(column.name)).join(', ')})`
  session.connection.query<ResultSetHeader>({ sql, infileStreamFactory }, (error, result) => {
    if (error) reject(error)
    else resolve(result)
  })
  try {
    const { affectedRows, warningStatus } = await promise
    await refuseWarnings(session, where, warningStatus)
    const rows = await local!.sent
    if (affectedRows !== rows)
      throw new EngineError(
        'STAGING_CORRUPT',
        `${where}: the server took ${affectedRows} of ${counted(rows, 'row')}`,
      )
    return rows
  } finally {
    // Where the server hung up, nobody reads on.
    local?.stream.destroy()
    await local?.sent.catch(() => {})
  }
}

/** The part's rows as the server reads them; `sent` gives their number once all are handed over. */
function rowStream(input: StageInput): { stream: Readable; sent: Promise<number> } {
  let wake = () => {}
  const stream = new Readable({
    highWaterMark: 1,
    read: () => wake(),
    destroy(error, done) {
      wake()
      done(error)
    },
  })
  const write = async (bytes: Buffer) => {
    for (let from = 0; from < bytes.length; from += PIECE) {
      const asked = new Promise<void>(resolve => {
        wake = resolve
      })
      if (stream.destroyed) throw new Error('nobody reads on')
      if (!stream.push(bytes.subarray(from, from + PIECE))) await asked
    }
  }
  const fill = async () => {
    let rows = 0
    await readParquet(input.path, async batch => {
      for (const bytes of encodeRows(planned(batch, input), input.where, input.rules)) await write(bytes)
      rows += batch.rows
    })
    stream.push(null)
    return rows
  }
  const sent = fill()
  sent.catch(error => stream.destroy(error))
  return { stream, sent }
}

/** The batch's vectors in the plan's order, and of the plan's types. */
function planned(batch: Batch, { columns, path }: StageInput): Batch {
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
