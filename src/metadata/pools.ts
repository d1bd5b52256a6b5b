import type { Database, Queries } from './database.ts'

/** Sets the pools that there are, and how much of each; gives the names of those that were there and are no more. */
export function setPools(database: Database, pools: ReadonlyMap<string, number>): Promise<string[]> {
  return database.transaction(async queries => {
    const gone = [...(await poolSlots(queries)).keys()].filter(name => !pools.has(name))
    for (const name of gone) await queries.run('DELETE FROM pools WHERE name = :name', { name })
    for (const [name, slots] of pools)
      await queries.run(
        'INSERT INTO pools (name, slots) VALUES (:name, :slots) ON CONFLICT (name) DO UPDATE SET slots = :slots',
        { name, slots },
      )
    return gone
  })
}

export async function poolSlots(queries: Queries): Promise<Map<string, number>> {
  const found = await queries.all<{ name: string; slots: number }>('SELECT name, slots FROM pools')
  return new Map(found.map(({ name, slots }) => [name, slots]))
}

/** The lease of one slot of a pool. */
export const slotLease = (pool: string, slot: number): string => `pool/${pool}/${slot}`

/** How many slots of each pool are held at a time, ISO 8601 UTC. */
export async function usedSlots(queries: Queries, now: string): Promise<Map<string, number>> {
  const found = await queries.all<{ name: string }>(
    `SELECT name FROM leases WHERE name LIKE 'pool/%' AND owner <> '' AND expires_at > :now`,
    { now },
  )
  const pools = found.map(({ name }) => name.slice('pool/'.length, name.lastIndexOf('/')))
  return new Map([...Map.groupBy(pools, pool => pool)].map(([pool, held]) => [pool, held.length]))
}
