import { counted } from '../../engine/plural.ts'

/** Counts one task's rows and smooths its rate, so that the time left does not jump. */
export class Meter {
  rows = 0
  readonly total: number | undefined
  readonly started: number
  #rate: number | undefined
  #sampledAt: number
  #sampledRows = 0

  /** `now`: milliseconds. `total`: rows expected, an estimate. */
  constructor(now: number, total?: number) {
    this.started = now
    this.#sampledAt = now
    this.total = total
  }

  add(rows: number, now: number): void {
    this.rows += rows
    const elapsed = now - this.#sampledAt
    if (elapsed < 200) return
    const latest = ((this.rows - this.#sampledRows) / elapsed) * 1000
    // Exponential smoothing with a time constant of 5 s.
    const weight = 1 - Math.exp(-elapsed / 5000)
    this.#rate = this.#rate === undefined ? latest : this.#rate + weight * (latest - this.#rate)
    this.#sampledAt = now
    this.#sampledRows = this.rows
  }

  /** Rows a second, smoothed; undefined until there is something to measure. */
  get rate(): number | undefined {
    return this.#rate
  }

  /** Milliseconds left; undefined where the total or the rate is unknown, or the estimate was too low. */
  get left(): number | undefined {
    if (this.total === undefined || !this.#rate || this.rows > this.total) return undefined
    return ((this.total - this.rows) / this.#rate) * 1000
  }

  /** Rows a second over the whole task. */
  average(now: number): number {
    return now > this.started ? (this.rows / (now - this.started)) * 1000 : 0
  }
}

/** `1,234,567` */
export const formatCount = (count: number): string => Math.round(count).toLocaleString('en-US')

/** Milliseconds as `0.4s`, `12s`, `3m 05s`, `2h 04m`. */
export function formatSpan(ms: number): string {
  if (ms < 9950) return `${(ms / 1000).toFixed(1)}s`
  const seconds = Math.round(ms / 1000)
  const two = (value: number) => String(value).padStart(2, '0')
  if (seconds < 60) return `${seconds}s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${two(seconds % 60)}s`
  return `${Math.floor(seconds / 3600)}h ${two(Math.floor((seconds % 3600) / 60))}m`
}

/** What a running task shows: `members: 1,000 of ~5,000 rows, 250 rows/s, 16s left`; its name alone where no rows are known. */
export function describeRunning(name: string, meter: Meter): string {
  if (meter.rows === 0 && meter.total === undefined) return name
  const total = meter.total === undefined ? '' : counted(meter.total, 'row', formatCount)
  const rate = meter.rate === undefined ? '' : `, ${counted(Math.round(meter.rate), 'row', formatCount)}/s`
  const left = meter.left === undefined ? '' : `, ${formatSpan(meter.left)} left`
  return `${name}: ${total === '' ? counted(meter.rows, 'row', formatCount) : `${formatCount(meter.rows)} of ~${total}`}${rate}${left}`
}

/** What a finished task shows: `5,000 rows in 20s, 250 rows/s`. */
export function describeDone(meter: Meter, now: number): string {
  const span = formatSpan(now - meter.started)
  if (meter.rows === 0) return span
  return `${counted(meter.rows, 'row', formatCount)} in ${span}, ${counted(Math.round(meter.average(now)), 'row', formatCount)}/s`
}
