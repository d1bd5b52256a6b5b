import { EngineError } from '../errors.ts'

/**
 * What `act` gives. On an abort `stop` is called, and it fails with INTERRUPTED at once, whether or not `act` heeds
 * that: whoever calls must not use what `act` works with any more.
 */
export async function abortable<T>(
  signal: AbortSignal,
  name: string,
  act: () => Promise<T>,
  stop: () => void,
): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const abort = () => {
    reject(new EngineError('INTERRUPTED', `${name}: interrupted`))
    stop()
  }
  if (signal.aborted) abort()
  else signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([promise, signal.aborted ? promise : act()])
  } finally {
    signal.removeEventListener('abort', abort)
    promise.catch(() => {})
  }
}
