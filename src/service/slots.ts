import { counted } from '../../engine/plural.ts'
import type { ScheduledJob } from './job.ts'

/** How many runs may be active: in all, and by pool. */
export interface Limits {
  slots: number
  /** A pool without an entry has no limit. */
  pools: ReadonlyMap<string, number>
}

/** What is still free, counted down as runs are let in. */
export class FreeSlots {
  private free: number
  private readonly pools: Map<string, number>
  private readonly runs = new Map<string, number>()

  constructor({ slots, pools }: Limits) {
    this.free = slots
    this.pools = new Map(pools)
  }

  /** Counts a run, whether or not a slot is free: it is active already, or `reason` gave none. */
  take({ name, pools }: Pick<ScheduledJob, 'name' | 'pools'>): void {
    this.free--
    this.runs.set(name, (this.runs.get(name) ?? 0) + 1)
    for (const pool of pools) {
      const left = this.pools.get(pool)
      if (left !== undefined) this.pools.set(pool, left - 1)
    }
  }

  get isFull(): boolean {
    return this.free <= 0
  }

  /** Why no run of the job may begin now; undefined where one may. */
  reason({ name, pools, maxActiveRuns }: ScheduledJob): string | undefined {
    if (this.isFull) return 'all slots are taken'
    const active = this.runs.get(name) ?? 0
    if (active >= maxActiveRuns) return `${active} of ${counted(maxActiveRuns, 'run')} of the job are active`
    const pool = pools.find(each => (this.pools.get(each) ?? 1) <= 0)
    return pool && `pool ${pool} is full`
  }
}

/** Higher priority first, then what has waited longest, then by name. */
export function byUrgency(jobs: ReadonlyMap<string, ScheduledJob>): (a: Waiting, b: Waiting) => number {
  const priority = ({ job }: Waiting) => jobs.get(job)?.priority ?? 0
  const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)
  return (a, b) =>
    priority(b) - priority(a) ||
    compare(a.interval_end, b.interval_end) ||
    compare(a.job, b.job) ||
    compare(a.interval_start, b.interval_start)
}

interface Waiting {
  job: string
  interval_start: string
  interval_end: string
}
