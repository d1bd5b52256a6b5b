import { EngineError } from '../../../engine/errors.ts'

/** Bytes DuckDB may hold while a table is written or verified; what is more goes to the store's work folder. */
export const MEMORY = 512 * 1024 * 1024

/** Whether a statement needed more memory than it may have. */
export const isExceeded = (error: unknown): error is EngineError =>
  error instanceof EngineError && error.code === 'MEMORY_EXCEEDED'

/** The same failure with what helps, since what a job may have is not what a lake takes; every other as it is. */
export function withMeans(error: unknown, name: string): unknown {
  if (!isExceeded(error)) return error
  return new EngineError('MEMORY_EXCEEDED', `${name}: ${error.message}`, {
    cause: error,
    hint: 'A lake takes the same memory whatever resources.memory says: leave wide columns out in a model, or load them as a table of their own.',
  })
}
