import { createHash } from 'node:crypto'
import type { PlannedLoad, StagedLoad, StageRequest } from '../../../engine/contracts/load.ts'
import { EngineError } from '../../../engine/errors.ts'
import { moduleBeside } from '../../../engine/pool/entry.ts'
import { type Column, columnNamed } from '../../../engine/types/logical.ts'
import { keyColumns } from '../sql/dialect.ts'
import { type Access, quoteIdent, quoteLiteral } from './connect.ts'
import { stagingType } from './merge.ts'
import type { TargetSession } from './session.ts'
import type { StageInput } from './stage.ts'
import { stagingTables } from './state.ts'

/** The unlogged tables that a load's rows and keys are staged in, quoted and qualified. */
export function stagingNames(loadId: string, { table }: PlannedLoad): { rows: string; keys: string } {
  const name = (...of: string[]) =>
    `nightfreight."stg_${createHash('sha256').update(JSON.stringify(of)).digest('hex').slice(0, 20)}"`
  return { rows: name(loadId, table), keys: name(loadId, table, 'keys') }
}

/** Copies a change set into staging tables, each part on a connection of its own; what was there is replaced. */
export async function stageLoad(
  session: TargetSession,
  request: StageRequest,
  signal: AbortSignal,
): Promise<void> {
  const { loadId, job, load } = request
  const names = stagingNames(loadId, load)
  const stale = (await stagingTables(session)).filter(
    ({ table, ...owner }) =>
      Object.values(names).includes(table) || (owner.job === job && owner.loadId !== loadId),
  )
  await dropTables(
    session,
    stale.map(({ table }) => table),
  )
  const comment = quoteLiteral(JSON.stringify({ job, loadId }))
  const create = async (table: string, columns: Column[]) => {
    const list = columns.map(({ name, type }) => `${quoteIdent(name)} ${stagingType(type)}`)
    await session.query(
      `CREATE UNLOGGED TABLE ${table} (${list.join(', ')}); COMMENT ON TABLE ${table} IS ${comment}`,
      [],
      signal,
    )
    return { table, columns }
  }
  const rows = await create(names.rows, load.columns)
  const keys = await create(names.keys, columnsOfKeys(load))
  const means = { where: `${session.access.name}.${load.table}`, ...request }
  const sent = [
    await copyParts(session.access, { ...rows, paths: request.paths }, means, signal),
    await copyParts(
      session.access,
      { ...keys, paths: request.keyPaths },
      { ...means, progress() {} },
      signal,
    ),
  ]
  if (sent[0] !== request.rows || sent[1] !== request.keys)
    throw new EngineError(
      'STAGING_CORRUPT',
      `${means.where}: ${sent.join(' and ')} rows staged instead of ${request.rows} and ${request.keys}`,
    )
}

const columnsOfKeys = (load: StagedLoad) => keyColumns(load).map(name => columnNamed(load.columns, name)!)

/** Parts that one COPY takes: its beginning and end cost as much as some ten thousand rows. */
const PARTS_PER_COPY = 4

/** Parquet parts on their way into a table of ours. */
interface Copy {
  /** Quoted and qualified. */
  table: string
  columns: Column[]
  paths: string[]
}

interface CopyMeans extends Pick<StageRequest, 'lanes' | 'offload' | 'progress'> {
  /** For messages: `warehouse.dim_members`. */
  where: string
}

/** Copies parts into a table, lanes side by side; the rows sent. The first part that fails stops them all. */
export async function copyParts(
  access: Access,
  { table, columns, paths }: Copy,
  { where, lanes, offload, progress }: CopyMeans,
  signal: AbortSignal,
): Promise<number> {
  // Those that are stopped end their threads, and with them their connections.
  const failed = new AbortController()
  const either = AbortSignal.any([signal, failed.signal])
  const module = moduleBeside(import.meta.url, 'stage')
  const size = Math.min(PARTS_PER_COPY, Math.ceil(paths.length / lanes))
  const waiting = [...paths]
  let sent = 0
  const lane = async () => {
    while (waiting.length > 0) {
      const input: StageInput = { access, table, where, paths: waiting.splice(0, size), columns }
      try {
        const count = await offload<number>(module, 'stageParts', input, either)
        sent += count
        progress(count)
      } catch (error) {
        failed.abort()
        throw error
      }
    }
  }
  const results = await Promise.allSettled(Array.from({ length: lanes }, lane))
  if (signal.aborted) throw new EngineError('INTERRUPTED', `${where}: interrupted`)
  const reasons = results.flatMap(result => (result.status === 'rejected' ? [result.reason as Error] : []))
  if (reasons.length > 0) throw reasons.find(reason => reason instanceof EngineError) ?? reasons[0]
  return sent
}

export async function dropTables(session: TargetSession, tables: string[]): Promise<void> {
  if (tables.length > 0) await session.query(`DROP TABLE IF EXISTS ${tables.join(', ')}`)
}
