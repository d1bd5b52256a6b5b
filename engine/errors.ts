import { ownValue } from './ownValue.ts'

/**
 * Every failure the engine or a connector can name. A code decides the category (the history's and the
 * quarantine's vocabulary), whether a retry can help, and the exit code of the process; message text decides
 * nothing.
 */

/** Categories kept in the history and on quarantined rows. */
export type Category =
  | 'DATA_INTEGRITY_ERROR'
  | 'CONNECTION_ERROR'
  | 'TIMEOUT_ERROR'
  | 'PERMISSION_ERROR'
  | 'FORMAT_ERROR'
  | 'CONFIGURATION_ERROR'
  | 'QUALITY_ERROR'
  | 'RESOURCE_ERROR'
  | 'UNKNOWN_ERROR'

/** Process exit codes; 75 is sysexits' EX_TEMPFAIL: the same command may succeed later. */
export const EXIT = {
  ok: 0,
  unexpected: 1,
  usage: 2,
  quality: 3,
  data: 4,
  /** Of `plan --exit-code`. */
  changes: 10,
  retryable: 75,
  interrupted: 130,
} as const

interface CodeFacts {
  category: Category
  retryable: boolean
  exit: number
}

const facts = (category: Category, exit: number, retryable = false): CodeFacts => ({
  category,
  retryable,
  exit,
})

/** Every code, and what it decides. */
export const CODES = {
  CONFIG_INVALID: facts('CONFIGURATION_ERROR', EXIT.usage),
  MODEL_INVALID: facts('CONFIGURATION_ERROR', EXIT.usage),
  DATABASE_MISSING: facts('CONFIGURATION_ERROR', EXIT.usage),
  TABLE_MISSING: facts('CONFIGURATION_ERROR', EXIT.usage),
  COLUMN_MISSING: facts('CONFIGURATION_ERROR', EXIT.usage),
  SCHEMA_DRIFT: facts('CONFIGURATION_ERROR', EXIT.usage),
  TYPE_UNSUPPORTED: facts('CONFIGURATION_ERROR', EXIT.usage),
  TARGET_INCOMPATIBLE: facts('CONFIGURATION_ERROR', EXIT.usage),
  TARGET_CHANGED: facts('DATA_INTEGRITY_ERROR', EXIT.retryable),
  TLS_FAILED: facts('CONNECTION_ERROR', EXIT.usage),
  AUTH_FAILED: facts('PERMISSION_ERROR', EXIT.usage),
  PERMISSION_DENIED: facts('PERMISSION_ERROR', EXIT.usage),
  CONNECTION_FAILED: facts('CONNECTION_ERROR', EXIT.retryable, true),
  CONNECTION_LOST: facts('CONNECTION_ERROR', EXIT.retryable, true),
  TIMEOUT: facts('TIMEOUT_ERROR', EXIT.retryable, true),
  LOCK_TIMEOUT: facts('TIMEOUT_ERROR', EXIT.retryable, true),
  DEADLOCK: facts('CONNECTION_ERROR', EXIT.retryable, true),
  RESPONSE_INVALID: facts('FORMAT_ERROR', EXIT.data),
  DECODE_FAILED: facts('FORMAT_ERROR', EXIT.data),
  VALUE_INEXACT: facts('FORMAT_ERROR', EXIT.data),
  CONSTRAINT_VIOLATED: facts('DATA_INTEGRITY_ERROR', EXIT.data),
  DATA_INVALID: facts('DATA_INTEGRITY_ERROR', EXIT.data),
  DUPLICATE_KEY: facts('DATA_INTEGRITY_ERROR', EXIT.data),
  ENRICH_FAILED: facts('UNKNOWN_ERROR', EXIT.data),
  SQL_FAILED: facts('UNKNOWN_ERROR', EXIT.data),
  QUALITY_GATE: facts('QUALITY_ERROR', EXIT.quality),
  CHECK_STOPPED: facts('QUALITY_ERROR', EXIT.quality),
  GUARD_STOPPED: facts('QUALITY_ERROR', EXIT.quality),
  VERIFY_FAILED: facts('DATA_INTEGRITY_ERROR', EXIT.quality),
  ROWS_UNACCOUNTED: facts('DATA_INTEGRITY_ERROR', EXIT.quality),
  PLAN_UNUSABLE: facts('CONFIGURATION_ERROR', EXIT.usage),
  RESUME_REFUSED: facts('CONFIGURATION_ERROR', EXIT.usage),
  JOB_CHANGED: facts('CONFIGURATION_ERROR', EXIT.usage),
  RUN_OUTDATED: facts('CONFIGURATION_ERROR', EXIT.usage),
  NOT_STAGED: facts('CONFIGURATION_ERROR', EXIT.usage),
  LOG_LOST: facts('DATA_INTEGRITY_ERROR', EXIT.usage),
  STAGING_CORRUPT: facts('DATA_INTEGRITY_ERROR', EXIT.data),
  METADATA_CORRUPT: facts('DATA_INTEGRITY_ERROR', EXIT.data),
  RESOURCE_EXHAUSTED: facts('RESOURCE_ERROR', EXIT.retryable, true),
  MEMORY_EXCEEDED: facts('RESOURCE_ERROR', EXIT.usage),
  RUN_CONFLICT: facts('CONFIGURATION_ERROR', EXIT.retryable, true),
  FENCED: facts('UNKNOWN_ERROR', EXIT.retryable),
  INTERRUPTED: facts('UNKNOWN_ERROR', EXIT.interrupted),
} satisfies Record<string, CodeFacts>

