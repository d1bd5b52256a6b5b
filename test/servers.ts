import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import mysql from 'mysql2/promise'
import pg from 'pg'
import { createDatabase as createMariadbDatabase, startMariadb } from '../src/demo/servers/mariadb.ts'
import { createDatabase as createPostgresDatabase, startPostgres } from '../src/demo/servers/postgres.ts'
import type { RunningServer } from '../src/demo/servers/process.ts'
import { ensureMariadb } from './mariadb.ts'

/** What registers a clean-up: a test's context, or node:test itself for the whole file. */
export interface Hooks {
  after(clean: () => Promise<void>): void
}

export type Row = Record<string, unknown>

/**
 * A database of a test's own. `query` runs SQL (several statements where there are no parameters) and gives the
 * rows of the last; dates and times come as the server's text, big integers and decimals as strings.
 */
export interface FreshDatabase {
  url: string
  name: string
  query<R extends object = Row>(sql: string, params?: unknown[]): Promise<R[]>
}

/**
 * A fresh Postgres database on the shared server (one started for the occasion where `npm test` did not). It is
 * dropped in the after hook, which fails where connections or replication slots are left on it.
 */
export async function freshPostgres(hooks: Hooks = { after }): Promise<FreshDatabase> {
  const server = await shared('TEST_POSTGRES_URL', dir => startPostgres({ dir }))
  const name = freshName()
  const url = await createPostgresDatabase(server, name)
  const client = new pg.Client({ connectionString: url, types: { getTypeParser: plainText } })
  await client.connect()
  hooks.after(async () => {
    await client.end()
    const admin = new pg.Client({ connectionString: server.url })
    await admin.connect()
    try {
      const left = await settled(async () => {
        const { rows } = await admin.query(
          `SELECT 'connection' AS what, application_name, state, query FROM pg_stat_activity
            WHERE datname = $1 AND backend_type IN ('client backend', 'walsender')
           UNION ALL SELECT 'replication slot', slot_name, NULL, NULL FROM pg_replication_slots WHERE database = $1`,
          [name],
        )
        return rows
      })
      await admin.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1`, [name])
      await admin.query(
        `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1`,
        [name],
      )
      await admin.query(`DROP DATABASE "${name}" WITH (FORCE)`)
      complain(url, left)
    } finally {
      await admin.end()
      await server.stop()
    }
  })
  return {
    url,
    name,
    async query<R extends object>(sql: string, params?: unknown[]) {
      const result: pg.QueryResult | pg.QueryResult[] = await client.query(sql, params)
      return ((Array.isArray(result) ? result.at(-1) : result)?.rows ?? []) as R[]
    },
  }
}

/** The same for MariaDB; the after hook fails where connections that use the database are left. */
export async function freshMariadb(hooks: Hooks = { after }): Promise<FreshDatabase> {
  const server = await shared('TEST_MARIADB_URL', dir => {
    ensureMariadb()
    return startMariadb({ dir })
  })
  const name = freshName()
  const url = await createMariadbDatabase(server, name)
  const client = await mysql.createConnection({
    uri: url,
    multipleStatements: true,
    dateStrings: true,
    supportBigNumbers: true,
    bigNumberStrings: true,
    timezone: 'Z',
  })
  hooks.after(async () => {
    await client.end()
    const admin = await mysql.createConnection(server.url)
    try {
      const left = await settled(async () => {
        const sql = 'SELECT id, user, command, state, info FROM information_schema.processlist WHERE db = ?'
        return (await admin.query<mysql.RowDataPacket[]>(sql, [name]))[0]
      })
      for (const { id } of left) await admin.query('KILL ?', [id]).catch(() => {})
      await admin.query(`DROP DATABASE ${mysql.escapeId(name)}`)
      complain(url, left)
    } finally {
      await admin.end()
      await server.stop()
    }
  })
  return {
    url,
    name,
    async query<R extends object>(sql: string, params?: unknown[]) {
      const [result] = await client.query<mysql.RowDataPacket[] | mysql.RowDataPacket[][]>(sql, params)
      if (!Array.isArray(result)) return []
      const last: unknown = Array.isArray(result[0]) ? result.findLast(Array.isArray) : result
      return last as R[]
    },
  }
}

async function shared(
  variable: string,
  start: (dir: string) => Promise<RunningServer>,
): Promise<{ url: string; stop(): Promise<void> }> {
  const url = process.env[variable]
  if (url) return { url, stop: async () => {} }
  const dir = mkdtempSync(join(tmpdir(), 'nightfreight-test-'))
  const server = await start(dir)
  return {
    url: server.url,
    async stop() {
      await server.stop()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

// Both servers end a session a moment after its client has gone, so the first look proves nothing.
async function settled<T>(look: () => Promise<T[]>): Promise<T[]> {
  for (let attempt = 1; ; attempt++) {
    const left = await look()
    if (left.length === 0 || attempt === 40) return left
    await delay(50)
  }
}

function complain(url: string, left: object[]): void {
  if (left.length === 0) return
  const lines = left.map(row => `  ${JSON.stringify(row)}`).join('\n')
  throw new Error(`${left.length} left open on ${new URL(url).pathname.slice(1)} after the tests:\n${lines}`)
}

const plainText = (oid: number, format?: 'text' | 'binary') =>
  [pg.types.builtins.DATE, pg.types.builtins.TIMESTAMP, pg.types.builtins.TIMESTAMPTZ].includes(oid)
    ? (value: string) => value
    : pg.types.getTypeParser(oid, format)

function freshName(): string {
  const file = basename(process.argv[1] ?? 'test', '.test.ts').replace(/\W/g, '_')
  return `t_${file.slice(0, 30)}_${randomBytes(4).toString('hex')}`.toLowerCase()
}
