import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { EngineError } from '../../engine/errors.ts'
import { postgresError, quoteIdent } from '../connectors/postgres/connect.ts'
import type { Database, Migration, Params, Queries } from './database.ts'
import { pending } from './migrate.ts'
import { isAway, Patience } from './patience.ts'

const WHERE = 'metadata store'
const SCHEMA = 'nightfreight_metadata'

/** Milliseconds in which the store answers; whoever holds its lock loses it after 15 s. */
const ANSWER_MS = 20_000
const CLOSE_MS = 2000

/** Counts and sums: all far below 2^53. */
const NUMBERS: number[] = [pg.types.builtins.INT8, pg.types.builtins.NUMERIC]

/**
 * A store in a schema of a Postgres database, for several machines: `nightfreight_metadata`, or the first of the
 * search path that the URL sets (`?options=-c search_path=name`).
 */
export class Postgres implements Database {
  private readonly pool: pg.Pool
  private readonly schema: string
  private readonly lock: bigint
  private readonly patience = new Patience()

  constructor(url: string) {
    const { connectionString, schema } = settings(url)
    this.schema = schema
    this.lock = createHash('sha256').update(`nightfreight metadata ${schema}`).digest().readBigInt64BE()
    this.pool = new pg.Pool({
      connectionString,
      max: 3,
      connectionTimeoutMillis: 5_000,
      query_timeout: ANSWER_MS,
      keepAlive: true,
      application_name: 'nightfreight metadata',
      types: {
        getTypeParser: (oid: number, format?: 'text' | 'binary') =>
          NUMBERS.includes(oid) ? Number : pg.types.getTypeParser(oid, format),
      },
    })
    // A connection lost while idle is replaced at the next query; one lost in a transaction fails its query. Without
    // listeners either would end the process.
    this.pool.on('error', () => {})
    this.pool.on('connect', client => client.on('error', () => {}))
  }

  async all<Row>(sql: string, params?: Params): Promise<Row[]> {
    return (await this.ask(sql, params)).rows as Row[]
  }

  async run(sql: string, params?: Params): Promise<number> {
    return (await this.ask(sql, params)).rowCount ?? 0
  }

  transaction<T>(act: (queries: Queries) => Promise<T>): Promise<T> {
    return this.exclusively(client =>
      act({
        all: async <Row>(sql: string, params?: Params) => (await ask(client, sql, params)).rows as Row[],
        run: async (sql, params) => (await ask(client, sql, params)).rowCount ?? 0,
      }),
    )
  }

  async migrate(migrations: Migration[]): Promise<void> {
    const version = await this.patience
      .during(() => this.version(this.pool))
      .catch(error => {
        throw (error as { cause?: { code?: string } }).cause?.code === PROTOCOL_VIOLATION
          ? pooled(error)
          : error
      })
    if (pending(migrations, version, this.schema).length === 0) return
    await this.exclusively(async client => {
      // Not IF NOT EXISTS alone: that asks for the right to create schemas also where there is nothing to create.
      const { rows } = await ask(client, 'SELECT to_regnamespace(quote_ident(:schema)) AS there', {
        schema: this.schema,
      })
      if (rows[0]!.there === null) await ask(client, `CREATE SCHEMA ${quoteIdent(this.schema)}`)
      await ask(
        client,
        'CREATE TABLE IF NOT EXISTS schema_version (version BIGINT PRIMARY KEY, applied_at TIMESTAMPTZ NOT NULL DEFAULT now())',
      )
      const left = pending(migrations, await this.version(client), this.schema)
      // Another process was faster.
      if (left.length === 0) return
      for (const { postgres } of left) await ask(client, postgres)
      await ask(client, `INSERT INTO schema_version VALUES (${migrations.length})`)
    })
  }

  async close(): Promise<void> {
    // A server that does not answer does not say goodbye either.
    const stop = new AbortController()
    await Promise.race([this.pool.end(), delay(CLOSE_MS, undefined, { signal: stop.signal }).catch(() => {})])
    stop.abort()
  }

  /** What is lost with its connection is done again: of writes outside of transactions each leaves what it leaves once. */
  private ask(sql: string, params?: Params): ReturnType<typeof ask> {
    return this.patience.during(() => ask(this.pool, sql, params))
  }

  private async version(client: pg.Pool | pg.PoolClient): Promise<number> {
    const table = `${quoteIdent(this.schema)}.schema_version`
    const { rows } = await ask(
      client,
      `SELECT to_regclass(:name) AS there, current_setting('search_path') AS path`,
      { name: table },
    )
    if (rows[0]!.path !== this.schema) throw pooled()
    if (rows[0]!.there === null) return 0
    return (await ask(client, `SELECT coalesce(max(version), 0) AS version FROM ${table}`)).rows[0]!.version
  }

