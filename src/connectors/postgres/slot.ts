import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import { EngineError } from '../../../engine/errors.ts'
import { ask, quoteLiteral } from './connect.ts'
import { lsnOf, lsnText } from './lsn.ts'

/** A replication slot as `pg_replication_slots` shows it. */
export interface Slot {
  plugin: string
  database: string
  active_pid: string | null
  confirmed: string
  /** False while it is being made: whoever does that may end, and the slot with him. */
  made: string
  status: string | null
  bytes: string | null
}

/** SQL of where the log ends. */
export const LOG_END =
  'CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END'

export async function slotNamed(client: pg.Client, where: string, name: string): Promise<Slot | undefined> {
  const [slot] = await ask<Slot>(
    client,
    where,
    `SELECT plugin, CASE WHEN database = current_database() THEN 'here' ELSE coalesce(database, 'none') END AS database,
       active_pid, coalesce(confirmed_flush_lsn, restart_lsn, '0/0')::text AS confirmed,
       (confirmed_flush_lsn IS NOT NULL)::text AS made,
       to_jsonb(s)->>'wal_status' AS status, pg_wal_lsn_diff(${LOG_END}, restart_lsn)::bigint AS bytes
     FROM pg_replication_slots AS s WHERE slot_name = ${quoteLiteral(name)}`,
  )
  return slot
}

/** A slot that is there for good: one that a reader who was killed has begun to make is ended. */
export async function madeSlot(
  client: pg.Client,
  where: string,
  name: string,
  signal: AbortSignal,
): Promise<Slot | undefined> {
  const slot = await slotNamed(client, where, name)
  if (!slot || slot.made === 'true') return slot
  if (slot.active_pid !== null) await ask(client, where, `SELECT pg_terminate_backend(${slot.active_pid})`)
  const left = await idle(client, where, name, signal)
  if (!left || left.made === 'true') return left
  await ask(client, where, `SELECT pg_drop_replication_slot(${quoteLiteral(name)})`)
  return undefined
}

/** Fails with LOG_LOST where a slot has passed the position that a table was read to: the server leaves out the rest without a word. */
export function refusePassed(
  where: string,
  name: string,
  { confirmed }: Slot,
  from: string,
  table: string,
): void {
  if (lsnOf(from) >= lsnOf(confirmed)) return
  throw new EngineError(
    'LOG_LOST',
    `${where}: replication slot ${name} is at ${confirmed}, past ${lsnText(lsnOf(from))}, up to which ${table} was read`,
    {
      hint: 'Somebody else has read from it. Read anew what has been read so far: nightfreight run JOB --full-refresh.',
    },
  )
}

/** How long a reader that was killed may still seem to be there. */
const BUSY_MS = 30_000

/** Waits until nobody reads from a slot, since the server sees a reader's end a moment later; gives what is there in the end. */
export async function idle(
  client: pg.Client,
  where: string,
  name: string,
  signal: AbortSignal,
): Promise<Slot | undefined> {
  const limit = performance.now() + BUSY_MS
  for (;;) {
    const slot = await slotNamed(client, where, name)
    if (!slot || slot.active_pid === null) return slot
    if (performance.now() > limit)
      throw new EngineError(
        'RUN_CONFLICT',
        `${where}: replication slot ${name} is being read by process ${slot.active_pid}`,
        { hint: `Wait for it, or end it: SELECT pg_terminate_backend(${slot.active_pid});` },
      )
    await delay(100, undefined, { signal })
  }
}
