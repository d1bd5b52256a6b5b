import { createHash } from 'node:crypto'
import { EngineError } from '../../../engine/errors.ts'
import { moduleBeside } from '../../../engine/pool/entry.ts'
import type { PlannedLoad, StagedLoad, StageRequest } from '../../../engine/ports.ts'
import { type Column, columnNamed } from '../../../engine/types/logical.ts'
import { keyColumns } from '../dialect.ts'
import { quoteIdent, quoteLiteral } from './connect.ts'
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
  const { loadId, job, load, progress } = request
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
  await copyParts(session, { ...rows, paths: request.paths, rows: request.rows, progress }, request, signal)
  const silent = () => {}
  await copyParts(
    session,
    { ...keys, paths: request.keyPaths, rows: request.keys, progress: silent },
    request,
    signal,
  )
}

const columnsOfKeys = (load: StagedLoad) => keyColumns(load).map(name => columnNamed(load.columns, name)!)

interface Copy {
  table: string
  columns: Column[]
  paths: string[]
  rows: number
  progress(rows: number): void
}

async function copyParts(
  { access }: TargetSession,
  { table, columns, paths, rows, progress }: Copy,
  { load, lanes, offload }: StageRequest,
  signal: AbortSignal,
): Promise<void> {
  // The first part that fails stops the others: their threads end, and with them their connections.
  const failed = new AbortController()
  const either = AbortSignal.any([signal, failed.signal])
  const where = `${access.name}.${load.table}`
  const module = moduleBeside(import.meta.url, 'stage')
  const waiting = [...paths]
  let sent = 0
  const lane = async () => {
    for (let path = waiting.shift(); path !== undefined; path = waiting.shift()) {
      const input: StageInput = { access, table, where, path, columns }
      try {
        const count = await offload<number>(module, 'stagePart', input, either)
        sent += count
        progress(count)
      } catch (error) {
        failed.abort()
        throw error
      }
    }
  }
  const results = await Promise.allSettled(Array.from({ length: Math.min(lanes, paths.length) }, lane))
  if (signal.aborted) throw new EngineError('INTERRUPTED', `${where}: interrupted`)
  const reasons = results.flatMap(result => (result.status === 'rejected' ? [result.reason as Error] : []))
  if (reasons.length > 0) throw reasons.find(reason => reason instanceof EngineError) ?? reasons[0]
  if (sent !== rows)
    throw new EngineError('STAGING_CORRUPT', `${where}: ${sent} rows staged instead of ${rows}`)
}

export async function dropTables(session: TargetSession, tables: string[]): Promise<void> {
  if (tables.length > 0) await session.query(`DROP TABLE IF EXISTS ${tables.join(', ')}`)
}
