import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { MessageChannel } from 'node:worker_threads'
import type { ChangeCounts, ChangeRequest, ChangesRead } from '../contracts/changes.ts'
import type { LaneDescriptor, LogPosition, Stored } from '../contracts/source.ts'
import type { Part } from '../contracts/staging.ts'
import { taskName } from '../contracts/taskName.ts'
import { EngineError, errorFrom } from '../errors.ts'
import type { LogCursor, PlannedRead } from '../plan/plan.ts'
import { storedAnew } from '../plan/stored.ts'
import { counted } from '../plural.ts'
import { moduleBeside } from '../pool/entry.ts'
import { ownFile, type RunContext } from '../runtime/context.ts'
import { rowsIn } from '../staging/store.ts'
import { compactChanges, tableColumns, tableKey } from './changes.ts'
import type { ChangeInput, ChangeMessage } from './changeWorker.ts'
import type { Extracted } from './extracted.ts'
import { cancelledBy, threadEnded } from './laneHandle.ts'

/** What one table's batch is cut to at the least, however many tables share the memory. */
const LEAST_BATCH_BYTES = 1 << 20
const LEAST_BATCH_ROWS = 1000

/** Tables that are stored anew since their cursors' positions, and whose logs do not tell why: their rows must be compared. */
export class Untold extends Error {
  readonly reads: PlannedRead[]

  constructor(reads: PlannedRead[]) {
    super('stored anew')
    this.reads = reads
  }
}

/** Reads a connection's log once for all these tables, up to `until`, and makes a night of each. Fails with {@link Untold}. */
export async function readLog(
  context: RunContext,
  connection: string,
  reads: PlannedRead[],
  until: LogPosition,
): Promise<Extracted[]> {
  const { progress } = context
  const { reader } = reads[0]!.changes!
  const { result, parts } = await passLog(context, connection, reader, reads, until)
  const untold = reads.filter(
    ({ changes, cursor }, index) =>
      !changes!.reconcile && untoldOf(cursor as LogCursor, result.counts[index]!, changes!.stored),
  )
  if (untold.length > 0) {
    for (const { file } of parts.flat()) rmSync(join(context.root, file))
    throw new Untold(untold)
  }
  const [place] = result.position.split(' ')
  const extracted: Extracted[] = []
  for (const [index, read] of reads.entries()) {
    const counts = result.counts[index]!
    const { stored } = read.changes!
    const night = await compactChanges(context, read, parts[index]!, counts)
    progress.note(`${read.where}: ${countsText(counts)}, to ${place}`)
    progress.finished(taskName('extract', read.extract), `changes to ${place}`)
    const { whole } = read.cursor as LogCursor
    const cursor: LogCursor = {
      position: result.position,
      number: night.number,
      ...(night.at !== undefined && { at: night.at }),
      ...(stored && { stored }),
      ...(whole !== undefined && { whole }),
    }
    const { gone } = night
    extracted.push({
      extract: read.extract,
      parts: night.parts,
      rows: rowsIn(night.parts),
      ...(gone.length > 0 && { gone }),
      watermark: result.position,
      cursor,
      changes: counts,
    })
  }
  return extracted
}

/** Stages the log of tables from their cursors' positions on. */
export function passLog(
  context: RunContext,
  connection: string,
  reader: string,
  reads: PlannedRead[],
  until: LogPosition,
): Promise<{ result: ChangesRead; parts: Part[][] }> {
  const { progress, sources } = context
  for (const { extract } of reads) progress.started(taskName('extract', extract))
  const request: ChangeRequest = {
    reader,
    until,
    reads: reads.map(read => {
      const { extract, where, options, limits, cursor } = read
      const { position, number } = cursor as LogCursor
      const own = {
        ...limits,
        bytes: Math.max(LEAST_BATCH_BYTES, Math.floor(limits.bytes / reads.length)),
        rows: Math.max(LEAST_BATCH_ROWS, Math.floor(limits.rows / reads.length)),
      }
      const columns = tableColumns(read)
      const key = tableKey(read)
      return { extract, where, columns, key, options, limits: own, from: position, changes: number }
    }),
  }
  return readInThread(context, sources.get(connection)!.changeLog!.reading, request)
}

/** How tables are stored now; undefined where the log tells all of it. */
export async function storedNow(
  { sources, spec, signal }: RunContext,
  connection: string,
  reads: PlannedRead[],
): Promise<Record<string, Stored> | undefined> {
  const log = sources.get(connection)!.changeLog!
  const tables = reads.map(({ extract, cursor }) => ({
    spec: spec.extracts.find(({ name }) => name === extract)!,
    from: (cursor as LogCursor).position,
  }))
  return log.stored?.(reads[0]!.changes!.reader, tables, signal)
}

/** How a table is stored anew since its cursor's position, where its log does not tell that it was emptied, and that last. */
const untoldOf = ({ stored }: LogCursor, { emptiedBy }: ChangeCounts, now: Stored | undefined) =>
  storedAnew(stored, now, transaction => transaction === emptiedBy)[0]

/** Fails with LOG_LOST where a table is stored anew since its cursor's position, and the log does not tell why. */
export function toldAnew(read: PlannedRead, counts: ChangeCounts, now: Stored | undefined): void {
  const anew = untoldOf(read.cursor as LogCursor, counts, now)
  if (anew)
    throw new EngineError('LOG_LOST', `${read.where}: ${anew}: changes of it may be lost`, {
      hint: 'Read the table anew: nightfreight run JOB --full-refresh.',
    })
}

const countsText = ({ inserts, updates, deletes, truncates, transactions }: ChangeCounts) =>
  `${counted(inserts, 'insert')}, ${counted(updates, 'update')}, ${counted(deletes, 'delete')}${truncates > 0 ? `, ${counted(truncates, 'truncate')}` : ''} of ${counted(transactions, 'transaction')}`

async function readInThread(
  context: RunContext,
  descriptor: LaneDescriptor,
  request: ChangeRequest,
): Promise<{ result: ChangesRead; parts: Part[][] }> {
  const { workers, root, progress, signal } = context
  const { port1, port2 } = new MessageChannel()
  const stems = request.reads.map(({ extract }) => ownFile(context, `raw/${extract}/log`))
  const input: ChangeInput = { port: port2, descriptor, root, request, stems }
  const thread = new AbortController()
  const { promise, resolve, reject } = Promise.withResolvers<{ result: ChangesRead; parts: Part[][] }>()
  port1.on('message', (message: ChangeMessage) => {
    if (message.kind === 'rows')
      progress.advanced(taskName('extract', request.reads[message.read]!.extract), message.rows)
    else if (message.kind === 'note') progress.note(message.text)
    else if (message.kind === 'failed') reject(errorFrom(message.error))
    else resolve(message)
  })
  const ended = workers
    .occupy(moduleBeside(import.meta.url, 'changeWorker'), input, [port2], thread.signal)
    .catch(error => reject(threadEnded(error)))
  const kill = () => thread.abort()
  return cancelledBy(signal, port1, kill, () => promise.finally(() => ended)).finally(() => port1.close())
}
