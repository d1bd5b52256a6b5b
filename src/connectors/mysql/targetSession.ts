import { randomUUID } from 'node:crypto'
import type { ResultSetHeader } from 'mysql2'
import { EngineError, type ErrorCode } from '../../../engine/errors.ts'
import { counted } from '../../../engine/plural.ts'
import { DEFAULT_TIMEOUTS } from '../declare/define.ts'
import { refusedByCode } from '../sql/obstacles.ts'
import { watchLocks } from '../wire/lockWatch.ts'
import { type Access, ask, connect, disconnect, type Session } from './connect.ts'
import { lockQuestions } from './locks.ts'
import { literal, tableName } from './types.ts'

const BY_ERRNO: Record<number, ErrorCode> = {
  // NULL, duplicate, foreign key, CHECK (4025 MariaDB's, 3819 MySQL's), no default, no partition (1526).
  ...codes<ErrorCode>(
    'CONSTRAINT_VIOLATED',
    1048,
    1062,
    1169,
    1216,
    1217,
    1364,
    1451,
    1452,
    1526,
    1557,
    1586,
    1761,
    3819,
    4025,
  ),
  // Out of range, cut, not of the type, JSON, not in the character set.
  ...codes<ErrorCode>('DATA_INVALID', 1264, 1265, 1292, 1300, 1366, 1406, 1411, 1690, 1977, 3140, 3854),
  ...codes<ErrorCode>('TARGET_INCOMPATIBLE', 1071, 1118, 1170, 1173, 1425, 1427, 3750),
  ...codes<ErrorCode>('RESOURCE_EXHAUSTED', 3, 1021, 1114, 1206),
  ...codes<ErrorCode>('CONNECTION_LOST', 1053, 1317),
  ...codes<ErrorCode>('PERMISSION_DENIED', 1142, 1148, 1227, 1370, 3948, 4166),
  1046: 'DATABASE_MISSING',
}

const HINTS: Partial<Record<ErrorCode, string>> = {
  CONSTRAINT_VIOLATED:
    'Nothing was loaded. Correct the rows, or the constraint that refuses them (of a partitioned table, add a partition).',
  DATA_INVALID: "Nothing was loaded. Widen the target's column, or add a row check for such values.",
  TARGET_INCOMPATIBLE: 'Create the table by hand with types that the server allows, or cast in the model.',
  PERMISSION_DENIED: 'Grant the user SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER and INDEX.',
  RESOURCE_EXHAUSTED: 'Free disk or memory on the server.',
}

/** MariaDB's innodb_force_primary_key, MySQL's sql_require_primary_key. */
const NEEDS_KEY = [1173, 3750]
/** A value that a unique index has already. */
export const DUPLICATE = 1062
/** The state of what a trigger says by itself; its number may be any. */
const SIGNAL = '45000'

/** Of single failures, before those of their codes. */
const HINT_OF: Record<number, string> = {
  ...codes(
    "Loads need LOAD DATA LOCAL: SET GLOBAL local_infile = 1, and local_infile = 1 in the server's configuration.",
    ...[1148, 3948, 4166],
  ),
  ...codes(
    'The server makes no table without a primary key: name the columns that identify a row in the load (key: member_id).',
    ...NEEDS_KEY,
  ),
  [DUPLICATE]:
    'Nothing was loaded. Correct the rows, or the unique index that refuses them. Values that only change places among rows the server takes in no order: drop such an index of the table; the key alone tells rows apart.',
}

function codes<Meaning>(meaning: Meaning, ...errnos: number[]): Record<number, Meaning> {
  return Object.fromEntries(errnos.map(errno => [errno, meaning]))
}

/** A failure of a load's statement with the code that its errno means; `where` names the target or its table. */
export function loadError(thrown: unknown, where: string): unknown {
  const cause = thrown instanceof EngineError ? thrown.cause : thrown
  const { errno, message, sqlState } = (cause ?? {}) as {
    errno?: number
    message?: string
    sqlState?: string
  }
  if (sqlState === SIGNAL) return refusedByCode(where, message!, cause)
  const code = errno === undefined ? undefined : BY_ERRNO[errno]
  if (!code)
    return thrown instanceof EngineError && thrown.code === 'SQL_FAILED'
      ? new EngineError('SQL_FAILED', `${where}: ${message}`, { cause })
      : thrown
  const hint = HINT_OF[errno!] ?? HINTS[code]
  return new EngineError(code, `${where}: ${message}`, { cause, hint })
}

