import { chmodSync, closeSync, openSync, statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { EngineError, type ErrorCode, systemError } from '../../engine/errors.ts'
import { makeFolder } from '../util/folder.ts'
import { setAside } from '../util/shell.ts'
import type { Database, Migration, Params, Queries } from './database.ts'
import { pending } from './migrate.ts'

/** How long another process may hold the store before a write gives up. */
const PATIENCE = 30_000

/** Primary result codes of https://sqlite.org/rescode.html. */
const CODES: Record<number, [ErrorCode, hint: string]> = {
  5: ['TIMEOUT', 'Another process holds it: look for one that is stopped, and continue or end it.'],
  8: ['PERMISSION_DENIED', 'Check who owns the file and its folder.'],
  10: ['RESOURCE_EXHAUSTED', 'Check the disk that holds it.'],
  13: ['RESOURCE_EXHAUSTED', 'Free space on the disk that holds it.'],
}

const CANTOPEN = 14

/** Damaged, or no SQLite file at all; and what is extended: a file that is shorter than it was. */
const CORRUPT = [11, 26]
const SHORT_READ = 522

/** A store in one SQLite file: WAL, safe for several processes of one machine. Never on a network file system. */
export class Sqlite implements Database {
  private readonly file: string
  private readonly db: DatabaseSync
  private readonly statements = new Map<string, StatementSync>()
  private migrations: Migration[] = []
  /** What runs or waits last. One connection: statements of others must not slip into a transaction. */
  private last: Promise<unknown> = Promise.resolve()

  constructor(file: string) {
    this.file = file
    try {
      makeFolder(dirname(file), 0o700)
      // Waits for others block the event loop, so they are short, and repeated.
      this.db = new DatabaseSync(file, { timeout: 20 })
      // For nobody else's eyes; the files beside it take its mode.
      chmodSync(file, 0o600)
    } catch (error) {
      throw failure(error, file)
    }
  }

  all<Row>(sql: string, params?: Params): Promise<Row[]> {
    return this.queued(() => this.patiently(() => this.direct.all<Row>(sql, params)))
  }

  run(sql: string, params?: Params): Promise<number> {
    return this.queued(() => this.patiently(() => this.direct.run(sql, params)))
  }

  transaction<T>(act: (queries: Queries) => Promise<T>, mayBeLost?: true): Promise<T> {
    return this.queued(async () => {
      // The log is then synced by the next write, with what was written to it before.
      if (mayBeLost) this.db.exec('PRAGMA synchronous = NORMAL')
      try {
        return await this.transact(act)
      } finally {
        if (mayBeLost) this.db.exec('PRAGMA synchronous = FULL')
      }
    })
  }

  private async transact<T>(act: (queries: Queries) => Promise<T>): Promise<T> {
    await this.patiently(async () => this.db.exec('BEGIN IMMEDIATE'))
    try {
      const result = await act(this.direct)
      this.db.exec('COMMIT')
      return result
    } catch (error) {
      if (this.db.isTransaction) this.db.exec('ROLLBACK')
      throw this.failureOf(error)
    }
  }

  async migrate(migrations: Migration[]): Promise<void> {
    // A migration may make a table anew that others refer to. The pragma does nothing inside a transaction.
    await this.patiently(async () =>
      this.db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF'),
    )
    this.migrations = migrations
    if (pending(migrations, this.version(), this.file).length > 0)
      await this.transaction(async () => {
        for (const { sqlite } of pending(migrations, this.version(), this.file)) this.db.exec(sqlite)
        this.db.exec(`PRAGMA user_version = ${migrations.length}`)
      })
    this.db.exec('PRAGMA foreign_keys = ON')
  }

  /** A millisecond a megabyte. */
  async verify(): Promise<void> {
    // What was read once is read again from the file only where another process has written since.
    await this.run('PRAGMA shrink_memory')
    const [found] = await this.all<{ quick_check: string }>('PRAGMA quick_check(1)')
    if (found?.quick_check !== 'ok') throw damaged(this.file, found!.quick_check)
  }

  async close(): Promise<void> {
    await this.queued(async () => this.db.close())
  }

  private readonly direct: Queries = {
    all: async <Row>(sql: string, params: Params = {}) =>
      this.prepared(sql)
        .all(params)
        .map(row => ({ ...row })) as Row[],
    run: async (sql, params = {}) => Number(this.prepared(sql).run(params).changes),
  }

  private version(): number {
    return (this.db.prepare('PRAGMA user_version').get() as { user_version: number }).user_version
  }

  /** Says so where a newer Nightfreight has changed the store under us: it is not damaged. */
  private failureOf(error: unknown): unknown {
    if (isMissing(error))
      try {
        pending(this.migrations, this.version(), this.file)
      } catch (newer) {
        return newer
      }
    return failure(error, this.file)
  }

  private prepared(sql: string): StatementSync {
    const known = this.statements.get(sql)
    if (known) return known
    const statement = this.db.prepare(sql)
    this.statements.set(sql, statement)
    return statement
  }

  private queued<T>(act: () => Promise<T>): Promise<T> {
    const result = this.last.then(act)
    this.last = result.catch(() => {})
    return result
  }

  private async patiently<T>(act: () => Promise<T>): Promise<T> {
    for (const deadline = performance.now() + PATIENCE; ; )
      try {
        return await act()
      } catch (error) {
        if (resultCode(error) !== 5 || performance.now() > deadline) throw this.failureOf(error)
        await delay(5 + Math.random() * 20)
      }
  }
}

// The low byte is the primary code, the rest says more.
const resultCode = (error: unknown) => Number((error as { errcode?: number })?.errcode) & 0xff

/** A table or column that every store of ours has. */
const isMissing = (error: unknown) =>
  resultCode(error) === 1 && /no such (table|column)|has no column/.test((error as Error).message)

function failure(error: unknown, file: string): unknown {
  if (error instanceof EngineError) return error
  const { message } = error as Error
  const code = resultCode(error)
  const isShort = (error as { errcode?: number }).errcode === SHORT_READ
  if (isShort || CORRUPT.includes(code) || isMissing(error)) return damaged(file, message, error)
  if (code === CANTOPEN) return whyNotOpened(file) ?? refused(error, file, CODES[8]!)
  const known = CODES[code]
  if (known?.[0] === 'RESOURCE_EXHAUSTED' && isFull(file))
    return new EngineError('RESOURCE_EXHAUSTED', `metadata store ${file}: the disk is full`, {
      cause: error,
      hint: 'Free some space there; then nightfreight gc removes old runs. What is committed is not done again.',
    })
  return known ? refused(error, file, known) : error
}

const damaged = (file: string, what: string, cause?: unknown) =>
  new EngineError('METADATA_CORRUPT', `metadata store ${file}: ${what}`, {
    cause,
    hint: `Restore it from a backup, or go on without its history: ${setAside(dirname(file))}. Targets stay as they are, and the next run compares with them. A scheduler is to be started anew.`,
  })

/** What the store needs to be opened at all, in bytes. */
const LEAST_FREE = 256 * 1024

function isFull(file: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(dirname(file))
    return bavail * bsize < LEAST_FREE
  } catch {
    return false
  }
}

const refused = (cause: unknown, file: string, [code, hint]: (typeof CODES)[number]) =>
  new EngineError(code, `metadata store ${file}: ${(cause as Error).message}`, { cause, hint })

/** SQLite does not say why it could not open a file: the system does. Undefined where it can be opened now. */
function whyNotOpened(file: string): unknown {
  try {
    closeSync(openSync(file, 'a', 0o600))
    return undefined
  } catch (error) {
    return systemError(error)
  }
}
