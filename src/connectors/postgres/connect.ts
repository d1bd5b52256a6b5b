import { createRequire } from 'node:module'
import { connect as connectSocket } from 'node:net'
import type pg from 'pg'
import { EngineError, type ErrorCode } from '../../../engine/errors.ts'
import type { Timeouts } from '../declare/define.ts'
import { nameParts } from '../sql/names.ts'
import { LOCK_HINT } from '../wire/lockWatch.ts'
import { PASSWORD_HINT } from '../wire/passwordHint.ts'
import { serverOf } from '../wire/server.ts'
import { steadySocket } from '../wire/steadySocket.ts'
import { SESSION } from './settings.ts'
import { type Transport, transportOf } from './transport.ts'
import { LOST_HINT, socketOf } from './wire.ts'

/** A connection's settings as job.yaml gives them. Never logged: the URL may hold a password. */
export interface PostgresConfig {
  url: string
}

/** What it takes to connect: plain data, so that a lane in another thread can. Never logged. */
export interface Access extends PostgresConfig {
  /** The connection's name in job.yaml: errors start with it. */
  name: string
  /** {@link DEFAULT_TIMEOUTS} where absent. */
  timeouts?: Timeouts
  /** Bytes of its log that the server may keep for a job. */
  maxKeptLog?: number
}

/** A row as the server writes it: every value its text, booleans `t` and `f`. */
export type TextRow = Record<string, string | null>

// Whole SQLSTATEs first, then their classes (the first two characters).
const BY_STATE: Record<string, ErrorCode> = {
  '28': 'AUTH_FAILED',
  '3D000': 'DATABASE_MISSING',
  '42501': 'PERMISSION_DENIED',
  '42P01': 'TABLE_MISSING',
  '3F000': 'TABLE_MISSING',
  '42703': 'COLUMN_MISSING',
  '22021': 'DATA_INVALID',
  '22P05': 'DATA_INVALID',
  '57014': 'TIMEOUT',
  '55P03': 'LOCK_TIMEOUT',
  '40P01': 'DEADLOCK',
  '40001': 'DEADLOCK',
  '57P01': 'CONNECTION_LOST',
  '57P02': 'CONNECTION_LOST',
  '57P03': 'CONNECTION_FAILED',
  '57P05': 'CONNECTION_LOST',
  '25P03': 'CONNECTION_LOST',
  '08': 'CONNECTION_LOST',
  '23': 'CONSTRAINT_VIOLATED',
  '53': 'RESOURCE_EXHAUSTED',
  ECONNREFUSED: 'CONNECTION_FAILED',
  ENOTFOUND: 'CONNECTION_FAILED',
  EAI_AGAIN: 'CONNECTION_FAILED',
  EHOSTUNREACH: 'CONNECTION_FAILED',
  ENETUNREACH: 'CONNECTION_FAILED',
  ENOENT: 'CONNECTION_FAILED',
  ETIMEDOUT: 'TIMEOUT',
  ECONNRESET: 'CONNECTION_LOST',
  EPIPE: 'CONNECTION_LOST',
  EPROTO: 'TLS_FAILED',
}

// Node's names: X509_V_ERR_… without the prefix, and its own and OpenSSL's errors.
const TLS = /^ERR_(TLS|SSL|OSSL)_|CERT|CRL|^(UNABLE_TO|INVALID|PATH_LENGTH|HOSTNAME)_/
// The driver has no code for it.
const NO_PASSWORD = /client password must be a (non-empty )?string/
const NO_TLS = 'The server does not support SSL connections'

