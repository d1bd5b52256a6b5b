import { EngineError, type ErrorCode } from '../../../engine/errors.ts'
import { EXHAUSTED } from '../../../engine/sql/duckdb.ts'

/** What DuckDB says where it cannot open a file, and no wait helps; it has no codes. */
const FAULTS: { says: RegExp; code: ErrorCode; hint: string }[] = [
  {
    says: EXHAUSTED,
    code: 'RESOURCE_EXHAUSTED',
    hint: 'Make room, or raise the limit of open files (ulimit -n).',
  },
  {
    says: /Permission denied|Operation not permitted|Read-only file system/,
    code: 'PERMISSION_DENIED',
    hint: 'Check who owns the file and its folder, their modes, and that they are mounted writable.',
  },
  {
    says: /Is a directory/,
    code: 'CONFIG_INVALID',
    hint: 'It is a folder: name a file in it, such as duckdb:FOLDER/warehouse.duckdb.',
  },
  {
    says: /No such file or directory|Not a directory|File name too long/,
    code: 'CONFIG_INVALID',
    hint: 'Check the path.',
  },
  {
    says: /not a valid DuckDB database file/,
    code: 'CONFIG_INVALID',
    hint: 'Name another file: one that is not there is made.',
  },
]
const HELD = {
  code: 'CONNECTION_FAILED',
  hint: 'Another process may hold the file, another run, or another connection of the job: DuckDB lets one write at a time.',
} as const

/** The failure to open a file; `what` names it. */
export function openingError(cause: Error, what: string): EngineError {
  const { code, hint } = FAULTS.find(({ says }) => says.test(cause.message)) ?? HELD
  return new EngineError(code, `${what} cannot be opened: ${cause.message}`, { cause, hint })
}
