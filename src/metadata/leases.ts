import type { Clock } from '../../engine/contracts/tasks.ts'
import { EngineError } from '../../engine/errors.ts'
import { isOfEarlierBoot } from '../util/owner.ts'
import type { Queries } from './database.ts'

/** A lease as it was given. Its fence is higher than that of everybody who held the name before. */
export interface Lease {
  name: string
  owner: string
  fence: number
}

/** A lease that somebody holds. */
export interface Held extends Lease {
  expires_at: string
  note: string | null
}

/** How long a lease lasts without renewal, in milliseconds. */
export const LEASE_TIME = 30_000
/** How often it is renewed in that time. */
const RENEWALS = 10
/** The share of it after which an owner that cannot renew it ends: what it is at must have ended before the lease does. */
const LATEST = 0.8

/**
 * Names that one owner holds at a time. Expiry is judged by the clocks of the processes, which may differ: it decides
 * when somebody else may try. What makes a late owner harmless is the fence: its writes say `where fence = …`.
 */
export class Leases {
  private readonly queries: Queries
  private readonly clock: Clock

  constructor(queries: Queries, clock: Clock) {
    this.queries = queries
    this.clock = clock
  }

  /**
   * Takes a name that is free or whose lease has expired; undefined while somebody holds it (the same owner, too).
   * `dead`: an owner known to be gone, whose lease need not expire.
   */
  async acquire(name: string, owner: string, ttl = LEASE_TIME, dead = ''): Promise<Lease | undefined> {
    const [row] = await this.queries.all<{ fence: number }>(
      `INSERT INTO leases (name, owner, fence, expires_at) VALUES (:name, :owner, 1, :until)
       ON CONFLICT (name) DO UPDATE SET owner = :owner, fence = leases.fence + 1, expires_at = :until, note = NULL
       WHERE leases.expires_at <= :now OR leases.owner IN (:dead, '')
       RETURNING fence`,
      { name, owner, dead, now: this.time(), until: this.time(ttl) },
    )
    return row && { name, owner, fence: row.fence }
  }

  /** Prolongs a lease, also an expired one that nobody has taken. False when it is somebody else's now. */
  async renew({ name, owner, fence }: Lease, ttl = LEASE_TIME): Promise<boolean> {
    const changed = await this.queries.run(
      'UPDATE leases SET expires_at = :until WHERE name = :name AND owner = :owner AND fence = :fence',
      { name, owner, fence, until: this.time(ttl) },
    )
    return changed === 1
  }

  /**
   * The next fence of a lease that several of its owner's processes go by, for one of them; prolongs the lease. Undefined
   * where it is somebody else's.
   */
  async nextFence(name: string, owner: string, ttl: number): Promise<number | undefined> {
    const [row] = await this.queries.all<{ fence: number }>(
      `UPDATE leases SET fence = fence + 1, expires_at = :until WHERE name = :name AND owner = :owner
       RETURNING fence`,
      { name, owner, until: this.time(ttl) },
    )
    return row?.fence
  }

  /** Gives a lease back, whatever the clock says later; does nothing when it is somebody else's now. The name keeps its fence. */
  async release({ name, owner, fence }: Lease): Promise<void> {
    await this.queries.run(
      `UPDATE leases SET owner = '', expires_at = :now WHERE name = :name AND owner = :owner AND fence = :fence`,
      { name, owner, fence, now: this.time() },
    )
  }

  /** Whether the lease is still its owner's: for a guard in the same transaction as what it guards. */
  async holds({ name, owner, fence }: Lease): Promise<boolean> {
    const rows = await this.queries.all(
      'SELECT 1 AS one FROM leases WHERE name = :name AND owner = :owner AND fence = :fence',
      { name, owner, fence },
    )
    return rows.length === 1
  }

  /**
   * Ends the leases of processes from before this machine was started anew, whatever its clock said then: of a store that only
   * one machine can have open. An owner that lives after all has its lease again when it renews it.
   */
  async endEarlier(): Promise<void> {
    const held = await this.queries.all<{ owner: string }>(
      `SELECT DISTINCT owner FROM leases WHERE owner <> '' AND expires_at > :now`,
      { now: this.time() },
    )
    for (const { owner } of held)
      if (isOfEarlierBoot(owner))
        await this.queries.run('UPDATE leases SET expires_at = :now WHERE owner = :owner', {
          owner,
          now: this.time(),
        })
  }

  /** Tells others something of the lease's owner, until somebody else has it. */
  async tell({ name, owner, fence }: Lease, note: string): Promise<void> {
    await this.queries.run(
      'UPDATE leases SET note = :note WHERE name = :name AND owner = :owner AND fence = :fence',
      { name, owner, fence, note },
    )
  }

  /** Who holds a name now, and what that one tells. */
  async holder(name: string): Promise<Held | undefined> {
    const [row] = await this.queries.all<Held>(
      `SELECT name, owner, fence, expires_at, note FROM leases WHERE name = :name AND owner <> '' AND expires_at > :now`,
      { name, now: this.time() },
    )
    return row
  }

  /**
   * Renews on a timer until the function returned is called. `lost` is called once: with FENCED when somebody else has
   * taken the lease; with CONNECTION_LOST when the store could not be asked for so long that the lease is about to end.
   */
  keep(lease: Lease, lost: (error: EngineError) => void, ttl = LEASE_TIME): () => void {
    const pace = ttl / RENEWALS
    let renewed = performance.now()
    let asked = renewed
    let isAsking = false
    const stop = () => clearInterval(timer)
    const end = (error: EngineError) => {
      stop()
      lost(error)
    }
    const beat = async () => {
      const now = performance.now()
      // One question at a time; one that is not answered counts like one that fails, once it had the time to be.
      if (isAsking) {
        if (now - renewed > ttl * LATEST && now - asked > pace) end(unreachable(lease.name, now - renewed))
        return
      }
      isAsking = true
      asked = now
      try {
        if (await this.renew(lease, ttl)) renewed = asked
        else end(fenced(lease.name))
      } catch {
        // The store may be back before the lease ends.
        const since = performance.now() - renewed
        if (since > ttl * LATEST) end(unreachable(lease.name, since))
      } finally {
        isAsking = false
      }
    }
    const timer = setInterval(beat, pace).unref()
    return stop
  }

  private time(ahead = 0): string {
    return new Date(this.clock.now().getTime() + ahead).toISOString()
  }
}

/** The failure of a process whose lease somebody else has taken. */
export function fenced(name: string): EngineError {
  return new EngineError(
    'FENCED',
    `${name}: another process has taken it over; this one did not answer in time`,
    {
      hint: 'Nothing to do: what this process did since then is not committed.',
    },
  )
}

function unreachable(name: string, since: number): EngineError {
  return new EngineError(
    'CONNECTION_LOST',
    `metadata store: not reached for ${Math.round(since / 1000)} s; ${name} ended before its lease does`,
    { hint: 'Nothing is lost: once the store is back, run the same command again, and it goes on.' },
  )
}