// Strict, so that nothing is cut, rounded or replaced; 0 is a value also where the column counts by itself. A second
// attempt waits for the first, however long its transaction takes. MariaDB keeps a subquery's answer for values that are
// equal by their collation, and ours ask for bytes. A timestamp gets no default and no change of its own that its source has not.
const strict = (
  seconds: number,
) => `SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION',
  innodb_lock_wait_timeout = ${seconds}, lock_wait_timeout = ${seconds}, net_read_timeout = 600 /*M!100100 , optimizer_switch = 'subquery_cache=off' */ /*M!100804 , explicit_defaults_for_timestamp = ON */`

const lockSeconds = ({ timeouts = DEFAULT_TIMEOUTS }: Access) => Math.max(1, Math.ceil(timeouts.lock / 1000))

/** A connection prepared for loads: UTC, strict, nothing converted silently. */
export async function connectStrict(access: Access, signal?: AbortSignal): Promise<Session> {
  const session = await connect(access, signal)
  try {
    await ask(session, strict(lockSeconds(access)), signal)
    await ask(session, 'SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ', signal)
    return session
  } catch (error) {
    session.connection.destroy()
    throw error
  }
}

/**
 * Runs a statement that changes something, and gives the rows inserted or deleted, or of an UPDATE the rows found,
 * changed or not. Fails, naming the first, where there are warnings: DATA_INVALID, or what its code means.
 */
export async function change(
  session: Session,
  where: string,
  sql: string,
  signal?: AbortSignal,
): Promise<number> {
  try {
    const { affectedRows, warningStatus } = (await ask(session, sql, signal)) as unknown as ResultSetHeader
    await refuseWarnings(session, where, warningStatus)
    return affectedRows
  } catch (error) {
    throw loadError(error, where)
  }
}

/** InnoDB's columns of a table, at most. */
export const MAX_COLUMNS = 1017
/** Its row size, as CREATE TABLE foresees it. */
const ROW_SIZE = 1118

/**
 * Creates a table. Where its rows could be longer than a page, in the worst case of every column, the server is told to
 * make it all the same: a row that is too long is refused when it comes.
 */
export async function createTable(
  session: Session,
  where: string,
  sql: string,
  signal?: AbortSignal,
): Promise<void> {
  try {
    await change(session, where, sql, signal)
  } catch (error) {
    if (((error as EngineError).cause as { errno?: number } | undefined)?.errno !== ROW_SIZE) throw error
    await ask(session, 'SET SESSION innodb_strict_mode = OFF', signal)
    try {
      await ask(session, sql, signal)
    } catch (thrown) {
      throw loadError(thrown, where)
    } finally {
      await ask(session, 'SET SESSION innodb_strict_mode = ON', signal)
    }
  }
}

/**
 * Creates a table that a load makes for itself; `defined`: its columns and keys. It has none where the server asks for
 * none: lanes that fill it would wait for each other's numbers.
 */
export async function createOwnTable(
  session: Session,
  where: string,
  { name, defined, comment }: { name: string; defined: string[]; comment: string },
  signal?: AbortSignal,
): Promise<void> {
  const create = (all: string[]) =>
    createTable(
      session,
      where,
      `CREATE TABLE ${name} (${all.join(', ')}) ENGINE = InnoDB COMMENT = ${comment}`,
      signal,
    )
  try {
    await create(defined)
  } catch (error) {
    const { errno } = ((error as EngineError).cause ?? {}) as { errno?: number }
    if (!NEEDS_KEY.includes(errno ?? 0)) throw error
    await create([...defined, '`_nf_row` bigint NOT NULL AUTO_INCREMENT PRIMARY KEY'])
  }
}

/** Of statements, not of values: unsafe for a binary log of statements, deprecated syntax. */
const HARMLESS = [1287, 1592, 1681, 3719, 3778]

/** Fails with the first of the last statement's warnings that is about a value. */
export async function refuseWarnings(session: Session, where: string, count: number): Promise<void> {
  if (count === 0) return
  const warnings = await ask<{ Code: number; Message: string }>(session, 'SHOW WARNINGS')
  const first = warnings.find(({ Code }) => !HARMLESS.includes(Number(Code)))
  if (!first) return
  const code = BY_ERRNO[Number(first.Code)] ?? 'DATA_INVALID'
  throw new EngineError(code, `${where}: ${counted(count, 'warning')}, the first: ${first.Message}`, {
    hint: HINTS[code],
  })
}

