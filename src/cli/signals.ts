import { EXIT } from '../../engine/errors.ts'

/**
 * What Ctrl-C asks of a run: once, to stop at the next commit; twice, to stop now, which loses no more than a kill
 * does. SIGTERM is like the first.
 */
export async function stoppable<T>(act: (stop: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController()
  const ask = () => {
    if (stop.signal.aborted) process.exit(EXIT.interrupted)
    process.stderr.write('Stopping at the next commit; once more stops now.\n')
    stop.abort()
  }
  const end = () => stop.abort()
  process.on('SIGINT', ask).on('SIGTERM', end)
  try {
    return await act(stop.signal)
  } finally {
    process.off('SIGINT', ask).off('SIGTERM', end)
  }
}
