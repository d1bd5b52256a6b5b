import type { Connection, QueryError, RowDataPacket } from 'mysql2'
import { EngineError, type ErrorCode } from '../../../engine/errors.ts'
import type { Timeouts } from '../declare/define.ts'
import { LOCK_HINT, type LockWatch, withWait } from '../wire/lockWatch.ts'
import { PASSWORD_HINT } from '../wire/passwordHint.ts'
import { compressAtOnce, isCompressed } from './compressed.ts'
import { connectionOptions } from './url.ts'
import { socketOf } from './wire.ts'

/** What it takes to connect: plain data, so that a lane in another thread can. Never logged. */
export interface Access {
  /** The connection's name in job.yaml: errors start with it. */
  name: string
  url: string
  /** {@link DEFAULT_TIMEOUTS} where absent. */
  timeouts?: Timeouts
  /** Has both sides compress what they send. */
  compress?: true
}

/** One connection and the name its errors carry. */
export interface Session {
  name: string
  connection: Connection
  access: Access
  /** Watches a statement while it runs; gives what ends that. */
  watch?: () => LockWatch | undefined
}

const BY_ERRNO: Record<number, ErrorCode> = {
  // Connections, connections of a user, limits of an account, prepared statements; memory; disk.
  1040: 'RESOURCE_EXHAUSTED',
  1203: 'RESOURCE_EXHAUSTED',
  1226: 'RESOURCE_EXHAUSTED',
  1461: 'RESOURCE_EXHAUSTED',
  1021: 'RESOURCE_EXHAUSTED',
  1037: 'RESOURCE_EXHAUSTED',
  1038: 'RESOURCE_EXHAUSTED',
  1041: 'RESOURCE_EXHAUSTED',
  1044: 'AUTH_FAILED',
  1045: 'AUTH_FAILED',
  1698: 'AUTH_FAILED',
  1129: 'AUTH_FAILED',
  1130: 'AUTH_FAILED',
  1251: 'AUTH_FAILED',
  1820: 'AUTH_FAILED',
  1862: 'AUTH_FAILED',
  3118: 'AUTH_FAILED',
  4151: 'AUTH_FAILED',
  1049: 'DATABASE_MISSING',
  1142: 'PERMISSION_DENIED',
  1143: 'PERMISSION_DENIED',
  1227: 'PERMISSION_DENIED',
  1345: 'PERMISSION_DENIED',
  1146: 'TABLE_MISSING',
  1054: 'COLUMN_MISSING',
  1969: 'TIMEOUT',
  3024: 'TIMEOUT',
  1205: 'LOCK_TIMEOUT',
  1213: 'DEADLOCK',
  // The table was altered or made after the snapshot: "please retry transaction", and a new one sees it.
  1412: 'DEADLOCK',
  1153: 'CONFIG_INVALID',
  1053: 'CONNECTION_LOST',
  1159: 'CONNECTION_LOST',
  1161: 'CONNECTION_LOST',
  1317: 'CONNECTION_LOST',
  1927: 'CONNECTION_LOST',
  2013: 'CONNECTION_LOST',
}

const BY_CODE: Record<string, ErrorCode> = {
  ECONNREFUSED: 'CONNECTION_FAILED',
  ENOTFOUND: 'CONNECTION_FAILED',
  EAI_AGAIN: 'CONNECTION_FAILED',
  EHOSTUNREACH: 'CONNECTION_FAILED',
  ENETUNREACH: 'CONNECTION_FAILED',
  ETIMEDOUT: 'TIMEOUT',
  HANDSHAKE_NO_SSL_SUPPORT: 'CONFIG_INVALID',
  HANDSHAKE_SSL_ERROR: 'AUTH_FAILED',
  PROTOCOL_SEQUENCE_TIMEOUT: 'TIMEOUT',
  PROTOCOL_CONNECTION_LOST: 'CONNECTION_LOST',
  ECONNRESET: 'CONNECTION_LOST',
  EPIPE: 'CONNECTION_LOST',
}

const HINTS_BY_ERRNO: Record<number, string> = {
  1040: "All of the server's max_connections are taken: lower connection_pools.NAME.max_connections of the job or raise the limit.",
  1203: "All of the user's connections are taken: lower connection_pools.NAME.max_connections of the job or raise max_user_connections.",
  1226: 'The account reached a limit of its own (see SHOW GRANTS): raise it or wait for the next hour.',
  1153: 'Raise max_allowed_packet on the server.',
  1412: 'The table was altered, truncated or created since the snapshot was taken. A new attempt sees it.',
  1969: "The server's max_statement_time ended the query: raise it for this user.",
  3024: "The server's max_execution_time ended the query: raise it for this user.",
}

const HINTS: Partial<Record<ErrorCode, string>> = {
  LOCK_TIMEOUT: LOCK_HINT,
  AUTH_FAILED: 'Check the user, the password and the database of the connection, and its grants.',
  CONNECTION_FAILED: 'Check host and port, and that the server runs.',
  DATABASE_MISSING: 'Check the name of the database at the end of the URL.',
  PERMISSION_DENIED: 'Grant the user SELECT on the tables that the job reads.',
}

/** A failure of the driver or the server as an engine error; `name` is the connection's. */
export function engineError(name: string, thrown: unknown): EngineError {
  if (thrown instanceof EngineError) return thrown
  const error = thrown as Partial<QueryError> & { errors?: unknown[] }
  // A host with several addresses fails with all of their errors at once.
  const inner = error.message ? error : ((error.errors?.[0] ?? error) as Partial<QueryError>)
  // The driver overwrites the code of whatever ends the handshake; a lost socket still tells its address.
  const dropped = inner.code === 'HANDSHAKE_SSL_ERROR' && ('syscall' in inner || 'localAddress' in inner)
  const code =
    (dropped ? 'CONNECTION_LOST' : undefined) ??
    (inner.errno !== undefined ? BY_ERRNO[inner.errno] : undefined) ??
    (inner.code !== undefined ? BY_CODE[inner.code] : undefined) ??
    (inner.fatal || /closed state/.test(inner.message ?? '') ? 'CONNECTION_LOST' : 'SQL_FAILED')
  const message = `${name}: ${inner.message || inner.code || String(thrown)}`
  return new EngineError(code, message, { cause: thrown, hint: hintOf(inner, code)?.replace('NAME', name) })
}

