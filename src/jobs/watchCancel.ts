import type { Metadata } from '../metadata/metadata.ts'

/** Milliseconds between two looks. */
const EVERY = 1000

/** Watches for `nightfreight cancel`: `stop` is for the next commit, `now` for at once. */
export function watchCancel(metadata: Metadata, run: string) {
  const stop = new AbortController()
  const now = new AbortController()
  const timer = setInterval(async () => {
    // The store may be away for a while: the lease's renewal judges that.
    const level = (await metadata.run(run).catch(() => undefined))?.cancel_requested ?? 0
    if (level >= 1) stop.abort()
    if (level >= 2) now.abort()
  }, EVERY).unref()
  return { stop: stop.signal, now: now.signal, close: () => clearInterval(timer) }
}
