import { Readable } from 'node:stream'
import mysql from 'mysql2/promise'
import pg from 'pg'
import { copyFrom } from './copy.ts'
import { type Member, member } from './member.ts'
import * as tables from './tables.ts'
import { type Cell, tsv } from './tsv.ts'

export interface LoadOptions {
  /** Stops the load; nothing is kept on Postgres, an empty or half table on MariaDB. */
  signal?: AbortSignal
  /** Called now and then with the number of rows made so far. */
  onRows?(rows: number): void
}

/**
 * Creates the table `members` in the MariaDB (`mysql:`) or Postgres (`postgres:`) database and fills it with members
 * 0 … n - 1, then gathers statistics. Resolves with the number of rows. Throws where the table exists: nothing is
 * ever dropped.
 */
export async function loadMembers(
  url: string,
  n: number,
  seed: number,
  options: LoadOptions = {},
): Promise<number> {
  const rows = counted(members(seed, n), options)
  if (!isMariadb(url))
    return withPostgres(url, client =>
      intoPostgres(client, {
        table: 'members',
        create: tables.POSTGRES_MEMBERS,
        rows: mapped(rows, tables.postgresMember),
        indexes: [
          'ALTER TABLE members ADD PRIMARY KEY (member_id)',
          'CREATE INDEX members_updated_at ON members (updated_at)',
        ],
      }),
    )
  return withMariadb(url, async connection => {
    // Nobody needs to replay the first load; changes made later do go to the log.
    await connection.query('SET SESSION sql_log_bin = 0')
    await connection.query(tables.MARIADB_MEMBERS)
    const loaded = await loadData(
      connection,
      'members',
      tables.MEMBER_COLUMNS,
      mapped(rows, tables.mariadbMember),
    )
    await connection.query('ALTER TABLE members ADD INDEX members_updated_at (updated_at)')
    await connection.query('ANALYZE TABLE members')
    return loaded
  })
}

/** The same for the CRM's table `contacts`, on Postgres. */
export async function loadContacts(
  url: string,
  n: number,
  seed: number,
  options: LoadOptions = {},
): Promise<number> {
  const rows = counted(tables.contactsOf(seed, 0, n), options)
  return withPostgres(url, client =>
    intoPostgres(client, {
      table: 'contacts',
      create: tables.POSTGRES_CONTACTS,
      rows: mapped(rows, tables.postgresContact),
      indexes: [
        'ALTER TABLE contacts ADD PRIMARY KEY (contact_id)',
        'CREATE INDEX contacts_updated_at ON contacts (updated_at)',
      ],
    }),
  )
}

interface Load {
  table: string
  create: string
  rows: Iterable<Cell[]>
  /** Made after the rows, which is several times faster. */
  indexes: string[]
}

async function intoPostgres(client: pg.Client, { table, create, rows, indexes }: Load): Promise<number> {
  await client.query('BEGIN')
  await client.query(create)
  const loaded = await copyFrom(client, `COPY ${table} FROM STDIN`, tsv(rows))
  for (const index of indexes) await client.query(index)
  await client.query('COMMIT')
  await client.query(`ANALYZE ${table}`)
  return loaded
}

/**
 * LOAD DATA LOCAL into the table's columns. LOCAL turns errors into warnings, so a single warning, or a row that
 * was not stored, is an error here.
 */
export async function loadData(
  connection: mysql.Connection,
  table: string,
  columns: readonly string[],
  rows: Iterable<Cell[]>,
): Promise<number> {
  const [result] = await connection.query<mysql.ResultSetHeader>({
    sql: `LOAD DATA LOCAL INFILE 'sample' INTO TABLE ${table} CHARACTER SET utf8mb4 (${columns.join(', ')})`,
    infileStreamFactory: () => Readable.from(tsv(rows), { objectMode: false }),
  })
  if (result.warningStatus > 0) {
    const [warnings] = await connection.query<mysql.RowDataPacket[]>('SHOW WARNINGS LIMIT 3')
    throw new Error(`MariaDB did not take the sample as it is: ${JSON.stringify(warnings)}`)
  }
  return result.affectedRows
}

export const isMariadb = (url: string): boolean => /^(mysql|mariadb):/.test(url)

/** Runs `use` on a connection whose session is in UTC and permits zero dates, whatever the server's defaults. */
export async function withMariadb<T>(
  url: string,
  use: (connection: mysql.Connection) => Promise<T>,
): Promise<T> {
  const connection = await mysql.createConnection({
    uri: url.replace(/^mariadb:/, 'mysql:'),
    charset: 'utf8mb4',
  })
  try {
    await connection.query(
      "SET SESSION time_zone = '+00:00', sql_mode = 'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
    )
    return await use(connection)
  } finally {
    await connection.end().catch(() => {})
  }
}

/** Runs `use` on a connection whose session is in UTC. */
export async function withPostgres<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({
    connectionString: url,
    options: '-c timezone=UTC',
    application_name: 'sample',
  })
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

function* members(seed: number, n: number): Generator<Member> {
  for (let index = 0; index < n; index++) yield member(seed, index)
}

/** The rows through a function, one at a time. */
export function* mapped<T, U>(rows: Iterable<T>, to: (row: T) => U): Generator<U> {
  for (const row of rows) yield to(row)
}

function* counted<T>(rows: Iterable<T>, { signal, onRows }: LoadOptions): Generator<T> {
  let count = 0
  for (const row of rows) {
    if ((++count & 0x3fff) === 0) {
      signal?.throwIfAborted()
      onRows?.(count)
    }
    yield row
  }
  onRows?.(count)
}
