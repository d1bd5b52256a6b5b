import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import { EngineError } from '../../../engine/errors.ts'
import { DEFAULT_TIMEOUTS } from '../declare/define.ts'
import { refusedByCode } from '../sql/obstacles.ts'
import { watchLocks, withWait } from '../wire/lockWatch.ts'
import { type Access, ask, connect, disconnect, hangUp, interruptOn, postgresError } from './connect.ts'
import { lockQuestions } from './locks.ts'

export type TextRow = Record<string, string | null>

// A statement whose client has gone (an attempt that took too long, a killed process) keeps its locks until it ends,
// and the next attempt waits for them: so the server looks. Not every server can, and it is not needed to be right.
const NOTICE = "SET client_connection_check_interval = '1s'"

// One that the connection's URL sets holds.
const LOCK_TIMEOUT = `SELECT set_config('lock_timeout', $1, false) FROM pg_settings
  WHERE name = 'lock_timeout' AND source <> 'client'`

/** The target's connection on the main thread: opened when first needed, again after a loss. */
export class TargetSession {
  readonly access: Access
  /** Whose the tables are that a load makes for itself: nobody drops them while this session's lock of it is held. */
  readonly owner = randomUUID()
  private opened: Promise<pg.Client> | undefined
  private signal: AbortSignal | undefined
  /** What was made sure of over this connection, and is asked for once. */
  private readonly assured = new Set<string>()
  /** Told of a statement that waits for a lock. */
  onWait: ((wait: string) => void) | undefined

  constructor(access: Access) {
    this.access = access
  }

  /** From here on an abort of `signal` ends every query that has no signal of its own. */
  heed(signal: AbortSignal | undefined): void {
    this.signal = signal
  }

  /** Runs SQL (several statements where there are no values); rows as the server's text. An abort ends it, and the connection. `where` begins the messages. */
  async query(
    sql: string,
    values: unknown[] = [],
    signal = this.signal,
    where = this.access.name,
  ): Promise<{ rows: TextRow[]; count: number }> {
    return this.with(signal, where, async client => {
      const { processID } = client as pg.Client & { processID: number }
      const watch = this.onWait && watchLocks(() => lockQuestions(this.access, processID), this.onWait)
      try {
        const result: pg.QueryResult | pg.QueryResult[] = await client.query({ text: sql, values })
        const last = Array.isArray(result) ? result.at(-1)! : result
        return { rows: last.rows as TextRow[], count: last.rowCount ?? 0 }
      } catch (error) {
        throw withWait(loadError(error, where), watch?.last)
      } finally {
        watch?.stop()
      }
    })
  }

  /** Does something over the connection. An abort ends it, and the connection. `where` begins the messages. */
  async with<T>(
    signal: AbortSignal | undefined,
    where: string,
    act: (client: pg.Client) => Promise<T>,
  ): Promise<T> {
    const { name } = this.access
    if (signal?.aborted) throw new EngineError('INTERRUPTED', `${name}: interrupted`)
    const client = await this.client(signal)
    const release = interruptOn(signal, client)
    try {
      return await act(client)
    } catch (error) {
      if (signal?.aborted) {
        // It is being hung up: whoever asks next needs another.
        this.opened = undefined
        throw new EngineError('INTERRUPTED', `${name}: interrupted`, { cause: error })
      }
      throw loadError(error, where)
    } finally {
      release()
    }
  }

  /** Does something once a connection. */
  async once(what: string, act: () => Promise<void>): Promise<void> {
    await this.client()
    if (this.assured.has(what)) return
    await act()
    this.assured.add(what)
  }

  async client(signal = this.signal): Promise<pg.Client> {
    if (this.opened) return this.opened
    // The end of an earlier connection, which may come late, is not that of the one in its place.
    const opening = this.open(() => {
      if (this.opened === opening) this.opened = undefined
    }, signal)
    this.opened = opening
    return opening
  }

  async close(): Promise<void> {
    const opened = this.opened
    this.opened = undefined
    const client = await opened?.catch(() => undefined)
    if (client) await disconnect(client)
  }

  private async open(forget: () => void, signal?: AbortSignal): Promise<pg.Client> {
    let client: pg.Client | undefined
    this.assured.clear()
    try {
      client = await connect(this.access, this.access.name, signal)
      client.on('end', forget).on('error', forget)
      await refusePooled(client, this.access, signal)
      await client.query(NOTICE).catch(() => {})
      const { lock } = this.access.timeouts ?? DEFAULT_TIMEOUTS
      await client.query(LOCK_TIMEOUT, [`${lock}ms`])
      // An interrupted connection keeps it until the server has seen that its client has gone.
      const own = `SELECT pg_advisory_lock(${ownerLock(`'${this.owner}'`)})`
      await ask(client, this.access.name, own, [], signal)
      return client
    } catch (error) {
      if (client) hangUp(client)
      forget()
      throw error
    }
  }
}

/**
 * Fails with CONFIG_INVALID where a pooler gives each transaction another connection (pgbouncer, pool_mode = transaction): what
 * a load holds beside its transaction, settings and a lock, would be somebody else's. A pooler makes up the number by which a
 * query is cancelled; one that hands the connection on while we keep ours, does so between transactions.
 */
async function refusePooled(client: pg.Client, access: Access, signal?: AbortSignal): Promise<void> {
  const { processID } = client as unknown as { processID: number }
  const backend = async (of: pg.Client) =>
    Number((await ask(of, access.name, 'SELECT pg_backend_pid() AS pid'))[0]!.pid)
  if ((await backend(client)) === processID) return
  const other = await connect(access, access.name, signal)
  try {
    if ((await backend(client)) !== (await backend(other))) return
  } finally {
    await disconnect(other)
  }
  await disconnect(client)
  throw new EngineError(
    'CONFIG_INVALID',
    `${access.name}: is reached through a pooler that gives each transaction another connection, and a load needs one of its own`,
    {
      hint: "Name the server itself in the connection's url, or a pool with pool_mode = session. A source may be read through any pool.",
    },
  )
}

/** SQL of the key of an owner's advisory lock. */
export const ownerLock = (owner: string) => `hashtextextended('nightfreight ' || ${owner}, 0)`

/** As {@link postgresError}; values that the target's own types refuse (SQLSTATE class 22) are DATA_INVALID, and what a function raises CONSTRAINT_VIOLATED. */
export function loadError(error: unknown, where: string): EngineError {
  if (error instanceof EngineError) return error
  const { code, message, where: context } = error as { code?: string; message?: string; where?: string }
  if (code === 'P0001' || / at RAISE$/m.test(context ?? '')) return refusedByCode(where, message!, error)
  if (!code?.startsWith('22') || code.length !== 5) return postgresError(error, where)
  return new EngineError('DATA_INVALID', `${where}: ${message}`, {
    cause: error,
    hint: "Nothing was loaded. Widen the target's column, or add a row check for such values.",
  })
}
