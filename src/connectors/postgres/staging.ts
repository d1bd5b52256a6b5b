import { createHash } from 'node:crypto'
import { addSums, NO_ROWS, type RowSum } from '../../../engine/batch/rowSum.ts'
import type { PlannedLoad, StagedLoad, StageRequest } from '../../../engine/contracts/load.ts'
import { EngineError } from '../../../engine/errors.ts'
import { counted } from '../../../engine/plural.ts'
import { moduleBeside } from '../../../engine/pool/entry.ts'
import { type Column, columnNamed } from '../../../engine/types/logical.ts'
import { keyColumns } from '../sql/dialect.ts'
import { type Access, quoteIdent } from './connect.ts'
import { stagingType } from './merge.ts'
import type { TargetSession } from './session.ts'
import { type StageInput, sendParts } from './stage.ts'
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
 * Makes a load's staging tables; what was there is replaced. `adopted`: the columns of a table that the rows are to become,
 * where they are.
 */
export async function makeStaging(
  session: TargetSession,
  { loadId, job, load }: Pick<StageRequest, 'loadId' | 'job' | 'load'>,
  adopted: string[] | undefined,
  signal: AbortSignal,
) {
  const names = stagingNames(session, loadId, load)
  // Once is enough: a load of many tables asks for each of them.
  await session.once(`clear before ${loadId}`, () => dropAbandoned(session, job, loadId))
  const comment = ownComment(session, job, loadId)
  const create = (table: string, columns: Column[], own?: string[]) => {
    const list = own ?? columns.map(({ name, type }) => `${quoteIdent(name)} ${stagingType(type)}`)
    return `CREATE ${own ? '' : 'UNLOGGED '}TABLE ${table} (${list.join(', ')}); COMMENT ON TABLE ${table} IS ${comment}`
  }
  const keys = columnsOfKeys(load)
  const statements = [
    `DROP TABLE IF EXISTS ${names.rows}, ${names.keys}`,
    create(names.rows, load.columns, adopted),
    create(names.keys, keys),
  ]
  await session.query(statements.join('; '), [], signal)
  return {
    rows: { table: names.rows, columns: load.columns, asSent: adopted !== undefined },
    keys: { table: names.keys, columns: keys, asSent: false },
  }
}

/** So few rows go over the session's own connection: another takes longer to open than they to send. */
const FEW_ROWS = 1000

/** Copies a change set into staging tables made for it. The sum of the rows sent. */
export async function stageLoad(
  session: TargetSession,
  request: StageRequest,
  adopted: string[] | undefined,
  signal: AbortSignal,
): Promise<RowSum> {
  const { load } = request
  const { rows, keys } = await makeStaging(session, request, adopted, signal)
  const where = `${session.access.name}.${load.table}`
  const means = { where, ...request }
  const few = request.rows + request.keys <= FEW_ROWS
  const copy = async (to: Copy, progress: StageRequest['progress']) => {
    if (!few || to.paths.length === 0) return copyParts(session.access, to, { ...means, progress }, signal)
    const sum = await session.with(signal, where, client => sendParts(client, { where, ...to }))
    progress(sum.rows)
    return sum
  }
  const sent = await copy({ ...rows, paths: request.paths }, request.progress)
  const sentKeys = await copy({ ...keys, paths: request.keyPaths }, () => {})
  if (sent.rows !== request.rows || sentKeys.rows !== request.keys)
    throw new EngineError(
      'STAGING_CORRUPT',
      `${means.where}: ${sent.rows} and ${counted(sentKeys.rows, 'row')} staged instead of ${request.rows} and ${request.keys}`,
    )
  return sent
}

const columnsOfKeys = (load: StagedLoad) => keyColumns(load).map(name => columnNamed(load.columns, name)!)

/** Parts that one COPY takes at most: its beginning and end cost as much as some ten thousand rows, and progress is told at its end. */
const MOST_PARTS = 16
/** Parts that wait for a COPY while more of them are read. */
const LEAST_PARTS = 4

/** Parquet parts on their way into a table of ours. */
interface Copy {
  /** Quoted and qualified. */
  table: string
  columns: Column[]
  paths: string[]
  /** As in {@link StageInput}. */
  asSent?: boolean
}

interface CopyMeans extends Pick<StageRequest, 'lanes' | 'offload' | 'progress'> {
  /** For messages: `warehouse.dim_members`. */
  where: string
}

/** Copies parts into a table, lanes side by side; the sum of the rows sent. The first part that fails stops them all. */
export function copyParts(
  access: Access,
  copy: Copy,
  means: CopyMeans,
  signal: AbortSignal,
): Promise<RowSum> {
  const queue = new CopyQueue(access, copy, means, signal)
  queue.add(copy.paths)
  return queue.end()
}

/** Parts on their way into a table, of which more may come until {@link end}. */
export class CopyQueue {
  private readonly access: Access
  private readonly copy: Omit<Copy, 'paths'>
  private readonly means: CopyMeans
  private readonly signal: AbortSignal
  /** Those that are stopped end their threads, and with them their connections. */
  private readonly failed = new AbortController()
  private readonly waiting: string[] = []
  private readonly running = new Set<Promise<void>>()
  private readonly failures: Error[] = []
  private sent: RowSum | undefined
  /** Parts that a COPY takes, once all are known. */
  private size: number | undefined

  constructor(access: Access, copy: Omit<Copy, 'paths'>, means: CopyMeans, signal: AbortSignal) {
    this.access = access
    this.copy = copy
    this.means = means
    this.signal = signal
  }

  /** One lane begins with them: others read meanwhile. */
  add(paths: string[]): void {
    this.waiting.push(...paths)
    this.start()
  }

  /** All lanes copy what is left; the sum of all rows sent. The first part that fails stops the others. */
  async end(): Promise<RowSum> {
    const { lanes, where } = this.means
    const rounds = Math.ceil(this.waiting.length / (lanes * MOST_PARTS))
    this.size = Math.ceil(this.waiting.length / (lanes * Math.max(1, rounds)))
    this.start()
    while (this.running.size > 0) await Promise.all(this.running)
    if (this.signal.aborted) throw new EngineError('INTERRUPTED', `${where}: interrupted`)
    const { failures } = this
    if (failures.length > 0) throw failures.find(failure => failure instanceof EngineError) ?? failures[0]
    return this.sent ?? NO_ROWS
  }

  /** Stops what is under way. */
  async cancel(): Promise<void> {
    this.waiting.length = 0
    this.failed.abort()
    await Promise.all(this.running)
  }

  private start(): void {
    const { size, waiting, running } = this
    const [lanes, least, most] =
      size === undefined ? [1, LEAST_PARTS, MOST_PARTS] : [this.means.lanes, 1, size]
    while (!this.failed.signal.aborted && running.size < lanes && waiting.length >= least) {
      const one = this.send(waiting.splice(0, most)).finally(() => {
        running.delete(one)
        this.start()
      })
      running.add(one)
    }
  }

  private async send(paths: string[]): Promise<void> {
    const { offload, progress, where } = this.means
    const input: StageInput = { access: this.access, where, ...this.copy, paths }
    const either = AbortSignal.any([this.signal, this.failed.signal])
    try {
      const sum = await offload<RowSum>(moduleBeside(import.meta.url, 'stage'), 'stageParts', input, either)
      this.sent = this.sent ? addSums(this.sent, sum) : sum
      progress(sum.rows)
    } catch (error) {
      this.failures.push(error as Error)
      this.failed.abort()
    }
  }
}
