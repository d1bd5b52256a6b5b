import type pg from 'pg'
import { REJECTED } from '../../../engine/batch/builder.ts'
import type { Lane, Range, Read, Sink } from '../../../engine/contracts/source.ts'
import { columnNamed } from '../../../engine/types/logical.ts'
import { DEFAULT_TIMEOUTS } from '../declare/define.ts'
import { conditionOf } from '../wire/selection.ts'
import { unlessSilent } from '../wire/silence.ts'
import {
  type Access,
  ask,
  connect,
  disconnect,
  hangUp,
  interrupt,
  interruptOn,
  quoteIdent,
  quoteLiteral,
  snapshotError,
} from './connect.ts'
import { copyOut } from './copyOut.ts'
import { type Blocks, type RangePayload, restOf, upTo } from './ranges.ts'
import { beginRead, LOCAL, type PostgresExtract, rowSecurity } from './settings.ts'
import { selectExpression, stagedText } from './types.ts'
import { socketOf } from './wire.ts'

/** What a lane needs to join: where to connect, and the exported snapshot. */
export interface LanePayload {
  access: Access
  snapshot: string
  /** Statements that lock what is read. */
  locks: string[]
}

/** Who changes a table waits for the view, and whoever comes later waits behind him: the two would wait for each other. */
const LOCK_WAIT = '10s'

/** Joins the snapshot. Runs in a worker thread. */
export async function openLane(payload: unknown, signal?: AbortSignal): Promise<Lane> {
  const { access, snapshot, locks } = payload as LanePayload
  const client = await connect(access, access.name, signal)
  try {
    const release = interruptOn(signal, client)
    await client.query(beginRead(snapshot)).catch((error: unknown) => {
      throw snapshotError(error, access.name)
    })
    await ask(client, access.name, LOCAL)
    const limit = (time: string) => `SET LOCAL lock_timeout TO ${time}`
    await ask(client, access.name, [limit(`'${LOCK_WAIT}'`), ...locks, limit('DEFAULT')].join('; '))
    release()
  } catch (error) {
    hangUp(client)
    throw error
  }
  return {
    async read(read, range, limit, sink, signal) {
      const release = interruptOn(signal, client)
      const { silence } = access.timeouts ?? DEFAULT_TIMEOUTS
      return unlessSilent(
        socketOf(client),
        silence,
        read.where,
        () => readChunk(client, read, range, limit, sink),
        () => interrupt(client),
      ).finally(release)
    },
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
  const policy = rowSecurity(read.options as PostgresExtract)
  const rows = await copyOut(client, selectSql(read, table, chunk), read, sink, policy)
  return chunk && restOf(range, chunk, rows)
}

/** The rows of a chunk, in the staged columns' order; `table` is quoted, or a query as one. */
export function selectSql(read: Read, table: string, blocks?: Blocks): string {
  const columns = read.columns
    .filter(column => column.name !== REJECTED)
    .map(column => selectExpression(column, quoteIdent(column.sourceName ?? column.name)))
  const where: string[] = []
  if (blocks && blocks.from > 0) where.push(`ctid >= '(${blocks.from},0)'`)
  if (blocks?.to !== undefined) where.push(`ctid < '(${blocks.to},0)'`)
  if (read.since) where.push(sinceSql(read))
  where.push(...conditionOf(read.options as PostgresExtract))
  const from = `SELECT ${columns.join(', ')} FROM ${blocks ? 'ONLY ' : ''}${table}`
  return where.length > 0 ? `${from} WHERE ${where.join(' AND ')}` : from
}

/** The condition of an incremental read. */
function sinceSql(read: Read): string {
  const { column, value, nulls } = read.since!
  const marked = columnNamed(read.columns, column)!
  const { type, sourceName = column } = marked
  const name = quoteIdent(sourceName)
  const [, day, rest = ''] = /^(\d{4,}-\d\d-\d\d) \(BC\)(.*)$/.exec(value) ?? []
  // An untyped literal takes the column's own type. Text is ordered by its bytes in UTF-8, as the watermark was found.
  const since =
    type.kind === 'text'
      ? `convert_to(${stagedText(marked, name)}, 'UTF8') >= '\\x${Buffer.from(value, 'utf8').toString('hex')}'::bytea`
      : `${name} >= ${quoteLiteral(day === undefined ? value : `${day}${rest} BC`)}`
  if (!nulls) return since
  // Staged as NULL, as its policy says.
  const staged = type.kind === 'date' || type.kind === 'timestamp' ? ` OR ${name} = '-infinity'` : ''
  return `(${since} OR ${name} IS NULL${staged})`
}
