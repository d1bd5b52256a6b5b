import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { LogPosition, Range, Snapshot } from '../contracts/source.ts'
import type { Part } from '../contracts/staging.ts'
import { taskName } from '../contracts/taskName.ts'
import { EngineError, errorFrom, plainError } from '../errors.ts'
import type { Plan, PlannedRead } from '../plan/plan.ts'
import { counted } from '../plural.ts'
import { type RunContext, runFolder } from '../runtime/context.ts'
import type { FailureScope } from '../runtime/failureScope.ts'
import { lanesTo } from '../runtime/lanes.ts'
import { isLeftOut } from '../runtime/leftOut.ts'
import { isOurs, oursFirst, runTask } from '../runtime/task.ts'
import { partsOf } from '../staging/image.ts'
import { atPosition, type TableRead, Unmended } from './atPosition.ts'
import { tableColumns } from './changes.ts'
import { ChunkSize } from './chunkSize.ts'

import type { Extracted } from './extracted.ts'
import { foldNights } from './foldNights.ts'
import { fallsShort, highest } from './highest.ts'
import { type LaneHandle, type LaneProgress, openLane } from './laneHandle.ts'

import { isTransient, LanePool } from './lanePool.ts'
import { forgetProgress, Progress } from './progress.ts'
import { RangeQueue } from './rangeQueue.ts'
import { readLog, Untold } from './readLog.ts'
import { reconcile } from './reconcile.ts'
import { allSettled, runLanes } from './runLanes.ts'
import { compareKeys, keysRead } from './unseenKeys.ts'

/**
 * Reads every extract; those of one connection together, in one snapshot, so they are one task: what was read of it
 * cannot be added to in another snapshot.
 */
export async function extract(context: RunContext, plan: Plan, failures: FailureScope): Promise<Extracted[]> {
  const groups = Map.groupBy(plan.reads, read => read.from)
  const waiting = oursFirst(context, [...groups], ([connection]) => taskName('extract', connection))
  const results: Extracted[] = []
  const next = async (): Promise<void> => {
    for (let group = waiting.shift(); group; group = waiting.shift()) {
      const [connection, reads] = group
      const tables = reads.map(({ extract }) => extract)
      const read = async () => {
        const task = taskName('extract', connection)
        // What is committed takes no slot.
        const isDone = (await context.tasks.output(task)) !== undefined
        const free = isDone || !isOurs(context, task) ? undefined : await context.acquireSlots(tables)
        try {
          return await runTask(context, task, own => readAll(own, connection, reads), filesOf)
        } finally {
          await free?.()
        }
      }
      const done = await failures.attempt(tables, [], read)
      if (!done) continue
      for (const table of tables) await forgetProgress(context, table)
      for (const { extract, failed } of done)
        if (failed) failures.lose([extract], errorFrom(failed) as EngineError)
      results.push(...done.filter(({ failed }) => !failed))
    }
  }
  await allSettled(Array.from({ length: context.spec.parallelism.maxParallelExtracts }, next))
  return plan.reads.flatMap(read => results.filter(result => result.extract === read.extract))
}

const filesOf = (read: Extracted[]) =>
  read.flatMap(({ folded = [], ...one }) => [one, ...folded].flatMap(each => partsOf(each)))

/** A read that failed, where the run may go on without it. */
class FailedRead extends Error {
  readonly extract: string
  override readonly cause: EngineError

  constructor(extract: string, cause: EngineError) {
    super(cause.message)
    this.extract = extract
    this.cause = cause
  }
}

/** Reads a group; without those that fail and may be left out, all others are read again, for their view to be one. */
async function readAll(context: RunContext, connection: string, all: PlannedRead[]): Promise<Extracted[]> {
  const failed: Extracted[] = []
  for (;;) {
    const reads = all.filter(read => !failed.some(({ extract }) => extract === read.extract))
    try {
      return [...(await readGroup(context, connection, reads)), ...failed]
    } catch (error) {
      if (!(error instanceof FailedRead)) throw error
      const { extract, cause } = error
      failed.push({ extract, parts: [], rows: 0, watermark: null, failed: plainError(cause) })
      if (reads.length > 1)
        context.progress.note(`${connection}: the other tables are read again, without ${extract}`)
    }
  }
}