const HINTS: Partial<Record<ErrorCode, string>> = {
  AUTH_FAILED: "Check the connection's user and password, and the server's pg_hba.conf.",
  CONNECTION_FAILED: 'Check host and port, and that the server runs and accepts connections.',
  TLS_FAILED:
    "Check sslmode, sslrootcert, sslcert and sslkey of the connection's URL against the server's certificate and host name.",
  DATABASE_MISSING: 'Check the name of the database at the end of the URL.',
  CONNECTION_LOST: LOST_HINT,
  PERMISSION_DENIED:
    'Grant the user what the statement needs: SELECT to read, or of an extract name the columns that it may read (select:); INSERT, UPDATE and CREATE to load.',
  TABLE_MISSING: 'Check the name of the table and its schema.',
  COLUMN_MISSING: 'Check the name of the column against the table.',
  TIMEOUT: 'Check the network, and statement_timeout of the user or the server.',
  LOCK_TIMEOUT: LOCK_HINT,
  DEADLOCK: 'Run the job again: another transaction was in the way.',
  DATA_INVALID:
    "The table holds text that its database's encoding does not give as UTF-8: correct it there, or read a view that does.",
  CONSTRAINT_VIOLATED:
    'Nothing was loaded. Correct the rows or the constraint that refuses them; or, with on_bad_row: quarantine in this load, such rows go to the quarantine and the others are loaded.',
  RESOURCE_EXHAUSTED: 'Free disk, memory or connections on the server, or use fewer threads.',
}

// Our transactions write at READ COMMITTED: only replay on a hot standby gives them this one.
const STANDBY =
  'Run the job again. If the source is a hot standby, replay removed rows that the read still needed: set hot_standby_feedback = on there, or raise max_standby_streaming_delay.'

const TOO_WIDE =
  'A row of Postgres has a page of 8 kB, and only texts and the like are kept beside it: cast numbers of so many columns to smaller types (::SMALLINT, ::INTEGER), or split them into tables that share the key.'
const NO_PARTITION =
  'Nothing was loaded. Make a partition that takes the row (CREATE TABLE … PARTITION OF … FOR VALUES …, or … DEFAULT for all others); with partitions: { every: month } in this load those of days are made.'

const ROW_SECURITY =
  'Policies of the table would hide rows from the user. Take one to whom they do not apply: its owner, or one with BYPASSRLS (ALTER ROLE … BYPASSRLS, as a superuser).'

/** Messages that tell more than their code does, and what helps. */
const SAID: [RegExp, string][] = [
  [/^row is too big/, TOO_WIDE],
  [/^no partition of relation/, NO_PARTITION],
  [/row-level security policy/, ROW_SECURITY],
]

/** What of an error of the driver is looked at. */
interface Failure {
  code?: string
  message?: string
  detail?: string
  schema?: string
  table?: string
  constraint?: string
}

/** What helps where rows of a table refer to others of it that come or go in the same load, which the server checks statement by statement. */
function ownKeyHint({ code, detail, schema, table, constraint }: Failure): string | undefined {
  if (code !== '23503' || !table || !constraint || !detail?.endsWith(` "${table}".`)) return undefined
  const own = `ALTER TABLE ${quoteIdent(schema!)}.${quoteIdent(table)} ALTER CONSTRAINT ${quoteIdent(constraint)} DEFERRABLE`
  return `Nothing was loaded. If the rows are right, and refer to rows of their own load: ${own}. It is then checked at the end of the load. Otherwise, or where the key is DEFERRABLE already, correct the rows.`
}

const LOST = /terminated|not queryable|was closed|stream was destroyed|after end|before secure TLS/i

