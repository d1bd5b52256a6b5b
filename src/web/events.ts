import type { Context } from 'hono'
import { type SSEStreamingApi, streamSSE } from 'hono/streaming'

/** Milliseconds between two looks at a page that somebody watches. */
const LOOK_MS = 1500
/** Milliseconds until a connection that has nothing to say says so, lest something between takes it for dead. */
const QUIET_MS = 15_000
/** People who watch at a time. */
const MAX_WATCHERS = 200

/** What a page shows now: its main part, and whether it still changes. */
export type Look = () => Promise<{ main: string; isLive: boolean } | undefined>

interface Watched {
  watchers: Set<SSEStreamingApi>
  shown: string
  said: number
  timer: NodeJS.Timeout
}

/** Pages that are watched: each is made anew once for all who watch it, and sent where it has changed. */
export class Events {
  private readonly pages = new Map<string, Watched>()

  get isFull(): boolean {
    let watchers = 0
    for (const each of this.pages.values()) watchers += each.watchers.size
    return watchers >= MAX_WATCHERS
  }

  /** Watches until the other end goes; `key` tells pages apart, and for whom they are. */
  watch(context: Context, key: string, look: Look): Response {
    return streamSSE(context, async stream => {
      const watched = this.pages.get(key) ?? this.begin(key, look)
      watched.watchers.add(stream)
      if (watched.shown !== '') await stream.writeSSE({ event: 'page', data: JSON.stringify(watched.shown) })
      await new Promise<void>(resolve => stream.onAbort(resolve))
      watched.watchers.delete(stream)
      if (watched.watchers.size === 0) this.end(key, watched)
    })
  }

  private begin(key: string, look: Look): Watched {
    let isLooking = false
    const act = async () => {
      if (isLooking) return
      isLooking = true
      // The store may be back at the next look, and one who watches may just have gone.
      await this.look(key, watched, look).catch(() => {})
      isLooking = false
    }
    const watched: Watched = {
      watchers: new Set(),
      shown: '',
      said: performance.now(),
      timer: setInterval(() => void act(), LOOK_MS).unref(),
    }
    this.pages.set(key, watched)
    return watched
  }

  private async look(key: string, watched: Watched, look: Look): Promise<void> {
    const page = await look()
    if (page?.isLive && page.main !== watched.shown) {
      watched.shown = page.main
      await this.say(watched, 'page', page.main)
    } else if (!page?.isLive) {
      await this.say(watched, 'over', '')
      this.end(key, watched)
    } else if (performance.now() - watched.said > QUIET_MS) await this.say(watched, 'quiet', '')
  }

  private async say(watched: Watched, event: string, data: string): Promise<void> {
    watched.said = performance.now()
    await Promise.all(
      [...watched.watchers].map(stream => stream.writeSSE({ event, data: JSON.stringify(data) })),
    )
  }

  private end(key: string, { timer }: Watched): void {
    clearInterval(timer)
    this.pages.delete(key)
  }
}
