import { quoteName } from '../sql/duckdb.ts'
import { HASH, rowHash } from '../sql/rowHash.ts'
import type { Column } from '../types/logical.ts'

/** Number of a row within its data set, in a state. */
export const ROW = '_nf_row'

/** Number in the last data set of a row that was there. */
export const WAS = '_nf_was'

/** How a row differs: insert, update, delete. */
export const KIND = '_nf_kind'

/** Name of a kept column's value before. */
export const wasOf = (column: string) => `_nf_was_${column}`

/** What a comparison goes by: the columns that identify a row, and those whose values count. */
export interface Identity {
  key: string[]
  compared: Column[]
  /** Columns kept in the state beside the key: those that say which partition a row is in. */
  kept: string[]
}

/** SQL of a data set's state: key, kept columns, hash, and row number. `rows` has its row numbers as `row`. */
export function stateSql({ key, kept, compared }: Identity, rows: string, row: string): string {
  const names = [...new Set([...key, ...kept])].map(name => `n.${quoteName(name)}`)
  return `SELECT ${names.join(', ')}, ${rowHash(compared, 'n')}, n.${row} AS ${ROW} FROM (${rows}) AS n`
}

/**
 * SQL of what differs between two states: {@link KIND}, the row's number in the newer state ({@link ROW}, NULL for a
 * delete) and in the older ({@link WAS}, NULL for an insert), its key, and the kept columns now and before
 * ({@link wasOf}). Keys are not NULL.
 */
export function comparisonSql({ key, kept }: Identity, next: string, last: string): string {
  const on = key.map(name => `n.${quoteName(name)} = l.${quoteName(name)}`).join(' AND ')
  const keys = key.map(name => `coalesce(n.${quoteName(name)}, l.${quoteName(name)}) AS ${quoteName(name)}`)
  const others = kept.filter(name => !key.includes(name))
  const now = others.map(name => `n.${quoteName(name)}`)
  const was = kept.map(name => `l.${quoteName(name)} AS ${quoteName(wasOf(name))}`)
  const differs = HASH.map(half => `n.${half} <> l.${half}`).join(' OR ')
  return `SELECT CASE WHEN l.${ROW} IS NULL THEN 'insert' WHEN n.${ROW} IS NULL THEN 'delete' ELSE 'update' END AS ${KIND},
      n.${ROW} AS ${ROW}, l.${ROW} AS ${WAS}, ${[...keys, ...now, ...was].join(', ')}
    FROM (${next}) AS n FULL JOIN (${last}) AS l ON ${on}
    WHERE n.${ROW} IS NULL OR l.${ROW} IS NULL OR ${differs}`
}
