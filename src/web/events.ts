import type { Context } from 'hono'
import { streamSSE } from 'hono/streaming'
import { type MayWatch, Watcher } from './watcher.ts'

/** Milliseconds between two looks at a page that somebody watches. */
const LOOK_MS = 1500
/** Milliseconds until a connection that has nothing to say says so, lest something between takes it for dead. */
const QUIET_MS = 15_000
/** People who watch at a time. */
const MAX_WATCHERS = 200

/** What a page shows now: its main part, and whether it still changes. */
export type Look = () => Promise<{ main: string; isLive: boolean } | undefined>

interface Watched {
  watchers: Set<Watcher>
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

  /** Watches until the other end goes, or may not any more; `key` tells pages apart, and for whom they are. */
  watch(context: Context, key: string, look: Look, mayWatch: MayWatch): Response {
    return streamSSE(context, async stream => {
      const gone = new Promise<void>(resolve => stream.onAbort(resolve))
      const watched = this.pages.get(key) ?? this.begin(key, look)
      const watcher = new Watcher(stream, mayWatch)
      watched.watchers.add(watcher)
      if (watched.shown !== '') watcher.tell('page', watched.shown)
      if (!stream.aborted) await gone
      watched.watchers.delete(watcher)
      if (watched.watchers.size === 0) this.end(key, watched)
    })
  }

  private begin(key: string, look: Look): Watched {
    let isLooking = false
    const act = async () => {
      if (isLooking) return
      isLooking = true
      // The store may be back at the next look.
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
    await Promise.all([...watched.watchers].map(watcher => watcher.check()))
    const page = await look()
    if (page?.isLive && page.main !== watched.shown) {
      watched.shown = page.main
      this.tell(watched, 'page', page.main)
    } else if (!page?.isLive) {
      this.tell(watched, 'over', '')
      this.end(key, watched)
    } else if (performance.now() - watched.said > QUIET_MS) this.tell(watched, 'quiet', '')
  }

  private tell(watched: Watched, event: string, data: string): void {
    watched.said = performance.now()
    for (const watcher of watched.watchers) watcher.tell(event, data)
  }

  private end(key: string, watched: Watched): void {
    clearInterval(watched.timer)
    // Somebody may watch it anew.
    if (this.pages.get(key) === watched) this.pages.delete(key)
  }
}
