import type { EngineError, ErrorCode } from '../errors.ts'

/** Failures of a system, of the run, or of the machine: other tables would fare no better. */
const OF_MANY: readonly ErrorCode[] = [
  'FENCED',
  'INTERRUPTED',
  'MEMORY_EXCEEDED',
  'AUTH_FAILED',
  'TLS_FAILED',
  'DATABASE_MISSING',
  'STAGING_CORRUPT',
  'METADATA_CORRUPT',
  'LOG_LOST',
]

/** Whether a failure is of one table, so that others may go on without it. A transient one is tried again instead. */
export const isOfOne = ({ code, retryable }: EngineError): boolean => !retryable && !OF_MANY.includes(code)

/** Whether the job goes on without an extract or load that failed so. */
export const isLeftOut = ({ onError }: { onError?: 'fail' | 'continue' }, error: EngineError): boolean =>
  onError === 'continue' && isOfOne(error)