  private exclusively<T>(act: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    /** Of an attempt whose COMMIT was not answered. */
    let unsure: Unsure<T> | undefined
    return this.patience.during(async () => {
      const client = await this.pool.connect().catch(error => {
        throw postgresError(error, WHERE)
      })
      let broken: Error | undefined
      try {
        if (unsure && (await isCommitted(client, unsure.transaction))) return unsure.result
        unsure = undefined
        const transaction = await begin(client, this.lock)
        const result = await act(client)
        unsure = { transaction, result }
        await ask(client, 'COMMIT')
        return result
      } catch (error) {
        // A connection that cannot even roll back is not given to the next one.
        if (isAway(error)) broken = error as Error
        else {
          unsure = undefined
          await client.query('ROLLBACK').catch(failed => {
            broken = failed
          })
        }
        throw error
      } finally {
        client.release(broken)
      }
    })
  }
}

/** What a pooler says that takes no settings with a connection. */
const PROTOCOL_VIOLATION = '08P01'

/** A session that is not as it was asked to be: a pooler is between, and its next statement may be of another one. */
const pooled = (cause?: unknown) =>
  new EngineError(
    'CONFIG_INVALID',
    `${WHERE}: METADATA_URL leads to a pooler, which keeps no settings of a session`,
    {
      cause,
      hint: 'Name the server itself: a run, or a service, has three connections to it at most.',
    },
  )

interface Unsure<T> {
  transaction: string
  result: T
}

/** Begins a transaction of the store; gives its number. */
async function begin(client: pg.PoolClient, lock: bigint): Promise<string> {
  // As SQLite does it: reads and writes of two transactions never interleave.
  const results = (await ask(
    client,
    `BEGIN; SELECT pg_advisory_xact_lock(${lock}); SELECT pg_current_xact_id()::text AS id`,
  )) as unknown as pg.QueryResult<{ id: string }>[]
  return results.at(-1)!.rows[0]!.id
}

/** Whether a transaction was committed whose connection was lost: only the server knows. */
async function isCommitted(client: pg.PoolClient, transaction: string): Promise<boolean> {
  for (;;) {
    const { rows } = await ask(client, 'SELECT pg_xact_status(CAST(:id AS xid8)) AS status', {
      id: transaction,
    })
    if (rows[0]!.status !== 'in progress') return rows[0]!.status === 'committed'
    await delay(100)
  }
}

async function ask(
  client: pg.Pool | pg.PoolClient,
  sql: string,
  params?: Params,
): Promise<{ rows: pg.QueryResultRow[]; rowCount: number | null }> {
  const { text, names } = numbered(sql)
  try {
    // With parameters only: a script of several statements takes none.
    return await client.query(text, params && names.map(name => params[name]))
  } catch (error) {
    throw postgresError(error, WHERE)
  }
}

const texts = new Map<string, { text: string; names: string[] }>()

/** `:name` as `$1`, the same number wherever it is used; casts (`::`) and string literals are left alone. */
function numbered(sql: string): { text: string; names: string[] } {
  const known = texts.get(sql)
  if (known) return known
  const names: string[] = []
  const text = sql.replace(/'[^']*'|::\w+|:([a-z_]\w*)/gi, (whole, name?: string) => {
    if (name === undefined) return whole
    if (!names.includes(name)) names.push(name)
    return `$${names.indexOf(name) + 1}`
  })
  const result = { text, names }
  texts.set(sql, result)
  return result
}

function settings(text: string): { connectionString: string; schema: string } {
  if (!URL.canParse(text) || !/^postgres(ql)?:$/.test(new URL(text).protocol))
    // The parser's own message would quote the URL.
    throw new EngineError('CONFIG_INVALID', 'METADATA_URL is not a Postgres URL', {
      hint: 'Write postgres://user:password@host:5432/database, with special characters percent-encoded.',
    })
  const url = new URL(text)
  const own = url.searchParams.get('options') ?? ''
  const schema = /search_path=([^\s,]+)/.exec(own)?.[1] ?? SCHEMA
  // A process that is stopped inside a transaction loses it, and with it the lock that all others wait for.
  const session = `-c search_path=${schema} -c statement_timeout=60s -c idle_in_transaction_session_timeout=15s`
  url.searchParams.set('options', `${own} ${session}`.trim())
  return { connectionString: url.href, schema }
}
