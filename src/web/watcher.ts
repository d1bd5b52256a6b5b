import type { SSEStreamingApi } from 'hono/streaming'

/** Milliseconds in which a watcher must take what it was told: one that does not read keeps it in our memory. */
const STALLED_MS = 10_000
/** Milliseconds between two looks whether a watcher still may. */
const CHECK_MS = 15_000

/** Whether whoever began to watch still may, as what they were. */
export type MayWatch = () => Promise<boolean>

/** One who watches a page. Whether it reads is nobody else's concern. */
export class Watcher {
  private readonly stream: SSEStreamingApi
  private readonly mayWatch: MayWatch
  private next: { event: string; data: string } | undefined
  /** Since when it has not taken what it was told. */
  private since: number | undefined
  private checked = performance.now()

  constructor(stream: SSEStreamingApi, mayWatch: MayWatch) {
    this.stream = stream
    this.mayWatch = mayWatch
  }

  /** Tells it something, once it has taken what it was told before; what is newer takes the place of what still waits. */
  tell(event: string, data: string): void {
    this.next = { event, data: JSON.stringify(data) }
    if (this.since === undefined) void this.write()
  }

  /** Drops it where it does not read, or may not any more. */
  async check(): Promise<void> {
    const now = performance.now()
    if (this.since !== undefined && now - this.since > STALLED_MS) return this.drop()
    if (now - this.checked < CHECK_MS) return
    this.checked = now
    if (!(await this.mayWatch())) this.drop()
  }

  drop(): void {
    this.stream.abort()
  }

  private async write(): Promise<void> {
    while (this.next && !this.stream.aborted) {
      const said = this.next
      this.next = undefined
      this.since = performance.now()
      await this.stream.writeSSE(said)
    }
    this.since = undefined
  }
}