/** The tables of a connection; those whose logs do not tell all are compared with what they are. */
async function readGroup(
  context: RunContext,
  connection: string,
  reads: PlannedRead[],
): Promise<Extracted[]> {
  try {
    return await readTold(context, connection, reads)
  } catch (error) {
    if (!(error instanceof Untold)) throw error
    const compared = reads.map(read => {
      if (!error.reads.includes(read)) return read
      context.progress.note(
        `${read.where}: reads the whole table and its log, and compares them, since its file was made anew, which its log does not tell`,
      )
      return { ...read, changes: { ...read.changes!, reconcile: true as const } }
    })
    return readTold(context, connection, compared)
  }
}

async function readTold(context: RunContext, connection: string, all: PlannedRead[]): Promise<Extracted[]> {
  const reads = all.filter(read => !read.reused)
  const reused = all
    .filter(read => read.reused)
    .map(({ extract, base }): Extracted => ({ extract, parts: [], rows: 0, watermark: base!.value }))
  const logged = reads.filter(({ changes, base }) => changes && base)
  const scanned = reads.filter(read => !logged.includes(read) || read.changes!.reconcile)
  const whole = scanned.length > 0 ? await readSnapshot(context, connection, scanned) : undefined
  const wholeOf = (extract: string) => whole?.tables.find(table => table.extract === extract)
  const found = scanned.filter(read => !logged.includes(read)).map(({ extract }) => wholeOf(extract)!)
  const [first] = logged
  // All tables of a night are as the log has them at one position.
  const until = whole?.position ?? first?.changes?.until
  const nights = until === undefined || !first ? [] : await readLog(context, connection, logged, until)
  for (const [index, night] of nights.entries()) {
    const all = wholeOf(night.extract)
    found.push(all ? await reconcile(context, logged[index]!, night, all) : night)
  }
  for (const read of reads) {
    const folded = await foldNights(context, read)
    if (folded) found.find(({ extract }) => extract === read.extract)!.folded = folded
  }
  return [...found, ...reused]
}

/** A view; `position`: where it is at one of the source's log. */
type LogSnapshot = Snapshot & { position?: LogPosition }

/** Reads tables in one view; where the log of some is read from then on, that view is at a position of it. */
async function readSnapshot(
  context: RunContext,
  connection: string,
  reads: PlannedRead[],
): Promise<{ tables: Extracted[]; position?: LogPosition }> {
  for (;;) {
    const { tables, position } = await readView(context, connection, reads)
    if (position === undefined) return { tables: tables.map(({ found }) => found) }
    try {
      return { tables: await atPosition(context, connection, reads, tables, position), position }
    } catch (error) {
      if (!(error instanceof Unmended)) throw error
      await readAnew(context, error.read, error.message)
    }
  }
}

async function readAnew(context: RunContext, { where, extract }: PlannedRead, why: string): Promise<void> {
  context.progress.note(`${where}: is read anew from its first row: ${why}`)
  await forgetProgress(context, extract)
}

