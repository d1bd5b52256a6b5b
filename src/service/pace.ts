import type { Clock } from '../../engine/contracts/tasks.ts'

/** Milliseconds between the beginnings of two rounds at least, however often it is woken. */
const BREATH_MS = 100

/**
 * When rounds begin: on the clock's whole ticks, so that what is due at two begins at two; earlier where something has
 * changed that a round would act on.
 */
export class Pace {
  private readonly clock: Clock
  private readonly tick: number
  private readonly signal: AbortSignal
  private begun = performance.now()
  private isWoken = false
  private timer: NodeJS.Timeout | undefined
  private begin = () => {}

  /** `tick`: milliseconds between two rounds at most; `signal` ends all waiting. */
  constructor(clock: Clock, tick: number, signal: AbortSignal) {
    this.clock = clock
    this.tick = tick
    this.signal = signal
    signal.addEventListener('abort', () => this.begin())
  }

  /** Something has changed. */
  wake(): void {
    this.isWoken = true
    if (this.timer) this.beginIn(this.breath())
  }

  /** Until the next round. */
  async rest(): Promise<void> {
    if (this.signal.aborted) return
    await new Promise<void>(resolve => {
      this.begin = resolve
      this.beginIn(this.isWoken ? this.breath() : this.tick - (this.clock.now().getTime() % this.tick))
    })
    clearTimeout(this.timer)
    this.timer = undefined
    this.isWoken = false
    this.begun = performance.now()
  }

  private beginIn(ms: number): void {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => this.begin(), ms)
  }

  private breath(): number {
    return Math.max(0, this.begun + BREATH_MS - performance.now())
  }
}
