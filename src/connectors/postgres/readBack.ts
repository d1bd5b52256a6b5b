import { addSums, type RowSum, type RowSummer } from '../../../engine/batch/rowSum.ts'
import type { PlannedLoad, StageRequest } from '../../../engine/contracts/load.ts'
import type { Sink } from '../../../engine/contracts/source.ts'
import { moduleBeside } from '../../../engine/pool/entry.ts'
import { type Column, columnNamed, typeName } from '../../../engine/types/logical.ts'
import { type Access, connect, disconnect, interruptOn, quoteIdent } from './connect.ts'
import { sumCopied } from './copyOut.ts'
import { describeTable } from './describe.ts'
import { loadError, type TargetSession } from './session.ts'
import { selectExpression } from './types.ts'

/** Rows and bytes of a batch that is read back. */
export const LIMITS = { rows: 1 << 16, bytes: 1 << 23 }

/** A table with fewer is read sooner on the connection that is there, which has the lock. */
const BLOCKS = 1000

/** Takes batches of what is read, and keeps their sum only. */
export function summing(summer: RowSummer): Sink {
  return {
    write: batch => summer.add(batch),
    note() {},
    file() {
      throw new Error('rows come as batches')
    },
  }
}

/** Whether what is read back comes in the types that the load sent. */
export const sameTypes = (sent: Column[], read: Column[]) =>
  sent.length === read.length &&
  sent.every(({ type }, index) => typeName(type) === typeName(read[index]!.type))

/** Rows of a table that other connections see, too: plain data, for a worker thread. */
export interface ReadBackInput {
  access: Access
  /** For messages: `warehouse.dim_members`. */
  where: string
  sql: string
}

/** The sum of a query's rows as the server sends them, on a connection of its own. Runs in a worker. */
export async function sumRows(input: unknown): Promise<RowSum> {
  const { access, where, sql } = input as ReadBackInput
  const client = await connect(access)
  try {
    return await sumCopied(client, sql, where)
  } catch (error) {
    throw loadError(error, where)
  } finally {
    await disconnect(client)
  }
}

/**
 * The sum of the bytes of a staging table's rows that was made to keep them as they are sent, read back by as many connections
 * as they were sent by. From here to the end of the transaction nobody else can write to it.
 */
export async function sumStaged(
  session: TargetSession,
  staging: string,
  load: PlannedLoad,
  { lanes, offload }: Pick<StageRequest, 'lanes' | 'offload'>,
  signal: AbortSignal,
): Promise<RowSum> {
  const { access } = session
  const where = `${access.name}.${load.table}`
  await session.query(`LOCK TABLE ${staging} IN SHARE MODE`, [], signal, where)
  const schema = (await describeTable(await session.client(), where, staging))!
  const list = load.columns
    .map(({ name }) => selectExpression(columnNamed(schema.columns, name)!, quoteIdent(name)))
    .join(', ')
  const { rows } = await session.query(
    "SELECT pg_relation_size($1::regclass) / current_setting('block_size')::int AS blocks",
    [staging],
    signal,
  )
  const blocks = Number(rows[0]!.blocks)
  if (blocks < BLOCKS) {
    const client = await session.client()
    const release = interruptOn(signal, client)
    return sumCopied(client, `SELECT ${list} FROM ${staging}`, where).finally(release)
  }
  const bounds = Array.from({ length: lanes + 1 }, (_, lane) => Math.floor((blocks * lane) / lanes))
  const sums = await Promise.all(
    bounds.slice(1).map((to, lane) => {
      const upper = lane === lanes - 1 ? '' : ` AND ctid < '(${to},0)'`
      const sql = `SELECT ${list} FROM ${staging} WHERE ctid >= '(${bounds[lane]},0)'${upper}`
      const input: ReadBackInput = { access, where, sql }
      return offload<RowSum>(moduleBeside(import.meta.url, 'readBack'), 'sumRows', input, signal)
    }),
  )
  return sums.reduce(addSums)
}
