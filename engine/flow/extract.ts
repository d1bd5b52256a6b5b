import type { LaneHandle } from '../pool/pool.ts'
import type { Part, Range, Snapshot } from '../ports.ts'
import { quote, quoteName } from '../sql/duckdb.ts'
import { partsOf } from '../staging/image.ts'
import { filesSql } from '../staging/read.ts'
import type { Branches } from './branches.ts'
import { ChunkSize } from './chunkSize.ts'
import { Crew } from './crew.ts'
import { allSettled, drive } from './drive.ts'
import { goneKeys, keysRead } from './goneKeys.ts'
import { once } from './once.ts'
import type { Plan, PlannedRead } from './plan.ts'
import { forgetProgress, Progress } from './progress.ts'
import { Share } from './share.ts'
import { runFolder, type World } from './world.ts'

/** What one extract left in staging. */
export interface Extracted {
  extract: string
  parts: Part[]
  rows: number
  /** Keys of rows of earlier nights that the source has no more, where the job asks for them. */
  gone?: Part[]
  /** Highest value of the incremental column, of this night or an earlier one; DuckDB's text. */
  watermark: string | null
  /** How consistent the view was, where it was less than one snapshot. */
  note?: string
  /** Of an accumulating source: all that has been read of it, this run included. */
  account?: unknown
}

/**
 * Reads every extract; those of one connection together, in one snapshot, so they are one task: what was read of it
 * cannot be added to in another snapshot.
 */
export async function extract(world: World, plan: Plan, branches: Branches): Promise<Extracted[]> {
  const groups = Map.groupBy(plan.reads, read => read.from)
  const waiting = [...groups]
  const results: Extracted[] = []
  const next = async (): Promise<void> => {
    for (let group = waiting.shift(); group; group = waiting.shift()) {
      const [connection, reads] = group
      const tables = reads.map(({ extract }) => extract)
      const read = async () => {
        const task = `extract.${connection}`
        // What is committed takes nobody's room.
        const free = (await world.ledger.output(task)) ? undefined : await world.room(tables)
        try {
          return await once(world, task, own => readGroup(own, connection, reads), filesOf)
        } finally {
          await free?.()
        }
      }
      const done = await branches.attempt(tables, [], read)
      if (!done) continue
      for (const table of tables) await forgetProgress(world, table)
      results.push(...done)
    }
  }
  await allSettled(Array.from({ length: world.spec.parallelism.maxParallelExtracts }, next))
  return plan.reads.flatMap(read => results.filter(result => result.extract === read.extract))
}

const filesOf = (read: Extracted[]) => read.flatMap(one => partsOf(one))

async function readGroup(world: World, connection: string, all: PlannedRead[]): Promise<Extracted[]> {
  const { workers, observer, root } = world
  const reads = all.filter(read => !read.reused)
  const reused = all
    .filter(read => read.reused)
    .map(({ extract, base }): Extracted => ({ extract, parts: [], rows: 0, watermark: base!.value }))
  if (reads.length === 0) return reused
  const snapshot = await world.sources.get(connection)!.open(world.spec.resources.threads, world.signal)
  let crew: Crew<LaneHandle> | undefined
  try {
    const openLane = () => workers.lane(snapshot.ticket, root)
    crew = await Crew.open(connection, snapshot, openLane, text => observer.note(text))
    const results: Extracted[] = []
    for (const read of reads) results.push(await readTable(world, snapshot, crew, read))
    return [...results, ...reused]
  } finally {
    await crew?.close()
    await snapshot.close()
  }
}

async function readTable(
  world: World,
  snapshot: Snapshot,
  crew: Crew<LaneHandle>,
  read: PlannedRead,
): Promise<Extracted> {
  const { observer } = world
  const parts = await readParts(world, snapshot, crew, read)
  const keys = keysRead(read)
  const gone = keys && (await goneKeys(world, read, parts, await readParts(world, snapshot, crew, keys)))
  if (gone) observer.finished(`extract.${keys.extract}`, `all keys, ${sum(gone, 'rows')} gone`)
  const { account, notes = [] } = (await snapshot.account?.(read)) ?? {}
  for (const note of notes) observer.note(`${read.where}: ${note}`)
  const span = read.since ? `since ${read.since.value}` : read.accumulates ? 'what is new' : 'whole table'
  observer.finished(`extract.${read.extract}`, span)
  return {
    extract: read.extract,
    parts,
    rows: sum(parts, 'rows'),
    ...(gone && { gone }),
    watermark: await watermark(world, read, parts),
    note: snapshot.note,
    account,
  }
}