async function readView(context: RunContext, connection: string, reads: PlannedRead[]) {
  const { workers, progress, root, signal } = context
  const lanes = lanesTo(context.spec, connection)
  const source = context.sources.get(connection)!
  const followed = reads.find(({ changes }) => changes)?.changes
  // Changes that rows of a later view have already would be told twice, or as missed.
  const exact = reads.some(({ changes }) => changes?.history || changes?.reconcile)
  const snapshot: LogSnapshot = await (followed
    ? source.changeLog!.open(followed.reader, lanes, signal, reads, exact)
    : source.open(lanes, signal, reads))
  let pool: LanePool<LaneHandle> | undefined
  try {
    const join = () => openLane(workers, snapshot.lane, root, context.signal)
    pool = await LanePool.open(connection, snapshot, join, text => progress.note(text))
    const tables: TableRead[] = []
    for (const read of reads) {
      const table = tableOf(read)
      const found = await readTable(context, snapshot, pool, table)
        .catch(async (error: unknown) => {
          if (!(error instanceof EngineError) || signal.aborted || isTransient(error)) throw error
          const kept = await progressOf(context, snapshot, table)
          if (!kept?.earlier) throw error
          // What is left may be of a partition that is gone.
          await readAnew(context, read, error.message)
          return readTable(context, snapshot, pool!, table)
        })
        .catch((error: unknown) => {
          const spec = context.spec.extracts.find(({ name }) => name === read.extract)!
          if (error instanceof EngineError && !signal.aborted && isLeftOut(spec, error))
            throw new FailedRead(read.extract, error)
          throw error
        })
      tables.push(found)
    }
    return { tables, position: snapshot.position }
  } finally {
    await pool?.close()
    await snapshot.close()
  }
}

/** A read as lanes know it: the columns that are the source's. */
const tableOf = (read: PlannedRead): PlannedRead =>
  read.changes ? { ...read, columns: tableColumns(read) } : read

/** What was kept of a read, where it can be gone on with: of a history, a row of a later view would be told again by its changes. */
async function progressOf(
  context: RunContext,
  { sequential, position }: LogSnapshot,
  read: PlannedRead,
): Promise<Progress | undefined> {
  const isMended = position !== undefined && read.changes && !read.changes.history
  return sequential || isMended ? Progress.open(context, read, isMended ? position : undefined) : undefined
}

async function readTable(
  context: RunContext,
  snapshot: LogSnapshot,
  pool: LanePool<LaneHandle>,
  read: PlannedRead,
): Promise<TableRead> {
  const { progress } = context
  const kept = await progressOf(context, snapshot, read)
  let parts = await readParts(context, snapshot, pool, read, kept)
  const keys = keysRead(read)
  const scanned =
    keys && (await compareKeys(context, read, parts, await readParts(context, snapshot, pool, keys)))
  if (scanned)
    progress.finished(taskName('extract', keys.extract), `all keys, ${sum(scanned.gone, 'rows')} gone`)
  // A source of pages may leave out the rows at the value itself.
  const isBehind = !snapshot.sequential && (await fallsShort(context, read, parts))
  if (isBehind || scanned?.unseen) {
    const { column, value } = read.since!
    const { rows, from } = isBehind ? { rows: 0, from: null } : scanned!.unseen!
    progress.note(
      isBehind
        ? `${read.where}: no row is there with a ${column} of ${read.base!.value} or above any more, as an earlier run read: rows were deleted, or the table is an older copy; all of it is read again`
        : `${read.where}: ${counted(rows, 'row')} that no night has read ${rows === 1 ? 'is' : 'are'} there, with a ${column} older than ${value}: all since ${from ?? 'the first row'} is read again`,
    )
    for (const { file } of parts) rmSync(join(context.root, file))
    const { since, ...whole } = read
    const again = from === null ? whole : { ...read, since: { ...read.since!, value: from } }
    parts = await readParts(context, snapshot, pool, again)
  }
  const isEmpty = isBehind && sum(parts, 'rows') === 0
  const emptied = `has no row: its watermark stays ${read.base?.value}, for the night that finds rows again`
  if (isEmpty) progress.note(`${read.where}: ${emptied}`)
  const { cursor, notes = [] } = (await snapshot.cursor?.(read)) ?? {}
  for (const note of notes) progress.note(`${read.where}: ${note}`)
  const span =
    read.since && !isBehind ? `since ${read.since.value}` : read.accumulates ? 'what is new' : 'whole table'
  progress.finished(taskName('extract', read.extract), span)
  const found: Extracted = {
    extract: read.extract,
    parts,
    rows: sum(parts, 'rows'),
    ...(scanned && scanned.gone.length > 0 && { gone: scanned.gone }),
    watermark:
      (await highest(
        context,
        isBehind ? { ...read, base: undefined } : read,
        parts,
        snapshot.sequential && kept,
      )) ??
      read.base?.value ??
      null,
    note: [snapshot.note, ...(isEmpty ? [emptied] : [])].filter(Boolean).join('; ') || undefined,
    cursor,
  }
  return { found, earlier: kept?.earlier }
}

