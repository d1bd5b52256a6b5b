import type { Range, Read, Snapshot } from '../../../engine/contracts/source.ts'
import { EngineError } from '../../../engine/errors.ts'
import type { Selection } from '../wire/selection.ts'
import { type Access, ask, connect, disconnect, interruptOn, type Session } from './connect.ts'
import { type Locks, locksOf } from './hold.ts'
import { type Bounds, usableKey } from './keys.ts'
import {
  keyedRange,
  type LanePayload,
  LOCK_WAIT_SECONDS,
  partialSql,
  type RangePayload,
  sinceSql,
  startSnapshot,
} from './lane.ts'
import { splitRange } from './split.ts'
import { tableName } from './types.ts'

const LANE_MODULE = new URL(`./lane${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url).href

/**
 * Opens one view of the server. Several lanes share it by starting their transactions while a global read lock
 * stops all commits; it is released when the last has joined. One lane needs no lock.
 */
export async function openSnapshot(
  access: Access,
  lanes: number,
  signal: AbortSignal,
  reads: Read[],
  unversioned: string[],
  /** Asks where the log is, of a session whose view is open; `refusal`: why somebody may commit meanwhile. */
  locate?: (view: Session, refusal: EngineError | undefined) => Promise<void>,
): Promise<Snapshot> {
  const notes: string[] = []
  if (unversioned.length > 0)
    notes.push(`no snapshot of ${unversioned.join(', ')}: the storage engine has no transactions`)
  const view = await connect(access, signal)
  let locked = false
  let refusal: EngineError | undefined
  let locks: Locks
  try {
    locks = await locksOf(view, reads, signal)
    if (lanes > 1 || locate) {
      refusal = await lockReads(view, signal)
      if (refusal && lanes > 1) notes.push(`one lane instead of ${lanes}: ${refusal.message}`)
      locked = refusal === undefined
      await ask(view, 'SET SESSION lock_wait_timeout = DEFAULT', signal)
    }
    await startSnapshot(view, signal)
    // Without the read lock, the only lane takes its snapshot after these.
    for (const lock of locks.statements) await ask(view, lock, signal)
    await locate?.(view, refusal)
  } catch (error) {
    view.connection.destroy()
    throw error
  }
  const release = interruptOn(signal, view)
  const snapshot: Snapshot = {
    lanes: locked ? lanes : 1,
    lane: { module: LANE_MODULE, payload: { access, locks: locks.statements } satisfies LanePayload },
    // Once the lock is released, a new transaction would see a later state.
    rejoinable: false,
    async joined() {
      // Fails where the connection was lost: the lock went with it, so the lanes may not have one view.
      if (locked) await ask(view, 'UNLOCK TABLES')
      locked = false
    },
    async ranges(read) {
      const refusal = locks.refused.get(read.options)
      if (refusal) throw refusal
      return rangesOf(view, read)
    },
    split: (read, range) => splitRange(view, read, range),
    // Each lane holds the view by itself, and no lane joins later.
    check: async () => {},
    async close() {
      release()
      await disconnect(view)
    },
  }
  if (notes.length > 0) snapshot.note = notes.join('; ')
  return snapshot
}

/** Takes the global read lock; gives the reason where there is none to be had. */
async function lockReads(session: Session, signal: AbortSignal): Promise<EngineError | undefined> {
  try {
    await ask(session, `SET SESSION lock_wait_timeout = ${LOCK_WAIT_SECONDS}`, signal)
    await ask(session, 'FLUSH TABLES WITH READ LOCK', signal)
    return undefined
  } catch (error) {
    if (error instanceof EngineError) {
      if (error.code === 'PERMISSION_DENIED' || error.code === 'AUTH_FAILED')
        return new EngineError(
          'PERMISSION_DENIED',
          'the user lacks the RELOAD privilege, which FLUSH TABLES WITH READ LOCK needs',
          { cause: error, hint: 'GRANT RELOAD ON *.* TO the user of the connection;' },
        )
      if (error.code === 'LOCK_TIMEOUT')
        return new EngineError(
          'LOCK_TIMEOUT',
          `the server gave no read lock within ${LOCK_WAIT_SECONDS} s, because of a long-running statement`,
          { cause: error, hint: 'Wait until it ends, or end it: SHOW FULL PROCESSLIST; then KILL its id.' },
        )
    }
    throw error
  }
}

/** One range: the engine asks for splits as its lanes need them. */
async function rangesOf(session: Session, read: Read): Promise<Range[]> {
  const { table } = read.options as Selection
  const dates = read.since && partialSql(read)
  const all: Bounds = dates ? { partial: true } : {}
  const whole = { label: `${table ?? read.extract}, all rows` }
  // Older servers run what stands in a query when they are asked to explain it.
  if (table === undefined) return [{ ...whole, payload: { bounds: all } satisfies RangePayload }]
  const key = await usableKey(session, read)
  let bounds: Bounds = {}
  let plan = await planOf(session, read, bounds)
  // Another index finds the few new rows at once, where paging by the key would have to look at all.
  const isElsewhere = () => read.since && plan.every(step => step.key != null && step.key !== key?.index)
  // It would not, with these: they are looked for by themselves, and where there is one tonight, all rows are. What comes behind
  // this view is found by the next run.
  if (dates && !(isElsewhere() && (await hasNone(session, table, dates)))) {
    bounds = all
    plan = await planOf(session, read, bounds)
  }
  const rows = Math.max(0, ...plan.map(step => Number(step.rows ?? 0)))
  if (key && !isElsewhere()) return [keyedRange(read, key, bounds, rows)]
  return [{ ...whole, rows, payload: { bounds } satisfies RangePayload }]
}

/** How the server would read what a run reads of a table. */
async function planOf(session: Session, read: Read, { partial }: Bounds) {
  const { table } = read.options as { table: string }
  const where = read.since ? ` WHERE ${sinceSql(read, partial)}` : ''
  const explain = ask(session, `EXPLAIN SELECT * FROM ${tableName(table)}${where}`)
  return explain.catch((error: unknown) => {
    // Who may read a view need not be allowed to see behind it.
    if (error instanceof EngineError && error.code === 'PERMISSION_DENIED') return []
    throw error
  })
}

const hasNone = async (session: Session, table: string, condition: string) =>
  (await ask(session, `SELECT 1 FROM ${tableName(table)} WHERE ${condition} LIMIT 1`)).length === 0
