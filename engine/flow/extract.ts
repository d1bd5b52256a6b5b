import type { LaneHandle } from '../pool/pool.ts'
import type { Part, Range, Snapshot } from '../ports.ts'
import { quote, quoteName } from '../sql/duckdb.ts'
import { pathsOf } from '../staging/store.ts'
import { ChunkSize } from './chunkSize.ts'
import { Crew, isPassing } from './crew.ts'
import type { Plan, PlannedRead } from './plan.ts'
import { Share } from './share.ts'
import { once, runFolder, type World } from './world.ts'

/** What one extract left in staging. */
export interface Extracted {
  extract: string
  parts: Part[]
  rows: number
  /** Highest value of the incremental column, of this night or an earlier one; DuckDB's text. */
  watermark: string | null
  /** How consistent the view was, where it was less than one snapshot. */
  note?: string
}

/** Reads every extract; those of one connection together, in one snapshot. */
export async function extract(world: World, plan: Plan): Promise<Extracted[]> {
  const groups = Map.groupBy(plan.reads, read => read.from)
  const waiting = [...groups]
  const results: Extracted[] = []
  const next = async (): Promise<void> => {
    for (let group = waiting.shift(); group; group = waiting.shift()) {
      const [connection, reads] = group
      results.push(...(await once(world, `extract.${connection}`, () => readGroup(world, connection, reads))))
    }
  }
  await allSettled(Array.from({ length: world.spec.parallelism.maxParallelExtracts }, next))
  return plan.reads.map(read => results.find(result => result.extract === read.extract)!)
}

async function readGroup(world: World, connection: string, reads: PlannedRead[]): Promise<Extracted[]> {
  const { workers, observer, root } = world
  const snapshot = await world.sources.get(connection)!.open(world.spec.resources.threads, world.signal)
  let crew: Crew<LaneHandle> | undefined
  try {
    const openLane = () => workers.lane(snapshot.ticket, root)
    crew = await Crew.open(connection, snapshot, openLane, text => observer.note(text))
    const results: Extracted[] = []
    for (const read of reads) results.push(await readTable(world, snapshot, crew, read))
    return results
  } finally {
    await crew?.close()
    await snapshot.close()
  }
}

async function readTable(world: World, snapshot: Snapshot, crew: Crew<LaneHandle>, read: PlannedRead) {
  const task = `extract.${read.extract}`
  const ranges = await snapshot.ranges(read)
  world.observer.started(task, read.since ? undefined : read.rows)
  const parts = (await readRanges(world, snapshot, crew, read, ranges)).flat()
  await snapshot.check()
  const rows = parts.reduce((sum, part) => sum + part.rows, 0)
  world.observer.finished(task, read.since ? `since ${read.since.value}` : 'whole table')
  return {
    extract: read.extract,
    parts,
    rows,
    watermark: await watermark(world, read, parts),
    note: snapshot.note,
  }
}

/** Reads that a chunk may fail before the extract does. */
const ATTEMPTS = 3

/** Reads all ranges with all lanes; the parts of each chunk, in the table's order. */
async function readRanges(
  world: World,
  snapshot: Snapshot,
  crew: Crew<LaneHandle>,
  read: PlannedRead,
  ranges: Range[],
): Promise<Part[][]> {
  const { defaultChunkSize: least, maxChunkSize: most } = world.spec.chunking
  const share = new Share<Part[]>(ranges, least / 2)
  const bytesPerRow = read.rows && read.bytes ? read.bytes / read.rows : undefined
  const size = new ChunkSize({ least, most, batch: read.limits.bytes, bytesPerRow })
  let changed = Promise.withResolvers<void>()
  const tell = () => {
    changed.resolve()
    changed = Promise.withResolvers()
  }
  let chunks = 0
  let broken = false
  const work = async (first: LaneHandle): Promise<void> => {
    let lane: LaneHandle | undefined = first
    while (lane && !broken) {
      world.signal.throwIfAborted()
      const step = share.next(crew.lanes.size)
      if (step.kind === 'done') return
      if (step.kind === 'wait') {
        await changed.promise
        continue
      }
      const { piece } = step
      if (step.kind === 'split') {
        share.split(piece, await snapshot.split(read, piece.range))
        tell()
        continue
      }
      // Every attempt has a number of its own, so that nothing a failed one left can be taken for another's.
      const limit = size.next(share.remaining + (piece.range.rows ?? 0), crew.lanes.size)
      const asked = request(world, read, piece.range, limit, chunks++)
      let counted = 0
      const progress = (rows: number) => {
        counted += rows
        world.observer.advanced(`extract.${read.extract}`, rows)
      }
      try {
        const { parts, rest } = await lane.read(asked, progress)
        size.saw(
          parts.reduce((sum, part) => sum + part.rows, 0),
          parts.reduce((sum, part) => sum + part.bytes, 0),
        )
        share.read(piece, parts, rest)
        tell()
      } catch (error) {
        if (!isPassing(error) || piece.failures + 1 === ATTEMPTS) throw error
        world.observer.advanced(`extract.${read.extract}`, -counted)
        share.failed(piece)
        tell()
        lane = await crew.replace(lane, error)
      }
    }
  }
  const guarded = async (lane: LaneHandle) => {
    try {
      await work(lane)
    } catch (error) {
      broken = true
      throw error
    } finally {
      tell()
    }
  }
  await allSettled([...crew.lanes].map(guarded))
  return share.results
}

function request(world: World, read: PlannedRead, range: Range, limit: number, number: number) {
  const stem = `part-${String(number).padStart(5, '0')}`
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
  const paths = pathsOf(world.root, parts).map(quote).join(', ')
  const earlier = base === null ? '' : `, ${quote(base)}`
  const [row] = await world.duck.rows(
    `SELECT greatest(max(${column})${earlier})::VARCHAR AS high FROM read_parquet([${paths}])`,
  )
  return row!.high === null ? null : String(row!.high)
}

// The first failure stops the rest at their next step, but is thrown only when none of them is running any more.
async function allSettled(running: Promise<void>[]): Promise<void> {
  const outcomes = await Promise.allSettled(running)
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
}
