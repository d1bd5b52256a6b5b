import type { Selection } from '../wire/selection.ts'

/**
 * What a value's text, the rows that are seen, and the meaning of a statement depend on. `undefined`: what the role, the
 * database and the connection's URL say, whatever a client before us set on a pooled connection.
 */
const SETTINGS: Record<string, string | undefined> = {
  TimeZone: 'UTC',
  DateStyle: 'ISO, MDY',
  IntervalStyle: 'postgres',
  bytea_output: 'hex',
  extra_float_digits: '1',
  xmloption: 'content',
  xmlbinary: 'base64',
  standard_conforming_strings: 'on',
  quote_all_identifiers: 'off',
  array_nulls: 'on',
  transform_null_equals: 'off',
  // A policy makes the server refuse, where it would give fewer rows in silence.
  row_security: 'off',
  role: undefined,
  search_path: undefined,
  lc_monetary: undefined,
}

/** Limits that would end a long read. One that the URL itself sets holds, for the COPY too: its source is `client`. */
const LIMITS = [
  'statement_timeout',
  'transaction_timeout',
  'idle_in_transaction_session_timeout',
  'idle_session_timeout',
]

/**
 * Statements that give our settings. `LOCAL`: until the transaction ends, which is all that holds where a pooler may
 * give the next transaction another connection. A database that does not check its text (SQL_ASCII) would fail on the
 * first byte that is not UTF-8, so it gives bytes.
 */
function settings(scope: 'SESSION' | 'LOCAL'): string {
  const local = scope === 'LOCAL'
  const sets = Object.entries(SETTINGS).map(
    ([name, value]) => `SET ${scope} ${name} TO ${value === undefined ? 'DEFAULT' : `'${value}'`}`,
  )
  return `${sets.join('; ')};
    SELECT set_config('client_encoding',
      CASE current_setting('server_encoding') WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END, ${local}),
      (SELECT count(set_config(name, '0', ${local})) FROM pg_settings
        WHERE source <> 'client' AND setting <> '0' AND name IN ('${LIMITS.join("', '")}'))`
}

/** Of a session, once it is connected. */
export const SESSION = settings('SESSION')

/** Of a transaction, once it has begun. */
export const LOCAL = settings('LOCAL')

/** Begins a read: all of it sees one state, the given exported snapshot or that of now. {@link LOCAL} follows. */
export function beginRead(snapshot?: string): string {
  const begin = 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY'
  return snapshot === undefined ? begin : `${begin}; SET TRANSACTION SNAPSHOT '${snapshot}'`
}

/**
 * Begins a transaction whose every statement sees the state of now: it locks tables, and exports a snapshot that is no older
 * than the locks.
 */
export const BEGIN_HOLD = 'BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY'

/** The connector's own keys of an extract. */
export interface PostgresExtract extends Selection {
  /** What a table gives whose row-level security applies to our role: an error, or what its policies show. */
  row_security?: 'refuse' | 'filter' | undefined
}

/** Sets it for the statements that follow in the transaction. */
export const rowSecurity = ({ row_security }: PostgresExtract) =>
  `SET LOCAL row_security TO ${row_security === 'filter' ? 'on' : 'off'}`