function hintOf({ errno, code: native, message }: Partial<QueryError>, code: ErrorCode): string | undefined {
  if (native === 'HANDSHAKE_NO_SSL_SUPPORT')
    return 'The server speaks no TLS: set it up there, or take ssl-mode=DISABLED.'
  if (native === 'HANDSHAKE_SSL_ERROR')
    return "Check ssl-ca and, under ssl-mode=VERIFY_IDENTITY, that the server's certificate is for this host."
  if (errno === 1045 && /using password: NO/.test(message ?? '')) return PASSWORD_HINT
  return (errno !== undefined ? HINTS_BY_ERRNO[errno] : undefined) ?? HINTS[code]
}

// What a long read needs of its session, whatever the server's defaults: UTC; plain quoting; patience with a reader
// that writes Parquet in between; no limit that would cut a result off. And what a load needs: what is not in a transaction
// is committed, a transaction ends with its COMMIT, keys are checked, and warnings can be read.
const SESSION = `SET SESSION time_zone = '+00:00', sql_mode = '', net_write_timeout = 600, wait_timeout = 86400,
  sql_select_limit = 18446744073709551615, sql_big_selects = 1, group_concat_max_len = 4294967295,
  autocommit = 1, completion_type = 'NO_CHAIN', foreign_key_checks = 1, unique_checks = 1, sql_safe_updates = 0,
  max_error_count = 64`

const CONNECT_MS = 15_000

/** Connects and prepares the session. Text arrives as UTF-8, times in UTC. */
export async function connect(access: Access, signal?: AbortSignal): Promise<Session> {
  const { name } = access
  // A tenth of what a command takes to start, even where nothing is to be connected to.
  const { createConnection } = await import('mysql2')
  const connection = createConnection({
    ...connectionOptions(name, access.url),
    charset: 'utf8mb4',
    connectTimeout: access.timeouts?.connect ?? CONNECT_MS,
    dateStrings: true,
    supportBigNumbers: true,
    bigNumberStrings: true,
    multipleStatements: false,
    ...(access.compress && { compress: true }),
  })
  // A loss between queries surfaces at the next query; without a listener it would end the process.
  connection.on('error', () => {})
  const session: Session = { name, connection, access }
  try {
    await ask(session, SESSION, signal)
    if (access.compress) {
      if (!isCompressed(connection))
        throw new EngineError('CONFIG_INVALID', `${name}: the server compresses no connection`, {
          hint: 'Write compression: { network_transfer: none }, or leave that key out.',
        })
      compressAtOnce(connection)
    }
    return session
  } catch (error) {
    connection.destroy()
    throw error
  }
}

/** Runs one statement and gives its rows; an abort ends it, and the connection. */
export async function ask<R extends object = Record<string, string | null>>(
  session: Session,
  sql: string,
  signal?: AbortSignal,
): Promise<R[]> {
  const { name, connection } = session
  const { promise, resolve, reject } = Promise.withResolvers<R[]>()
  const watch = session.watch?.()
  const abort = () => {
    interrupt(session)
    reject(new EngineError('INTERRUPTED', `${name}: interrupted`))
  }
  if (signal?.aborted) abort()
  else {
    signal?.addEventListener('abort', abort, { once: true })
    connection.query<RowDataPacket[]>(sql, (error, rows) => {
      if (error) reject(engineError(name, error))
      else resolve(rows as unknown as R[])
    })
  }
  try {
    return await promise
  } catch (error) {
    throw withWait(error, watch?.last)
  } finally {
    watch?.stop()
    signal?.removeEventListener('abort', abort)
  }
}

/** How long the server may take to answer whoever ends a session of it. */
const KILL_MS = 3000

/**
 * Ends a session, on the server too, which would go on with its statement and keep its locks: by a connection of its own, since this
 * one waits for its answer.
 */
export function interrupt({ connection, access }: Session): void {
  const { threadId } = connection
  connection.destroy()
  if (!threadId) return
  const signal = AbortSignal.timeout(KILL_MS)
  const kill = async () => {
    const other = await connect(access, signal)
    await ask(other, `KILL ${threadId}`, signal).catch(() => {})
    await disconnect(other)
  }
  // What has ended by itself is gone; what cannot be reached now will find out when it sends.
  kill().catch(() => {})
}

/** Lets an abort {@link interrupt} whatever a session is at, until the function returned is called. */
export function interruptOn(signal: AbortSignal | undefined, session: Session): () => void {
  const abort = () => interrupt(session)
  if (signal?.aborted) abort()
  else signal?.addEventListener('abort', abort, { once: true })
  return () => signal?.removeEventListener('abort', abort)
}

/**
 * Says goodbye, or just hangs up where the connection is dead. The server closes once it counts the connection no more:
 * whoever opens another then has not two.
 */
export async function disconnect(session: Session): Promise<void> {
  const { connection } = session
  const socket = socketOf(connection)
  await new Promise<void>(resolve => {
    const timer = setTimeout(resolve, 2000)
    const done = () => {
      clearTimeout(timer)
      resolve()
    }
    connection.end(error => (error || socket.destroyed ? done() : socket.once('close', done)))
  })
  connection.destroy()
}
