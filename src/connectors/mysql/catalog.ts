import { ask, type Session } from './connect.ts'
import { literal, splitTable } from './types.ts'

/** The primary key's columns in key order; empty where there is none. */
export async function primaryKey(session: Session, table: string, signal?: AbortSignal): Promise<string[]> {
  const [database, name] = databaseAndName(table)
  const here = `table_schema = ${database} AND table_name = ${literal(name)}`
  const rows = await ask<{ name: string }>(
    session,
    `SELECT column_name AS name FROM information_schema.statistics
      WHERE ${here} AND index_name = 'PRIMARY' AND ${ofIndex(here)} ORDER BY seq_in_index`,
    signal,
  )
  return rows.map(row => row.name)
}

/**
 * SQL condition of the columns that a table's unique indexes were made of; `here` is that of the table. MariaDB adds the
 * ends of rows' versions to those of a table WITH SYSTEM VERSIONING.
 */
export const ofIndex = (here: string): string =>
  `column_name NOT IN (SELECT column_name FROM information_schema.columns WHERE ${here} AND ${VERSION_END})`

/** SQL condition of the column of information_schema.columns that says until when a row's version holds. */
export const VERSION_END = "generation_expression = 'ROW END'"

/** SQL of the database that a table name means, and the table's own name. */
export function databaseAndName(table: string): [database: string, name: string] {
  const [first = '', second] = splitTable(table)
  return second === undefined ? ['DATABASE()', first] : [literal(first), second]
}

/**
 * Storage engines in which a unique index is one of all rows. Not MERGE, whose tables have each their own, and none that reads from
 * elsewhere.
 */
const UNIQUE = ['innodb', 'myisam', 'aria', 'memory', 'rocksdb', 'tokudb', 'ndbcluster']

export const keepsUnique = (engine: string) => UNIQUE.includes(engine.toLowerCase())
