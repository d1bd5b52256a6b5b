/** What systems hold of a table of every type, as texts that they write themselves. */
import { DuckDBInstance } from '@duckdb/node-api'
import type { FreshDatabase } from '../servers.ts'
import { braces } from './braces.ts'
import type { Text, Texts } from './typeTables.ts'

export async function postgresTexts({ query }: FreshDatabase, table: string): Promise<Texts> {
  const columns = await query<{ name: string }>(
    `SELECT attname AS name FROM pg_attribute WHERE attrelid = '${table}'::regclass AND attnum > 1 ORDER BY attnum`,
  )
  const selected = columns.map(
    ({ name }, at) => `CASE num_nulls(${name}) WHEN 0 THEN format('%s', ${name}) END AS c${at}`,
  )
  const rows = await query<Record<string, Text>>(
    `SET TimeZone = 'UTC'; SELECT ${['id', ...selected].join(', ')} FROM ${table}`,
  )
  return new Map(rows.map(row => [Number(row.id), columns.map((_, at) => row[`c${at}`]!)]))
}

export async function mariadbTexts({ query, name }: FreshDatabase, table: string): Promise<Texts> {
  await query(`SET time_zone = '+00:00'`)
  const columns = await query<{ name: string; type: string }>(
    `SELECT column_name AS name, data_type AS type FROM information_schema.columns
      WHERE table_schema = '${name}' AND table_name = '${table}' AND column_name <> 'id' ORDER BY ordinal_position`,
  )
  const texts = columns.map(({ name, type }) => {
    if (/blob|binary|point|geometry/.test(type)) return `concat('\\\\x', lower(hex(${name})))`
    if (/bit/.test(type)) return `concat(cast(${name} as unsigned))`
    if (/int|year/.test(type)) return `concat(${name} + 0)`
    // Texts of documents would be parsed by the driver.
    return /float|double/.test(type)
      ? `concat(${name} * 1e0)`
      : `concat('=', hex(convert(concat(${name}) using utf8mb4)))`
  })
  const rows = await query<Record<string, Text>>(
    `SELECT id, ${texts.map((text, at) => `${text} AS c${at}`).join(', ')} FROM ${table}`,
  )
  const plain = (text: Text) =>
    text?.startsWith('=') ? Buffer.from(text.slice(1), 'hex').toString('utf8') : (text ?? null)
  return new Map(rows.map(row => [Number(row.id), columns.map((_, at) => plain(row[`c${at}`]!))]))
}

export async function duckTexts(path: string, table: string): Promise<Texts> {
  const instance = await DuckDBInstance.create(path)
  const connection = await instance.connect()
  try {
    await connection.run(`SET TimeZone = 'UTC'`)
    const rows = (await connection.runAndReadAll(`FROM ${table}`)).getRows()
    return new Map(
      rows.map(([id, ...values]) => [
        Number(id),
        values.map(value => (value === null ? null : braces(value))),
      ]),
    )
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}
