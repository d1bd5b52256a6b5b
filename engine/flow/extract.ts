import type { LaneHandle } from '../pool/pool.ts'
import type { Chunk, Part, Snapshot } from '../ports.ts'
import { quote, quoteName } from '../sql/duckdb.ts'
import { pathsOf } from '../staging/store.ts'
import type { Plan, PlannedRead } from './plan.ts'
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
  /** Of an accumulating source: all that has been read of it, this run included. */
  account?: unknown
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
  const snapshot = await world.sources.get(connection)!.open(world.spec.resources.threads, world.signal)
  let lanes: LaneHandle[] = []
  try {
    const opening = Array.from({ length: snapshot.lanes }, () =>
      world.workers.lane(snapshot.ticket, world.root),
    )
    lanes = await Promise.all(opening)
    await snapshot.joined()
    const results: Extracted[] = []
    for (const read of reads) results.push(await readTable(world, snapshot, lanes, read))
    return results
  } finally {
    await Promise.all(lanes.map(lane => lane.close()))
    await snapshot.close()
  }
}

async function readTable(world: World, snapshot: Snapshot, lanes: LaneHandle[], read: PlannedRead) {
  const task = `extract.${read.extract}`
  const chunks = await snapshot.chunks(read)
  world.observer.started(task, read.since ? undefined : read.rows)
  const parts: Part[][] = []
  const queue = chunks.map((chunk, index) => ({ chunk, index }))
  const drain = async (lane: LaneHandle): Promise<void> => {
    for (let item = queue.shift(); item; item = queue.shift()) {
      world.signal.throwIfAborted()
      parts[item.index] = await lane.read(request(world, read, item.chunk, item.index), rows =>
        world.observer.advanced(task, rows),
      )
    }
  }
  await allSettled(lanes.map(drain))
  const all = parts.flat()
  const rows = all.reduce((sum, part) => sum + part.rows, 0)
  const { account, notes = [] } = (await snapshot.account?.(read)) ?? {}
  for (const note of notes) world.observer.note(`${read.where}: ${note}`)
  world.observer.finished(
    task,
    read.since ? `since ${read.since.value}` : read.accumulates ? 'what is new' : 'whole table',
  )
  return {
    extract: read.extract,
    parts: all,
    rows,
    watermark: await watermark(world, read, all),
    note: snapshot.note,
    account,
  }
}

function request(world: World, read: PlannedRead, chunk: Chunk, index: number) {
  const stem = `part-${String(index).padStart(5, '0')}`
  // What the plan knows beyond a Read stays here: an image lists every part of many nights.
  const { extract, where, columns, key, since, options, limits } = read
  return {
    read: { extract, where, columns, key, since, options, limits },
    chunk,
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
