import { setTimeout as delay } from 'node:timers/promises'
import { EngineError } from '../../engine/errors.ts'

/** Milliseconds for which a store that is away is asked again: well within a lease. */
const PATIENCE_MS = 20_000
const PAUSE_MS = 300
/** Once that is over, a failure stands for all calls of so many milliseconds. */
const REST_MS = 2000

/** Asks a store again that was there and cannot be reached now: it may be restarted, or the network be cut for a moment. */
export class Patience {
  private wasReached = false
  private away: { since: number; last: number; error: unknown } | undefined

  /**
   * What `act` gives, which is repeated while the store is away. A store that was never there is not waited for, but where
   * the server says that it is just not ready, or is stopping, and hangs up.
   */
  async during<T>(act: () => Promise<T>): Promise<T> {
    for (;;) {
      const { away } = this
      if (away && away.last - away.since > PATIENCE_MS && performance.now() - away.last < REST_MS)
        throw away.error
      try {
        const result = await act()
        this.reached()
        return result
      } catch (error) {
        if (!isAway(error)) {
          this.reached()
          throw error
        }
        const last = performance.now()
        this.away = { since: this.away?.since ?? last, last, error }
        this.wasReached ||= isHungUp(error)
        if (!(this.wasReached || isBusy(error)) || last - this.away.since > PATIENCE_MS) throw error
        await delay(PAUSE_MS)
      }
    }
  }

  private reached(): void {
    this.wasReached = true
    this.away = undefined
  }
}

/** Whether a failure is the connection's, and no answer of the server's to what it was asked. */
export function isAway(error: unknown): boolean {
  if (!(error instanceof EngineError)) return false
  if (error.code === 'CONNECTION_FAILED' || error.code === 'CONNECTION_LOST' || isBusy(error)) return true
  // The driver's own time-outs have no SQLSTATE.
  return error.code === 'TIMEOUT' && !/^[0-9A-Z]{5}$/.test(stateOf(error))
}

/** admin_shutdown, crash_shutdown, cannot_connect_now, too_many_connections: it is there, and takes nobody just now. */
const BUSY = ['57P01', '57P02', '57P03', '53300']

/** Somebody has answered, and said nothing. */
const isHungUp = (error: unknown): boolean =>
  error instanceof EngineError && error.code === 'CONNECTION_LOST' && /^(E[A-Z]+)?$/.test(stateOf(error))

const isBusy = (error: unknown): boolean => BUSY.includes(stateOf(error))

const stateOf = (error: unknown): string =>
  ((error as Error).cause as { code?: string } | undefined)?.code ?? ''
