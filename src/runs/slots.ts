import { setTimeout as delay } from 'node:timers/promises'
import { LEASE_TIME, type Lease, type Leases } from '../metadata/leases.ts'
import type { Metadata } from '../metadata/metadata.ts'
import { poolSlots, slotLease } from '../metadata/pools.ts'
import { isAlive, ownName } from '../util/owner.ts'

/** Milliseconds between two looks for a free slot. */
const POLL_INTERVAL_MS = 500

/**
 * Waits for a slot in each of the pools, and gives what frees them again. A slot is a lease in the metadata store, so
 * that the tasks of all jobs, in all processes, share it; one whose process has died is free. A pool that the store
 * knows no limit of has none. An abort ends the waiting, without slots.
 */
export async function takeSlots(
  metadata: Metadata,
  pools: Iterable<string>,
  note: (text: string) => void,
  signal: AbortSignal,
): Promise<() => Promise<void>> {
  const frees: (() => Promise<void>)[] = []
  const free = async () => {
    for (const each of frees.splice(0)) await each()
  }
  // In one order: nobody waits for what another waits with.
  for (const pool of [...new Set(pools)].sort())
    try {
      const lease = await slot(metadata, pool, note, signal)
      if (!lease) continue
      // Overtaken while the process was stopped: then one more reads than was meant, and nothing is wrong.
      const letGo = metadata.leases.keep(lease, () => {})
      frees.push(async () => {
        letGo()
        await metadata.leases.release(lease)
      })
    } catch (error) {
      await free()
      throw error
    }
  return free
}

async function slot(
  metadata: Metadata,
  pool: string,
  note: (text: string) => void,
  signal: AbortSignal,
): Promise<Lease | undefined> {
  for (let said = false; !signal.aborted; said = true) {
    const limit = (await poolSlots(metadata.database)).get(pool)
    if (limit === undefined) return undefined
    for (let n = 0; n < limit; n++) {
      const lease = await acquire(metadata.leases, slotLease(pool, n))
      if (lease) return lease
    }
    if (!said)
      note(`waits for the pool ${pool}, whose ${limit === 1 ? 'slot is' : `${limit} slots are`} taken`)
    await delay(POLL_INTERVAL_MS, undefined, { signal }).catch(() => {})
  }
  return undefined
}

/** A lease that is free, or whose holder is gone. */
export async function acquire(leases: Leases, name: string): Promise<Lease | undefined> {
  const holder = await leases.holder(name)
  const dead = holder && !isAlive(holder.owner) ? holder.owner : undefined
  if (holder && dead === undefined) return undefined
  return leases.acquire(name, ownName(), LEASE_TIME, dead)
}