/** Reads what a read is of, into a folder of its name among the run's raw data. */
async function readParts(
  world: World,
  snapshot: Snapshot,
  crew: Crew<LaneHandle>,
  read: PlannedRead,
): Promise<Part[]> {
  const { observer } = world
  const task = `extract.${read.extract}`
  const progress = snapshot.sequential ? await Progress.open(world, read) : undefined
  const earlier = progress?.parts ?? []
  const ranges = progress?.rest ?? (await snapshot.ranges(read))
  if (earlier.length > 0)
    observer.note(
      `${read.where}: goes on after ${sum(earlier, 'rows')} rows${ranges[0] ? `, at ${ranges[0].label}` : ''}`,
    )
  observer.started(task, read.since ? undefined : read.rows)
  const { defaultChunkSize: least, maxChunkSize: most } = world.spec.chunking
  const bytesPerRow = read.rows && read.bytes ? read.bytes / read.rows : undefined
  const size = new ChunkSize({ least, most, batch: read.limits.bytes, bytesPerRow })
  // Below half a chunk, a split saves less time than it takes.
  const share = new Share<Part[]>(ranges, least / 2)
  let chunks = progress?.chunks ?? 0
  const done = { extract: read.extract, chunks, rows: sum(earlier, 'rows'), bytes: sum(earlier, 'bytes') }
  const readChunk = async (lane: LaneHandle, range: Range) => {
    const limit = size.next(share.remaining + (range.rows ?? 0), crew.lanes.size)
    let seen = 0
    const advanced = (rows: number) => {
      seen += rows
      observer.advanced(task, rows)
    }
    try {
      // Every attempt has a number of its own, so that nothing a failed one left can be taken for another's.
      const { parts, rest } = await lane.read(request(world, read, range, limit, chunks++), advanced)
      await progress?.keep(parts, rest, chunks)
      size.saw(sum(parts, 'rows'), sum(parts, 'bytes'))
      done.rows += sum(parts, 'rows')
      done.bytes += sum(parts, 'bytes')
      done.chunks++
      await world.ledger.progress(`extract.${read.from}`, { ...done, range: range.label })
      return { result: parts, rest }
    } catch (error) {
      observer.advanced(task, -seen)
      throw error
    }
  }
  const work = { split: (range: Range) => snapshot.split(read, range), read: readChunk }
  await drive(share, crew, work, world.signal)
  await snapshot.check()
  return [...earlier, ...share.results.flat()]
}

const sum = (parts: Part[], what: 'rows' | 'bytes') => parts.reduce((total, part) => total + part[what], 0)

function request(world: World, read: PlannedRead, range: Range, limit: number, number: number) {
  const own = world.fence > 1 ? `${world.fence}-` : ''
  const stem = `part-${own}${String(number).padStart(5, '0')}`
  // What the plan knows beyond a Read stays here: an image lists every part of many nights.
  const { extract, where, columns, key, since, options, limits } = read
  return {
    read: { extract, where, columns, key, since, options, limits },
    range,
    limit,
    folder: `${runFolder(world)}/raw/${extract}`,
    stem,
  }
}

async function watermark(world: World, read: PlannedRead, parts: Part[]): Promise<string | null> {
  if (!read.incremental) return null
  const base = read.base?.value ?? null
  if (parts.length === 0) return base
  const column = quoteName(read.incremental.column)
  const earlier = base === null ? '' : `, ${quote(base)}`
  const [row] = await world.duck.rows(
    `SELECT greatest(max(${column})${earlier})::VARCHAR AS high FROM ${filesSql(world.root, parts)}`,
  )
  return row!.high === null ? null : String(row!.high)
}