/** SQL of the name of an owner's lock. */
export const ownerLock = (owner: string) => literal(`nightfreight ${owner}`)

/**
 * Takes locks, SQL of their names, one after the other: others wait until they are released. Fails with LOCK_TIMEOUT where one
 * cannot be had in time. `what`: what a load locks by them, for people.
 */
export async function takeLocks(
  session: Session,
  locks: string[],
  what: string,
  signal?: AbortSignal,
): Promise<void> {
  if (locks.length === 0) return
  const seconds = lockSeconds(session.access)
  const list = locks.map((lock, index) => `GET_LOCK(${lock}, ${seconds}) AS l${index}`)
  const [row] = await ask(session, `SELECT ${list.join(', ')}`, signal)
  const lacking = locks.find((_, index) => Number(row![`l${index}`]) !== 1)
  if (lacking === undefined) return
  const thread = await holderOf(session, lacking, signal)
  throw new EngineError(
    'LOCK_TIMEOUT',
    `${session.name}: the load waited ${seconds} s for connection ${thread}, which holds the lock of ${what}`,
    { hint: `If that load is no more, end it on the server, and run the job again: KILL ${thread};` },
  )
}

async function holderOf(session: Session, lock: string, signal?: AbortSignal): Promise<number> {
  const [row] = await ask(session, `SELECT IS_USED_LOCK(${lock}) AS thread`, signal)
  return Number(row!.thread)
}

/** The target's connection on the main thread: opened when first needed, again after a loss. */
export class TargetSession {
  readonly access: Access
  /** Whose the tables are that a load makes for itself: nobody drops them while this session's lock of it is held. */
  readonly owner = randomUUID()
  private opened: Promise<Session> | undefined
  /** The server's number of the connection opened last. */
  private thread: number | undefined
  private signal: AbortSignal | undefined
  /** By tables that a commit is making: the names under which they are filled. */
  readonly making = new Map<string, string>()
  /** Told of a statement that waits for a lock. */
  onWait: ((wait: string) => void) | undefined

  constructor(access: Access) {
    this.access = access
  }

  /** From here on an abort of `signal` ends every query that has no signal of its own. */
  heed(signal: AbortSignal | undefined): void {
    this.signal = signal
  }

  /** The name of a table as the commit under way finds it. */
  placeOf(table: string): string {
    return this.making.get(table) ?? table
  }

  /** The same, quoted. */
  quoted(table: string): string {
    return tableName(this.placeOf(table))
  }

  /** The connection; a transaction keeps to one, since a new one knows nothing of it. */
  async open(signal = this.signal): Promise<Session> {
    this.opened ??= this.start(signal)
    try {
      const session = await this.opened
      const { _closing, _fatalError } = session.connection as unknown as Record<string, unknown>
      if (!_closing && !_fatalError) return session
    } catch (error) {
      this.opened = undefined
      throw error
    }
    this.opened = undefined
    return this.open(signal)
  }

  private async start(signal?: AbortSignal): Promise<Session> {
    const session = await connectStrict(this.access, signal)
    const { threadId } = session.connection
    session.watch = () =>
      this.onWait && threadId
        ? watchLocks(() => lockQuestions(this.access, threadId), this.onWait)
        : undefined
    try {
      await this.claim(session, signal)
    } catch (error) {
      session.connection.destroy()
      throw error
    }
    this.thread = threadId ?? undefined
    return session
  }

  /**
   * Takes the owner's lock. The server may not know yet that this session's former connection is lost: that is ended
   * there, and waited for, until it is decided what has become of its transaction.
   */
  private async claim(session: Session, signal?: AbortSignal): Promise<void> {
    const lock = ownerLock(this.owner)
    // Who loads beside may hold it for a moment, to see whether its owner lives.
    if (this.thread !== undefined && (await holderOf(session, lock, signal)) === this.thread)
      await ask(session, `KILL ${this.thread}`, signal).catch(() => {})
    await takeLocks(session, [lock], 'what it stages', signal)
  }

  /** Rows of a query, as text. */
  async rows<R extends object = Record<string, string | null>>(
    sql: string,
    signal = this.signal,
  ): Promise<R[]> {
    const session = await this.open(signal)
    try {
      return await ask<R>(session, sql, signal)
    } catch (error) {
      throw loadError(error, this.access.name)
    }
  }

  async close(): Promise<void> {
    const session = await this.opened?.catch(() => undefined)
    this.opened = undefined
    if (session) await disconnect(session)
  }
}