export type ErrorCode = keyof typeof CODES

/** What may ride along with an error, for people and for the history. Never a secret. */
export interface ErrorContext {
  cause?: unknown
  /** What to do about it, one sentence. */
  hint?: string | undefined
}

/**
 * A failure with a stable code. The message says where, what and which value, for instance
 * `legacy.members.join_date: row 17 holds '0000-00-00', which a DATE cannot hold`.
 */
export class EngineError extends Error {
  override readonly name = 'EngineError'
  readonly code: ErrorCode
  readonly hint: string | undefined

  constructor(code: ErrorCode, message: string, context: ErrorContext = {}) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause })
    this.code = code
    this.hint = context.hint
  }

  get category(): Category {
    return CODES[this.code].category
  }

  get retryable(): boolean {
    return CODES[this.code].retryable
  }

  get exitCode(): number {
    return CODES[this.code].exit
  }
}

/** Several failures as one: the code is that of the first that a repeat would not mend, the message all of theirs. */
export function together(errors: readonly EngineError[]): EngineError {
  const worst = errors.find(({ retryable }) => !retryable) ?? errors[0]!
  if (errors.length === 1) return worst
  return new EngineError(worst.code, errors.map(({ message }) => message).join('\n'), {
    cause: worst,
    hint: [...new Set(errors.flatMap(({ hint }) => hint ?? []))].join('\n') || undefined,
  })
}

/** What `act` gives; undefined where it fails with that code. */
export async function unless<T>(code: ErrorCode, act: () => Promise<T>): Promise<T | undefined> {
  try {
    return await act()
  } catch (error) {
    if (error instanceof EngineError && error.code === code) return undefined
    throw error
  }
}

/** Plain data of an error, to cross a thread boundary: structured clone drops subclasses. */
export interface ErrorData {
  code?: ErrorCode
  message: string
  hint?: string | undefined
  stack?: string
}

/** Errors of the operating system about files, by Node's names of errno. */
const SYSTEM: Record<string, [ErrorCode, hint: string]> = {
  ...systemCodes(
    'RESOURCE_EXHAUSTED',
    'Make room (nightfreight gc removes old runs), then run it again.',
    'ENOSPC EDQUOT',
  ),
  ...systemCodes(
    'RESOURCE_EXHAUSTED',
    'Raise the limit of open files (ulimit -n), then run it again.',
    'EMFILE ENFILE',
  ),
  ...systemCodes(
    'RESOURCE_EXHAUSTED',
    'Check the machine and its disk, then run it again.',
    // UNKNOWN: what Node has no name for.
    'EIO ENOMEM EAGAIN EBUSY UNKNOWN',
  ),
  ...systemCodes('PERMISSION_DENIED', 'Check who owns the path, and its mode.', 'EACCES EPERM EROFS'),
  ...systemCodes('CONFIG_INVALID', 'Check the path.', 'ENOTDIR EISDIR EEXIST ENAMETOOLONG ELOOP ENOTEMPTY'),
  ...systemCodes('STAGING_CORRUPT', 'It was there before: it was removed meanwhile.', 'ENOENT'),
}

function systemCodes(code: ErrorCode, hint: string, names: string): typeof SYSTEM {
  return Object.fromEntries(names.split(' ').map(name => [name, [code, hint]]))
}

/** libuv's UV__UNKNOWN. */
const UNKNOWN_ERRNO = -4094

/** A failure of the operating system as an engine error; every other value as it is. */
export function systemError(thrown: unknown): unknown {
  if (!(thrown instanceof Error) || thrown instanceof EngineError) return thrown
  const { code: name, errno, syscall, path, message } = thrown as NodeJS.ErrnoException
  const code = name || (errno === UNKNOWN_ERRNO ? 'UNKNOWN' : '')
  const known = ownValue(SYSTEM, code)
  // What belongs to a connection has a system call, too, and no path.
  if (!known || (path === undefined && !/^E[MN]FILE$/.test(code))) return thrown
  const reason = message.replace(/^\w*(, Unknown error)?: /, '').replace(/(, | ').*/s, '')
  const error = new EngineError(known[0], `${path ?? syscall}: ${reason} (${code}, ${syscall})`, {
    cause: thrown,
    hint: known[1],
  })
  if (thrown.stack) error.stack = thrown.stack
  return error
}

/** Turns any thrown value into plain data. */
export function errorData(given: unknown): ErrorData {
  const thrown = systemError(given)
  if (thrown instanceof EngineError)
    return { code: thrown.code, message: thrown.message, hint: thrown.hint, stack: thrown.stack }
  if (thrown instanceof Error) return { message: thrown.message, stack: thrown.stack }
  return { message: String(thrown) }
}

/** What of an error is kept with what a task gives. */
export const plainError = ({ code, message, hint }: EngineError): ErrorData => ({
  code,
  message,
  ...(hint !== undefined && { hint }),
})

/** The inverse of {@link errorData}. */
export function errorFrom(data: ErrorData): Error {
  const error = data.code
    ? new EngineError(data.code, data.message, { hint: data.hint })
    : new Error(data.message)
  if (data.stack) error.stack = data.stack
  return error
}
