import { Cron as Pattern } from 'croner'
import { Zone } from './zone.ts'

/** No change of the clocks moves them further than this, in milliseconds. */
const SHIFT = 4 * 3_600_000
const LOOK_BACK = 16 * 366 * 86_400_000

/**
 * The instants of a cron expression of five fields in a time zone.
 *
 * The expression is matched against wall time; the changes of the clocks are ours to decide, since croner 11 drops
 * `0 2,4 * * *` at 02:00 where that hour is skipped. As Airflow has it, a run keeps its wall time; one in a skipped hour comes that
 * much later, one in a repeated hour comes once, the second time. Where every hour matches, real time counts: each
 * repeated hour has its own runs, a skipped one has none.
 */
export class Cron {
  private readonly pattern: Pattern
  private readonly zone: Zone
  private readonly hourly: boolean
  /** What was asked last, and what came next: it comes next for all instants between, too. */
  private known: { after: number; next: number } | undefined

  /** Throws where croner cannot read the expression. */
  constructor(expression: string, timezone: string) {
    this.pattern = new Pattern(expression, { mode: '5-part', utcOffset: 0 })
    this.zone = new Zone(timezone)
    const hours = new Set(
      new Pattern(`0 ${expression.trim().split(/\s+/)[1]} * * *`, { mode: '5-part', utcOffset: 0 })
        .nextRuns(24, new Date(Date.UTC(2000, 0, 1) - 1))
        .map(at => at.getUTCHours()),
    )
    this.hourly = hours.size === 24
  }

  /** The first instant after the one given; undefined where there is none (30 February). */
  next(after: Date): Date | undefined {
    const from = after.getTime()
    if (this.known && this.known.after <= from && from < this.known.next) return new Date(this.known.next)
    const found = this.nextFrom(from)
    if (found) this.known = { after: from, next: found.getTime() }
    return found
  }

  private nextFrom(from: number): Date | undefined {
    const { zone } = this
    const first = this.match(zone.local(from))
    if (first === undefined) return undefined
    const plain = first - zone.offset(first - zone.offset(first))
    if (this.isSteady(from) && this.isSteady(plain)) return new Date(plain)
    return this.nearChange(from)
  }

  /** The last instant that is not after the one given; undefined where there is none in the 16 years before. */
  last(until: Date): Date | undefined {
    // Doubling back, so that a minute's schedule takes few steps, and a year's, too.
    for (let back = 60_000; back < 2 * LOOK_BACK; back *= 2) {
      let found: Date | undefined
      for (let at = this.next(new Date(until.getTime() - back)); at && at <= until; at = this.next(at))
        found = at
      if (found) return found
    }
    return undefined
  }

  /** The first instant that is not before the one given. */
  align(from: Date): Date | undefined {
    return this.next(new Date(from.getTime() - 1))
  }

  private match(local: number): number | undefined {
    return this.pattern.nextRun(new Date(local))?.getTime()
  }

  private isSteady(at: number): boolean {
    return this.zone.offset(at - SHIFT) === this.zone.offset(at + SHIFT)
  }

  // Wall times on both sides of a change are not in the order of their instants: all that may come first are compared.
  private nearChange(from: number): Date | undefined {
    let best: number | undefined
    let local = this.match(this.zone.local(from) - 2 * SHIFT)
    while (local !== undefined && (best === undefined || local <= this.zone.local(best) + 2 * SHIFT)) {
      for (const at of this.instantsOf(local)) if (at > from && (best === undefined || at < best)) best = at
      local = this.match(local)
    }
    return best === undefined ? undefined : new Date(best)
  }

  private instantsOf(local: number): number[] {
    const { shown, shifted } = this.zone.instants(local)
    if (this.hourly) return shown
    return shown.length === 0 ? [shifted] : shown.slice(-1)
  }
}
