import { ask, type Session } from './connect.ts'
import { literal, splitTable } from './types.ts'

/** The primary key's columns in key order; empty where there is none. */
export async function primaryKey(session: Session, table: string, signal?: AbortSignal): Promise<string[]> {
  const [database, name] = databaseAndName(table)
  const rows = await ask<{ name: string }>(
    session,
    `SELECT column_name AS name FROM information_schema.statistics
      WHERE table_schema = ${database} AND table_name = ${literal(name)} AND index_name = 'PRIMARY'
      ORDER BY seq_in_index`,
    signal,
  )
  return rows.map(row => row.name)
}

/** SQL of the database that a table name means, and the table's own name. */
export function databaseAndName(table: string): [database: string, name: string] {
  const [first = '', second] = splitTable(table)
  return second === undefined ? ['DATABASE()', first] : [literal(first), second]
}
