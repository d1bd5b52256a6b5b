import { EXIT } from '../../engine/errors.ts'

/** What somebody who ends the process asks of what it does: `stop` at the next commit, `signal` at once. */
export interface Stopping {
  stop: AbortSignal
  signal: AbortSignal
}

/** Milliseconds until a stop at the next commit becomes one at once: whoever sent the signal may kill us soon. */
const PATIENCE_MS = 5000
/** Milliseconds that an end at once may take. */
const GRACE_MS = 12_000

/**
 * What Ctrl-C and SIGTERM ask of what `act` does: once, to stop at the next commit, and at once where that is not soon;
 * twice, to stop at once; three times, to end the process, which loses no more than a kill does.
 */
export async function stoppable<T>(act: (stopping: Stopping) => Promise<T>): Promise<T> {
  const stop = new AbortController()
  const now = new AbortController()
  const timers: NodeJS.Timeout[] = []
  const endNow = () => {
    if (now.signal.aborted) return
    now.abort()
    timers.push(setTimeout(endUnclosed, GRACE_MS).unref())
  }
  let isOver = false
  let signals = 0
  const ask = () => {
    signals++
    if (isOver) process.exit(EXIT.interrupted)
    // Not by what is asked already: the second signal may come when patience has just ended.
    if (signals > 2) endUnclosed()
    if (signals === 2) return endNow()
    process.stderr.write(
      `Stopping at the next commit, in ${PATIENCE_MS / 1000} s at the latest; once more stops now.\n`,
    )
    stop.abort()
    timers.push(setTimeout(endNow, PATIENCE_MS))
  }
  process.on('SIGINT', ask).on('SIGTERM', ask)
  try {
    return await act({ stop: stop.signal, signal: now.signal })
  } finally {
    // A signal that comes while the last words are written is one of a process that was asked to stop.
    isOver = true
    for (const timer of timers) clearTimeout(timer)
  }
}

function endUnclosed(): never {
  process.stderr.write('Ended before it was closed: what is committed is kept, the same command goes on.\n')
  process.exit(EXIT.interrupted)
}

/** What Ctrl-C and SIGTERM ask of what has no commits: the first stops it at once, the second ends the process. */
export async function stoppedAtOnce<T>(act: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const abort = new AbortController()
  const stop = () => abort.abort()
  process.once('SIGINT', stop).once('SIGTERM', stop)
  try {
    return await act(abort.signal)
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop)
  }
}
