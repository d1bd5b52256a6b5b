import { setTimeout as delay } from 'node:timers/promises'
import type { Snapshot } from '../contracts/source.ts'
import { EngineError, type ErrorCode } from '../errors.ts'
import { counted } from '../plural.ts'

/** Failures of one connection that say nothing of the others: what was lost can be read again by another lane. */
const PASSING: readonly ErrorCode[] = [
  'CONNECTION_LOST',
  'CONNECTION_FAILED',
  'TIMEOUT',
  'LOCK_TIMEOUT',
  'DEADLOCK',
]
/** Milliseconds before each try to put a new lane in place of a lost one. */
const PAUSES = [0, 100, 1000]

export const isTransient = (error: unknown) => error instanceof EngineError && PASSING.includes(error.code)

/** The lanes that read one snapshot; fewer than planned where the server has no room or connections are lost. */
export class LanePool<Lane extends { close(): Promise<void> }> {
  readonly lanes: Set<Lane>
  private readonly snapshot: Snapshot
  private readonly openLane: () => Promise<Lane>
  private readonly note: (text: string) => void
  /** The name of the connection, for notes. */
  private readonly name: string

  /** Opens all lanes that can be had and has them join. Fails where there is none, or not one view of all. */
  static async open<Lane extends { close(): Promise<void> }>(
    name: string,
    snapshot: Snapshot,
    openLane: () => Promise<Lane>,
    note: (text: string) => void,
  ): Promise<LanePool<Lane>> {
    const opened = await Promise.allSettled(Array.from({ length: snapshot.lanes }, openLane))
    const lanes = opened.flatMap(outcome => (outcome.status === 'fulfilled' ? [outcome.value] : []))
    try {
      const failures = opened.flatMap(outcome => (outcome.status === 'rejected' ? [outcome.reason] : []))
      const fatal = failures.find(error => !isTransient(error) && !isFull(error))
      if (fatal) throw fatal
      const [first] = failures
      if (lanes.length === 0) throw first
      if (first)
        note(`${name}: ${lanes.length} of ${counted(snapshot.lanes, 'lane')}: ${(first as Error).message}`)
      await snapshot.joined()
      return new LanePool(name, snapshot, openLane, note, lanes)
    } catch (error) {
      await Promise.all(lanes.map(lane => lane.close()))
      throw error
    }
  }

  private constructor(
    name: string,
    snapshot: Snapshot,
    openLane: () => Promise<Lane>,
    note: (text: string) => void,
    lanes: Lane[],
  ) {
    this.name = name
    this.snapshot = snapshot
    this.openLane = openLane
    this.note = note
    this.lanes = new Set(lanes)
  }

  /**
   * Closes a lane that failed and gives one in its place; undefined where none can be had and others go on.
   * Throws `error` where it was the last.
   */
  async replace(lane: Lane, error: unknown): Promise<Lane | undefined> {
    await lane.close()
    const fresh = this.snapshot.rejoinable ? await this.reopen() : undefined
    this.lanes.delete(lane)
    if (fresh) this.lanes.add(fresh)
    else if (this.lanes.size === 0) throw error
    const outcome = fresh ? 'a new one takes its place' : `lanes left: ${this.lanes.size}`
    this.note(`${this.name}: a lane failed, ${outcome}: ${(error as Error).message}`)
    return fresh
  }

  async close(): Promise<void> {
    await Promise.all([...this.lanes].map(lane => lane.close()))
  }

  private async reopen(): Promise<Lane | undefined> {
    for (const pause of PAUSES) {
      await delay(pause)
      try {
        return await this.openLane()
      } catch {
        // Whatever stands in the way now, the first failure is the one to report.
      }
    }
    return undefined
  }
}

const isFull = (error: unknown) => error instanceof EngineError && error.code === 'RESOURCE_EXHAUSTED'
