import { EngineError } from '../../../engine/errors.ts'

/** A failure to look at what is read that is its own, for its read to say; any other is thrown. */
export function ownRefusal(error: unknown): EngineError {
  const isOwn =
    error instanceof EngineError &&
    !error.retryable &&
    error.code !== 'INTERRUPTED' &&
    error.code !== 'RESOURCE_EXHAUSTED'
  if (!isOwn) throw error
  return error
}
