import { MessageChannel } from 'node:worker_threads'
import type { ChangeCounts, ChangeRequest, ChangesRead } from '../contracts/changes.ts'
import type { LaneDescriptor } from '../contracts/source.ts'
import type { Part } from '../contracts/staging.ts'
import { taskName } from '../contracts/taskName.ts'
import { EngineError, errorFrom } from '../errors.ts'
import type { LogCursor, PlannedRead } from '../plan/plan.ts'
import { storedAnew } from '../plan/stored.ts'
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

/** Reads a connection's log once for all these tables, and makes a night of each. */
export async function readLog(
  context: RunContext,
  connection: string,
  reads: PlannedRead[],
): Promise<Extracted[]> {
  const { progress, sources } = context
  const log = sources.get(connection)!.changeLog!
  const { reader, until } = reads[0]!.changes!
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
  const { result, parts } = await readInThread(context, log.reading, request)
  const extracted: Extracted[] = []
  for (const [index, read] of reads.entries()) {
    const counts = result.counts[index]!
    const before = (read.cursor as LogCursor).stored
    const [anew] = counts.truncates === 0 ? storedAnew(before, read.changes!.stored, true) : []
    if (anew)
      throw new EngineError('LOG_LOST', `${read.where}: ${anew}: changes of it may be lost`, {
        hint: 'Read the table anew: nightfreight run JOB --full-refresh.',
      })
    const night = await compactChanges(context, read, parts[index]!, counts)
    progress.note(`${read.where}: ${countsText(counts)}, to ${result.position}`)
    progress.finished(taskName('extract', read.extract), `changes to ${result.position}`)
    const { stored } = read.changes!
    const cursor: LogCursor = { position: result.position, number: night.number, ...(stored && { stored }) }
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

const countsText = ({ inserts, updates, deletes, truncates, transactions }: ChangeCounts) =>
  `${inserts} inserts, ${updates} updates, ${deletes} deletes${truncates > 0 ? `, ${truncates} truncates` : ''} of ${transactions} transactions`

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