/** A failure of the driver or the server as an engine error. `where` starts the message: the connection's name. */
export function postgresError(error: unknown, where: string): EngineError {
  if (error instanceof EngineError) return error
  const outer = error as { errors?: unknown[]; message?: string }
  // A host with several addresses fails with all of their errors at once.
  const inner = (outer?.errors?.[0] ?? error) as Failure
  const state = inner?.code ?? ''
  const text = inner?.message || state || String(error)
  if (text === NO_TLS)
    return new EngineError('TLS_FAILED', `${where}: the server does not offer TLS`, {
      cause: error,
      hint: 'Switch TLS on at the server (ssl = on), or take sslmode=prefer or disable where the network is trusted.',
    })
  if (NO_PASSWORD.test(text))
    return new EngineError('AUTH_FAILED', `${where}: the server asks for a password, and none is given`, {
      cause: error,
      hint: PASSWORD_HINT,
    })
  const code =
    BY_STATE[state] ??
    (TLS.test(state) ? 'TLS_FAILED' : undefined) ??
    BY_STATE[/^[0-9A-Z]{5}$/.test(state) ? state.slice(0, 2) : ''] ??
    (/timeout/i.test(text) ? 'TIMEOUT' : LOST.test(text) ? 'CONNECTION_LOST' : 'SQL_FAILED')
  // A failing row holds all its values: who it is says its key, see `findViolation`.
  const isWhole = state.startsWith('23') && /^Failing row contains/i.test(inner?.detail ?? '')
  const detail = inner?.detail && !isWhole ? ` (${inner.detail})` : ''
  const hint =
    state === '40001'
      ? STANDBY
      : (ownKeyHint(inner) ?? SAID.find(([pattern]) => pattern.test(text))?.[1] ?? HINTS[code])
  return new EngineError(code, `${where}: ${text}${detail}`, { cause: error, hint })
}

/** A snapshot that cannot be joined: the session that exported it has gone, and a new attempt exports another. */
export function snapshotError(error: unknown, where: string): EngineError {
  const found = postgresError(error, where)
  // invalid_parameter_value, undefined_object, object_not_in_prerequisite_state: as the version has it.
  if (!['22023', '42704', '55000'].includes((error as { code?: string }).code ?? '')) return found
  return new EngineError('CONNECTION_LOST', found.message, { cause: error, hint: STANDBY })
}

/**
 * Connects and prepares the session: UTF-8, UTC, ISO dates; results are the server's text. `name` is the
 * connection's. `replication`: a session that speaks of the log, too. Every error is an {@link EngineError}.
 */
export async function connect(
  access: Access,
  name?: string,
  signal?: AbortSignal,
  replication?: 'database',
): Promise<pg.Client>
export async function connect(config: PostgresConfig, name: string, signal?: AbortSignal): Promise<pg.Client>
export async function connect(
  config: PostgresConfig & Partial<Access>,
  name: string = config.name ?? 'postgres',
  signal?: AbortSignal,
  replication?: 'database',
): Promise<pg.Client> {
  const { connect: timeoutMillis } = config.timeouts ?? {}
  const transport = {
    ...transportOf(config.url, name),
    ...(timeoutMillis !== undefined && { timeoutMillis }),
  }
  try {
    return await connectOnce(transport, name, signal, replication)
  } catch (error) {
    const { cause } = error as { cause?: Error }
    if (!transport.orPlain || cause?.message !== NO_TLS) throw error
    return connectOnce({ ...transport, ssl: false }, name, signal, replication)
  }
}

async function connectOnce(
  transport: Transport,
  name: string,
  signal?: AbortSignal,
  replication?: 'database',
): Promise<pg.Client> {
  const client = newClient(transport, name, replication)
  // A loss between queries surfaces at the next query; without a listener it would end the process.
  client.on('error', () => {})
  const abort = () => hangUp(client)
  signal?.addEventListener('abort', abort, { once: true })
  try {
    signal?.throwIfAborted()
    await client.connect()
    await client.query(SESSION)
    return client
  } catch (error) {
    hangUp(client)
    if (signal?.aborted) throw new EngineError('INTERRUPTED', `${name}: interrupted`)
    throw postgresError(error, name)
  } finally {
    signal?.removeEventListener('abort', abort)
  }
}

