import { EngineError } from '../../../engine/errors.ts'
import { type LastRead, lsnText } from './lsn.ts'

/**
 * Holds what a slot sends again from before a position against what was read up to there. A server that was put back to an older
 * state, its slot with it, writes another log over the same positions: without this, what it has up to the position is passed over.
 */
export class Continuity {
  /** The last transaction sent so far. */
  last: LastRead
  private readonly where: string
  private readonly start: bigint
  private readonly expected: LastRead | undefined
  private found: boolean

  /** `confirmed`: from where the slot sends. */
  constructor(where: string, start: bigint, confirmed: bigint, expected: LastRead | undefined) {
    this.where = where
    this.start = start
    this.expected = expected
    this.last = expected ?? { end: start, micros: 0n }
    this.found = !expected || expected.micros === 0n || expected.end <= confirmed
  }

  /** A transaction, by the place of its commit and what follows it. Fails with LOG_LOST. */
  sent(commit: bigint, own: LastRead): void {
    const { start, expected } = this
    if (commit >= start) {
      this.check()
      this.last = own
    } else if (expected && own.end === expected.end && own.micros === expected.micros) this.found = true
    else if (expected && commit >= expected.end) this.lost()
  }

  /** Fails with LOG_LOST where the last transaction before the position was not sent again. */
  check(): void {
    if (!this.found) this.lost()
  }

  private lost(): never {
    throw new EngineError(
      'LOG_LOST',
      `${this.where}: its log up to ${lsnText(this.start)} is another one than was read, as after the server was restored from a backup`,
      { hint: 'Read the tables anew: nightfreight run JOB --full-refresh.' },
    )
  }
}
