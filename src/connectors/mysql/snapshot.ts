import { EngineError } from '../../../engine/errors.ts'
import type { Chunk, Read, Snapshot } from '../../../engine/ports.ts'
import { primaryKey } from './catalog.ts'
import { type Access, ask, connect, disconnect, type Session } from './connect.ts'
import { type ChunkPayload, sinceSql, startSnapshot } from './lane.ts'
import { identifier, tableName } from './types.ts'

const LANE_MODULE = new URL(`./lane${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url).href
/** While we wait for the lock, everyone who writes waits behind us: better few lanes than a stall. */
const LOCK_WAIT_SECONDS = 10
const MAX_CHUNKS = 10_000

/**
 * Opens one view of the server. Several lanes share it by starting their transactions while a global read lock
 * stops all commits; it is released when the last has joined. One lane needs no lock.
 */
export async function openSnapshot(
  access: Access,
  lanes: number,
  unversioned: string[],
  signal: AbortSignal,
): Promise<Snapshot> {
  const notes: string[] = []
  if (unversioned.length > 0)
    notes.push(`no snapshot of ${unversioned.join(', ')}: the storage engine has no transactions`)
  let lock: Session | undefined
  if (lanes > 1) {
    const got = await lockReads(access, signal)
    if (typeof got === 'string') notes.push(`one lane instead of ${lanes}: ${got}`)
    else lock = got
  }
  const shared = lock !== undefined ? lanes : 1
  let coordinator: Session | undefined
  try {
    coordinator = await connect(access, signal)
    await startSnapshot(coordinator)
  } catch (error) {
    coordinator?.connection.destroy()
    if (lock) await disconnect(lock)
    throw error
  }
  const view = coordinator
  const unlock = async () => {
    const held = lock
    lock = undefined
    if (!held) return
    try {
      // Fails where the connection was lost: the lock went with it, so the lanes may not have one view.
      await ask(held, 'UNLOCK TABLES')
    } finally {
      await disconnect(held)
    }
  }
  const snapshot: Snapshot = {
    lanes: shared,
    ticket: { module: LANE_MODULE, payload: { name: access.name, url: access.url } satisfies Access },
    joined: unlock,
    chunks: read => cut(view, read),
    async close() {
      await unlock().catch(() => {})
      await disconnect(view)
    },
  }
  if (notes.length > 0) snapshot.note = notes.join('; ')
  return snapshot
}

/** A session that holds the global read lock, or why there is none. */
async function lockReads(access: Access, signal: AbortSignal): Promise<Session | string> {
  const session = await connect(access, signal)
  try {
    await ask(session, `SET SESSION lock_wait_timeout = ${LOCK_WAIT_SECONDS}`, signal)
    await ask(session, 'FLUSH TABLES WITH READ LOCK', signal)
    return session
  } catch (error) {
    await disconnect(session)
    if (error instanceof EngineError) {
      if (error.code === 'PERMISSION_DENIED' || error.code === 'AUTH_FAILED')
        return 'the user lacks the RELOAD privilege, which FLUSH TABLES WITH READ LOCK needs'
      if (error.code === 'DEADLOCK')
        return `the server gave no read lock within ${LOCK_WAIT_SECONDS} s, because of a long-running statement`
    }
    throw error
  }
}

/** Cuts a read by ranges of its integer primary key; any other table is one chunk. */
async function cut(session: Session, read: Read): Promise<Chunk[]> {
  const { table } = read.options as { table: string }
  const keys = await primaryKey(session, table)
  const key = keys.length === 1 ? keys[0] : undefined
  const integer = read.columns.find(column => column.name === key)?.type.kind === 'int'
  const rows = await estimate(session, read, table)
  const whole: Chunk[] = [{ label: 'all rows', rows, payload: {} satisfies ChunkPayload }]
  if (key === undefined || !integer) return whole
  const [bounds] = await ask(
    session,
    `SELECT CAST(min(${identifier(key)}) AS CHAR) AS low, CAST(max(${identifier(key)}) AS CHAR) AS high
       FROM ${tableName(table)}`,
  )
  if (bounds?.low == null || bounds.high == null) return whole
  const low = BigInt(bounds.low)
  const span = BigInt(bounds.high) - low + 1n
  const wanted = BigInt(Math.min(MAX_CHUNKS, Math.ceil(rows / (read.limits.rows * 4))))
  const count = wanted < span ? wanted : span
  if (count <= 1n) return whole
  const chunks: Chunk[] = []
  for (let index = 0n; index < count; index++) {
    const payload: ChunkPayload = { key }
    if (index > 0n) payload.from = String(low + (span * index) / count)
    if (index < count - 1n) payload.below = String(low + (span * (index + 1n)) / count)
    const label = `${key} ${payload.from ? `[${payload.from}` : '(-∞'}, ${payload.below ?? '∞'})`
    chunks.push({ label, rows: Math.ceil(rows / Number(count)), payload })
  }
  return chunks
}

// The planner's own estimate: the table's statistics, or the index's where `since` can use one.
async function estimate(session: Session, read: Read, table: string): Promise<number> {
  const where = read.since ? ` WHERE ${sinceSql(read)}` : ''
  const sql = `EXPLAIN SELECT * FROM ${tableName(table)}${where}`
  const plan = await ask<{ rows: string | null }>(session, sql).catch((error: unknown) => {
    // Who may read a view need not be allowed to see behind it.
    if (error instanceof EngineError && error.code === 'PERMISSION_DENIED') return []
    throw error
  })
  return Math.max(0, ...plan.map(step => Number(step.rows ?? 0)))
}
