import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import mysql from 'mysql2/promise'
import pg from 'pg'
import { Duck, quote } from '../../engine/sql/duckdb.ts'
import { install } from './tools.ts'

/** TPC-H's lineitem, with the types that the values are compared in. */
export const COLUMNS: Record<string, string> = {
  l_orderkey: 'bigint',
  l_partkey: 'integer',
  l_suppkey: 'integer',
  l_linenumber: 'integer',
  l_quantity: 'decimal(15,2)',
  l_extendedprice: 'decimal(15,2)',
  l_discount: 'decimal(15,2)',
  l_tax: 'decimal(15,2)',
  l_returnflag: 'varchar(1)',
  l_linestatus: 'varchar(1)',
  l_shipdate: 'date',
  l_commitdate: 'date',
  l_receiptdate: 'date',
  l_shipinstruct: 'varchar(25)',
  l_shipmode: 'varchar(10)',
  l_comment: 'varchar(44)',
}
export const KEY = ['l_orderkey', 'l_linenumber']
/** A table that is copied, and its key. */
export interface TableOf {
  name: string
  key: string[]
}
export const LINEITEM: TableOf = { name: 'lineitem', key: KEY }
const NAMES = Object.keys(COLUMNS)

export const definition = (key: boolean) =>
  `CREATE TABLE lineitem (${Object.entries(COLUMNS)
    .map(([name, type]) => `${name} ${type} NOT NULL`)
    .join(', ')}${key ? `, PRIMARY KEY (${KEY.join(', ')})` : ''})`

/** The same rows as files. */
export interface Files {
  csv: string
  parquet: string
  /** Where they lie, and TPC-H's other tables beside them once they are asked for. */
  folder: string
  scale: number
}

/** Makes lineitem of a scale, by tpchgen-cli; 1 is six million rows. */
export function generate(folder: string, scale: number): Files {
  mkdirSync(folder, { recursive: true })
  const files = {
    folder,
    scale,
    csv: join(folder, 'lineitem.csv'),
    parquet: join(folder, 'lineitem.parquet'),
  }
  makeTable(files, 'csv', 'lineitem')
  makeTable(files, 'parquet', 'lineitem')
  return files
}

/** Makes one table's file, unless it is there. */
export function makeTable({ folder, scale }: Files, format: 'csv' | 'parquet', table: string): void {
  if (existsSync(join(folder, `${table}.${format}`))) return
  const program = join(install('tpchgen'), 'tpchgen-cli')
  const args = [format, '-s', String(scale), `--tables=${table}`, `--output-dir=${folder}`]
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 2] })
}

export async function fillMariadb(url: string, { csv }: Files): Promise<void> {
  await mariadbSql(url, definition(true))
  const { hostname, port, username, password, pathname } = new URL(url)
  const load = `LOAD DATA LOCAL INFILE '${csv}' INTO TABLE lineitem FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '"' IGNORE 1 LINES; ANALYZE TABLE lineitem`
  run(
    'mariadb',
    ['--local-infile=1', `-h${hostname}`, `-P${port}`, `-u${username}`, pathname.slice(1), '-e', load],
    {
      MYSQL_PWD: decodeURIComponent(password),
    },
  )
}

export async function fillPostgres(url: string, { csv }: Files): Promise<void> {
  await sql(url, definition(true))
  run('psql', [url, '-qc', `\\copy lineitem from '${csv}' csv header`, '-c', 'VACUUM ANALYZE lineitem'])
}

/** Number of rows, and a sum over the hash of each. */
export interface Sum {
  rows: number
  sum: string
}

/** Sums by table: what a run is compared by. */
export type Sums = Record<string, Sum>

/** Of lineitem in Postgres, in the types of {@link COLUMNS}: whatever types it has, a value that is another than the source's gives another sum. */
export async function sumOfTable(url: string): Promise<Sums> {
  const values = NAMES.map(name => `${name}::${COLUMNS[name]!.replace(/varchar.*/, 'text')}::text`).join(', ')
  const [row] = await sql(
    url,
    `SELECT count(*)::text AS rows, coalesce(sum(hashtextextended(concat_ws('|', ${values}), 0)::numeric), 0)::text AS sum FROM lineitem`,
  )
  return { lineitem: { rows: Number(row!.rows), sum: row!.sum! } }
}

/** Of tables of a DuckDB file, by DuckDB's text of their rows. */
export async function sumsOfDuck(path: string, tables: string[]): Promise<Sums> {
  const duck = await Duck.open({ path, threads: 2 })
  try {
    const sums: Sums = {}
    for (const table of tables) {
      const [row] = await duck.rows(
        `SELECT count(*) AS rows, sum(hash(t::VARCHAR)::HUGEINT)::VARCHAR AS sum FROM ${table} AS t`,
      )
      sums[table] = { rows: Number(row!.rows), sum: String(row!.sum) }
    }
    return sums
  } finally {
    duck.close()
  }
}

/** Of lineitem in Parquet files, in the types of {@link COLUMNS}; `files` is a path or a pattern. */
export async function sumOfFiles(files: string): Promise<Sums> {
  const duck = await Duck.open({ threads: 2, memory: 1e9 })
  try {
    const values = NAMES.map(name => `${name}::${COLUMNS[name]}`).join(', ')
    const [row] = await duck.rows(
      `SELECT count(*) AS rows, sum(hash(${values}))::VARCHAR AS sum FROM read_parquet(${quote(files)}, hive_partitioning = false)`,
    )
    return { lineitem: { rows: Number(row!.rows), sum: String(row!.sum) } }
  } finally {
    duck.close()
  }
}

/** Runs statements in MariaDB. */
export async function mariadbSql(url: string, text: string): Promise<void> {
  const connection = await mysql.createConnection({ uri: url, multipleStatements: true })
  try {
    await connection.query(text)
  } finally {
    await connection.end()
  }
}

/** Runs statements in Postgres; gives the rows of the last one. */
export async function sql(url: string, text: string): Promise<Record<string, string>[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const result: unknown = await client.query(text)
    const last = Array.isArray(result) ? result.at(-1) : result
    return (last as { rows: Record<string, string>[] }).rows
  } finally {
    await client.end()
  }
}

function run(command: string, args: string[], env: Record<string, string> = {}): void {
  const { status, stderr } = spawnSync(command, args, { env: { ...process.env, ...env }, encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command}: ${stderr}`)
}
