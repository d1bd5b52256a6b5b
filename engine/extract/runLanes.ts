import type { Range } from '../contracts/source.ts'
import { isTransient, type LanePool } from './lanePool.ts'
import type { RangeQueue, RangeTask } from './rangeQueue.ts'

/** Times that a piece may be lost before the read fails. */
const ATTEMPTS = 3

/** What the lanes of a pool do for a {@link RangeQueue}. */
export interface Work<Lane, Result> {
  split(range: Range): Promise<[Range, Range] | undefined>
  /** Reads one chunk from the start of a range. */
  read(lane: Lane, range: Range): Promise<{ result: Result; rest: Range | undefined }>
  /** Called once the queue knows of the chunk. */
  keep?(): Promise<void>
}

/**
 * Keeps the lanes of a pool at work until all is read. A chunk that is lost with its connection is read again, by a
 * new lane or by another; any other failure stops all lanes after their chunk, and is thrown when they stand still.
 */
export async function runLanes<Lane extends { close(): Promise<void> }, Result>(
  share: RangeQueue<Result>,
  pool: LanePool<Lane>,
  work: Work<Lane, Result>,
  signal: AbortSignal,
): Promise<void> {
  let failed = false
  let changed = Promise.withResolvers<void>()
  const tell = () => {
    changed.resolve()
    changed = Promise.withResolvers()
  }

  /** One chunk; gives the lane to go on with. */
  async function readPiece(lane: Lane, piece: RangeTask<Result>): Promise<Lane | undefined> {
    let read: Awaited<ReturnType<typeof work.read>>
    try {
      read = await work.read(lane, piece.range)
    } catch (error) {
      if (signal.aborted || !isTransient(error) || piece.failures + 1 === ATTEMPTS) throw error
      share.failed(piece)
      tell()
      return pool.replace(lane, error)
    }
    share.read(piece, read.result, read.rest)
    tell()
    // Where this fails, the read does: a chunk that was read is not read again.
    await work.keep?.()
    return lane
  }

  async function run(first: Lane): Promise<void> {
    let lane: Lane | undefined = first
    while (lane && !failed) {
      signal.throwIfAborted()
      const step = share.next(pool.lanes.size)
      if (step.kind === 'done') return
      if (step.kind === 'wait') await changed.promise
      else if (step.kind === 'read') lane = await readPiece(lane, step.piece)
      else {
        share.split(step.piece, await work.split(step.piece.range))
        tell()
      }
    }
  }

  await allSettled(
    [...pool.lanes].map(async lane => {
      try {
        await run(lane)
      } catch (error) {
        failed = true
        throw error
      } finally {
        tell()
      }
    }),
  )
}

/** Waits until none is running any more, and throws the first failure then. */
export async function allSettled(running: Promise<void>[]): Promise<void> {
  const outcomes = await Promise.allSettled(running)
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
}
