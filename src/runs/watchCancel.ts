import type { Metadata } from '../metadata/metadata.ts'

/** Milliseconds between two looks. */
const POLL_INTERVAL_MS = 1000

/** What was asked of a run: `stop` at the next commit, `now` at once. */
interface Cancel {
  stop: AbortSignal
  now: AbortSignal
  close(): void
}

/** Watches for `nightfreight cancel`. */
export function watchCancel(metadata: Metadata, run: string): Cancel {
  const stop = new AbortController()
  const now = new AbortController()
  let isAsking = false
  const timer = setInterval(async () => {
    if (isAsking) return
    isAsking = true
    // The store may be away for a while: the lease's renewal judges that.
    const level = (await metadata.run(run).catch(() => undefined))?.cancel_requested ?? 0
    isAsking = false
    if (level >= 1) stop.abort()
    if (level >= 2) now.abort()
  }, POLL_INTERVAL_MS).unref()
  return { stop: stop.signal, now: now.signal, close: () => clearInterval(timer) }
}