/** Reads what a read is of, into a folder of its name among the run's raw data. */
async function readParts(
  context: RunContext,
  snapshot: Snapshot,
  pool: LanePool<LaneHandle>,
  read: PlannedRead,
  kept?: Progress,
): Promise<Part[]> {
  const { progress } = context
  const task = taskName('extract', read.extract)
  const earlier = kept?.parts ?? []
  const ranges = kept?.rest ?? (await snapshot.ranges(read))
  if (earlier.length > 0)
    progress.note(
      `${read.where}: goes on after ${counted(sum(earlier, 'rows'), 'row')}${ranges[0] ? `, at ${ranges[0].label}` : ''}`,
    )
  progress.started(task, read.since ? undefined : read.rows)
  const { defaultChunkSize: least, maxChunkSize: most } = context.spec.chunking
  const bytesPerRow = read.rows && read.bytes ? read.bytes / read.rows : undefined
  const size = new ChunkSize({ least, most, batch: read.limits.bytes, bytesPerRow })
  // Below half a chunk, a split saves less time than it takes.
  const share = new RangeQueue<Part[]>(ranges, least / 2)
  let chunks = kept?.chunks ?? 0
  const done = { extract: read.extract, chunks, rows: sum(earlier, 'rows'), bytes: sum(earlier, 'bytes') }
  const readChunk = async (lane: LaneHandle, range: Range) => {
    const limit = size.next(share.remaining + (range.rows ?? 0), pool.lanes.size)
    let seen = 0
    const notes: string[] = []
    const told = (message: LaneProgress) => {
      if (message.kind === 'note') return notes.push(message.text)
      seen += message.rows
      progress.advanced(task, message.rows)
    }
    try {
      // Every attempt has a number of its own, so that nothing a failed one left can be taken for another's.
      const { parts, rest } = await lane.read(
        request(context, read, range, limit, chunks++),
        told,
        context.signal,
      )
      for (const note of notes) progress.note(note)
      context.onParts?.(read.extract, parts)
      size.saw(sum(parts, 'rows'), sum(parts, 'bytes'))
      done.rows += sum(parts, 'rows')
      done.bytes += sum(parts, 'bytes')
      done.chunks++
      await context.tasks.progress(taskName('extract', read.from), { ...done, range: range.label })
      return { result: parts, rest }
    } catch (error) {
      progress.advanced(task, -seen)
      throw error
    }
  }
  const work = {
    split: (range: Range) => snapshot.split(read, range),
    read: readChunk,
    keep: async () => kept?.keep([...earlier, ...share.results.flat()], share.rest, chunks),
  }
  await runLanes(share, pool, work, context.signal)
  await snapshot.check()
  const parts = [...earlier, ...share.results.flat()]
  // Of a table that was at its end, its view is kept, too.
  if (share.results.length === 0) await kept?.keep(parts, [], chunks)
  return parts
}

const sum = (parts: Part[], what: 'rows' | 'bytes') => parts.reduce((total, part) => total + part[what], 0)

function request(context: RunContext, read: PlannedRead, range: Range, limit: number, number: number) {
  const own = context.fence > 1 ? `${context.fence}-` : ''
  const stem = `part-${own}${String(number).padStart(5, '0')}`
  // What the plan knows beyond a Read stays here: an image lists every part of many nights.
  const { extract, where, columns, key, sensitive, since, options, limits } = read
  return {
    read: { extract, where, columns, key, ...(sensitive && { sensitive }), since, options, limits },
    range,
    limit,
    folder: `${runFolder(context)}/raw/${extract}`,
    stem,
    kept: context.keptParts?.get(extract),
  }
}
