import { createHash } from 'node:crypto'
import { addSums, NO_ROWS, type RowSum } from '../../../engine/batch/rowSum.ts'
import type { PlannedLoad, StagedLoad, StageRequest } from '../../../engine/contracts/load.ts'
import { EngineError } from '../../../engine/errors.ts'
import { moduleBeside } from '../../../engine/pool/entry.ts'
import { type Column, columnNamed } from '../../../engine/types/logical.ts'
import { keyColumns } from '../sql/dialect.ts'
import { type Access, quoteIdent } from './connect.ts'
import { stagingType } from './merge.ts'
import type { TargetSession } from './session.ts'
import type { StageInput } from './stage.ts'
import { dropAbandoned, ownComment } from './state.ts'

/** The quoted and qualified name of an unlogged table of this session's own, for one load's `what`. */
export function stagingName({ owner }: TargetSession, loadId: string, table: string, what: string): string {
  const hash = createHash('sha256')
    .update(JSON.stringify([owner, loadId, table, what]))
    .digest('hex')
  return `nightfreight."stg_${hash.slice(0, 20)}"`
}

/** The tables that a load's rows and keys are staged in. */
export function stagingNames(session: TargetSession, loadId: string, { table }: PlannedLoad) {
  const name = (what: string) => stagingName(session, loadId, table, what)
  return { rows: name('rows'), keys: name('keys') }
}

/**
 * Copies a change set into staging tables, each part on a connection of its own; what was there is replaced. `adopted`:
 * the columns of a table that the rows are to become, where they are. The sum of the rows sent.
 */
export async function stageLoad(
  session: TargetSession,
  request: StageRequest,
  adopted: string[] | undefined,
  signal: AbortSignal,
): Promise<RowSum> {
  const { loadId, job, load } = request
  const names = stagingNames(session, loadId, load)
  await dropAbandoned(session, job, loadId)
  await session.query(`DROP TABLE IF EXISTS ${names.rows}, ${names.keys}`)
  const comment = ownComment(session, job, loadId)
  const create = async (table: string, columns: Column[], own?: string[]) => {
    const list = own ?? columns.map(({ name, type }) => `${quoteIdent(name)} ${stagingType(type)}`)
    await session.query(
      `CREATE ${own ? '' : 'UNLOGGED '}TABLE ${table} (${list.join(', ')}); COMMENT ON TABLE ${table} IS ${comment}`,
      [],
      signal,
    )
    return { table, columns }
  }
  const rows = await create(names.rows, load.columns, adopted)
  const keys = await create(names.keys, columnsOfKeys(load))
  const means = { where: `${session.access.name}.${load.table}`, ...request }
  const sent = await copyParts(session.access, { ...rows, paths: request.paths }, means, signal)
  const sentKeys = await copyParts(
    session.access,
    { ...keys, paths: request.keyPaths },
    { ...means, progress() {} },
    signal,
  )
  if (sent.rows !== request.rows || sentKeys.rows !== request.keys)
    throw new EngineError(
      'STAGING_CORRUPT',
      `${means.where}: ${sent.rows} and ${sentKeys.rows} rows staged instead of ${request.rows} and ${request.keys}`,
    )
  return sent
}

const columnsOfKeys = (load: StagedLoad) => keyColumns(load).map(name => columnNamed(load.columns, name)!)

/** Parts that one COPY takes at most: its beginning and end cost as much as some ten thousand rows, and progress is told at its end. */
const MOST_PARTS = 16

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

/** Copies parts into a table, lanes side by side; the sum of the rows sent. The first part that fails stops them all. */
export async function copyParts(
  access: Access,
  { table, columns, paths }: Copy,
  { where, lanes, offload, progress }: CopyMeans,
  signal: AbortSignal,
): Promise<RowSum> {
  // Those that are stopped end their threads, and with them their connections.
  const failed = new AbortController()
  const either = AbortSignal.any([signal, failed.signal])
  const module = moduleBeside(import.meta.url, 'stage')
  const rounds = Math.ceil(paths.length / (lanes * MOST_PARTS))
  const size = Math.ceil(paths.length / (lanes * rounds))
  const waiting = [...paths]
  let sent = NO_ROWS
  const lane = async () => {
    while (waiting.length > 0) {
      const input: StageInput = { access, table, where, paths: waiting.splice(0, size), columns }
      try {
        const sum = await offload<RowSum>(module, 'stageParts', input, either)
        sent = addSums(sent, sum)
        progress(sum.rows)
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
