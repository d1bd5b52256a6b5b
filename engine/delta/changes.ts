import { quoteName } from '../sql/duckdb.ts'
import type { Column } from '../types/logical.ts'
import { rowHash } from './hash.ts'

/** SQL of the rows of `next` that `last` does not hold in the same form: what a merge has to be shown. */
export function changedRows(columns: Column[], key: string[], next: string, last: string): string {
  const keys = key.map(quoteName)
  const same = keys.map(name => `o.${name} = n.${name}`).join(' AND ')
  return `SELECT n.* FROM (${next}) AS n WHERE NOT EXISTS (
    SELECT 1 FROM (SELECT ${keys.join(', ')}, ${rowHash(columns, 'l')} AS row_hash FROM (${last}) AS l) AS o
    WHERE ${same} AND o.row_hash = ${rowHash(columns, 'n')})`
}

/** SQL of one row a key: the newest, and of equally new ones the greatest by all columns in order. */
export function newestRows(
  columns: Column[],
  key: string[],
  newer: string | undefined,
  rows: string,
): string {
  const order = [
    ...(newer ? [`${quoteName(newer)} DESC NULLS LAST`] : []),
    ...columns.map(column => `${quoteName(column.name)} DESC NULLS LAST`),
  ]
  const keys = key.map(quoteName).join(', ')
  return `SELECT * FROM (${rows}) QUALIFY row_number() OVER (PARTITION BY ${keys} ORDER BY ${order.join(', ')}) = 1`
}