function newClient(
  { url, ssl, timeoutMillis }: Transport,
  name: string,
  replication?: 'database',
): pg.Client {
  // Where nothing is to be connected to, it would only make a command slower to start.
  const { Client } = createRequire(import.meta.url)('pg') as typeof pg
  try {
    return new Client({
      connectionString: url,
      ...(ssl !== undefined && { ssl }),
      connectionTimeoutMillis: timeoutMillis,
      stream: steadySocket,
      keepAlive: true,
      application_name: 'nightfreight',
      ...(replication && { replication }),
      types: { getTypeParser: () => (value: string | Buffer) => value },
    })
  } catch {
    // The parser's own message would quote the URL.
    throw new EngineError('CONFIG_INVALID', `${name}: the connection's url is not a Postgres URL`, {
      hint: 'Write postgres://user:password@host:5432/database, with special characters percent-encoded.',
    })
  }
}

/** The database that a URL leads to. */
export function placeOf(url: string): string {
  const { host, port, database = '' } = newClient(transportOf(url, 'postgres'), 'postgres')
  return `postgres:${serverOf(host, port)}/${database}`
}

/** Drops the connection at once: nothing more is read or said. */
export function hangUp(client: pg.Client): void {
  socketOf(client).destroy()
}

// The protocol's CancelRequest (PostgreSQL documentation, "Canceling Requests in Progress"): a connection of its own, that
// says no more than the backend's number and its secret.
const CANCEL_REQUEST = 80877102
const CANCEL_MS = 2000

/**
 * Ends the statement under way, on the server too, and the connection. A server that was told nothing goes on until it
 * has something to send, and keeps its locks.
 */
export function interrupt(client: pg.Client): void {
  const { host, port, processID, secretKey } = client as pg.Client & Record<'processID' | 'secretKey', number>
  if (!processID) {
    hangUp(client)
    return
  }
  const socket = host.startsWith('/') ? connectSocket(`${host}/.s.PGSQL.${port}`) : connectSocket(port, host)
  const request = Buffer.alloc(16)
  for (const [index, word] of [16, CANCEL_REQUEST, processID, secretKey].entries())
    request.writeInt32BE(word, index * 4)
  const done = () => {
    socket.destroy()
    hangUp(client)
  }
  socket.on('error', done).on('close', done).setTimeout(CANCEL_MS, done)
  // The server closes the connection once it has seen to it.
  socket.end(request)
}

/** Lets an abort {@link interrupt} whatever a connection is at, until the function returned is called. */
export function interruptOn(signal: AbortSignal | undefined, client: pg.Client): () => void {
  const abort = () => interrupt(client)
  if (signal?.aborted) abort()
  else signal?.addEventListener('abort', abort, { once: true })
  return () => signal?.removeEventListener('abort', abort)
}

/** Says goodbye, or just hangs up where the connection is dead. */
export async function disconnect(client: pg.Client): Promise<void> {
  const timer = setTimeout(() => hangUp(client), 2000)
  await client.end().catch(() => {})
  clearTimeout(timer)
}

/** Runs one statement and gives its rows; an abort ends it, and the connection. */
export async function ask<R extends object = TextRow>(
  client: pg.Client,
  name: string,
  sql: string,
  params: unknown[] = [],
  signal?: AbortSignal,
): Promise<R[]> {
  const release = interruptOn(signal, client)
  try {
    return (await client.query(sql, params)).rows as R[]
  } catch (error) {
    if (signal?.aborted) throw new EngineError('INTERRUPTED', `${name}: interrupted`)
    throw postgresError(error, name)
  } finally {
    release()
  }
}

/** An identifier, quoted: `"members"`. */
export function quoteIdent(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** A table's name, quoted part by part: `mart.members` gives `"mart"."members"`. */
export function quoteTable(table: string): string {
  return nameParts(table).map(quoteIdent).join('.')
}

/** A string literal, safe whatever standard_conforming_strings says. */
export function quoteLiteral(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`
  return text.includes('\\') ? ` E${quoted.replaceAll('\\', '\\\\')}` : quoted
}
