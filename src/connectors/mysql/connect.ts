import { type Connection, createConnection, type QueryError, type RowDataPacket } from 'mysql2'
import { EngineError, type ErrorCode } from '../../../engine/errors.ts'

/** What it takes to connect: plain data, so that a lane in another thread can. Never logged. */
export interface Access {
  /** The connection's name in job.yaml: errors start with it. */
  name: string
  url: string
}

/** One connection and the name its errors carry. */
export interface Session {
  name: string
  connection: Connection
}

const BY_ERRNO: Record<number, ErrorCode> = {
  1040: 'RESOURCE_EXHAUSTED',
  1203: 'RESOURCE_EXHAUSTED',
  1226: 'RESOURCE_EXHAUSTED',
  1044: 'AUTH_FAILED',
  1045: 'AUTH_FAILED',
  1698: 'AUTH_FAILED',
  1049: 'DATABASE_MISSING',
  1142: 'PERMISSION_DENIED',
  1143: 'PERMISSION_DENIED',
  1227: 'PERMISSION_DENIED',
  1146: 'TABLE_MISSING',
  1054: 'COLUMN_MISSING',
  1969: 'TIMEOUT',
  3024: 'TIMEOUT',
  1205: 'DEADLOCK',
  1213: 'DEADLOCK',
  1412: 'DEADLOCK',
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
  PROTOCOL_SEQUENCE_TIMEOUT: 'TIMEOUT',
  PROTOCOL_CONNECTION_LOST: 'CONNECTION_LOST',
  ECONNRESET: 'CONNECTION_LOST',
  EPIPE: 'CONNECTION_LOST',
}

const HINTS: Partial<Record<ErrorCode, string>> = {
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
  const code =
    (inner.errno !== undefined ? BY_ERRNO[inner.errno] : undefined) ??
    (inner.code !== undefined ? BY_CODE[inner.code] : undefined) ??
    (inner.fatal || /closed state/.test(inner.message ?? '') ? 'CONNECTION_LOST' : 'SQL_FAILED')
  const message = `${name}: ${inner.message || inner.code || String(thrown)}`
  return new EngineError(code, message, { cause: thrown, hint: HINTS[code] })
}

// What a long read needs of its session, whatever the server's defaults: UTC; plain quoting; patience with a reader
// that writes Parquet in between; no limit that would cut a result off.
const SESSION = `SET SESSION time_zone = '+00:00', sql_mode = '', net_write_timeout = 600, wait_timeout = 86400,
  sql_select_limit = 18446744073709551615, sql_big_selects = 1`

/** Connects and prepares the session. Text arrives as UTF-8, times in UTC. */
export async function connect(access: Access, signal?: AbortSignal): Promise<Session> {
  const { name } = access
  const url = access.url.replace(/^mariadb:/i, 'mysql:')
  if (!URL.canParse(url))
    throw new EngineError('CONFIG_INVALID', `${name}: the connection's url is not a URL`, {
      hint: 'Write mysql://user:password@host:3306/database, with special characters percent-encoded.',
    })
  const connection = createConnection({
    uri: url,
    charset: 'utf8mb4',
    connectTimeout: 15_000,
    dateStrings: true,
    supportBigNumbers: true,
    bigNumberStrings: true,
    multipleStatements: false,
  })
  // A loss between queries surfaces at the next query; without a listener it would end the process.
  connection.on('error', () => {})
  const session = { name, connection }
  try {
    await ask(session, SESSION, signal)
    return session
  } catch (error) {
    connection.destroy()
    throw error
  }
}

/** Runs one statement and gives its rows; an abort destroys the connection. */
export async function ask<R extends object = Record<string, string | null>>(
  session: Session,
  sql: string,
  signal?: AbortSignal,
): Promise<R[]> {
  const { name, connection } = session
  const { promise, resolve, reject } = Promise.withResolvers<R[]>()
  const abort = () => {
    connection.destroy()
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
  } finally {
    signal?.removeEventListener('abort', abort)
  }
}

/** Says goodbye, or just hangs up where the connection is dead. */
export async function disconnect(session: Session): Promise<void> {
  const { connection } = session
  await new Promise<void>(resolve => {
    const timer = setTimeout(resolve, 2000)
    connection.end(() => {
      clearTimeout(timer)
      resolve()
    })
  })
  connection.destroy()
}
