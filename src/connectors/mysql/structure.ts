import type { TableStructure } from '../../../engine/contracts/structure.ts'
import { databaseAndName, ofIndex } from './catalog.ts'
import { ask, type Session } from './connect.ts'
import { literal } from './types.ts'

/** Indexes but the primary key's, and foreign keys, of a table. */
export async function structureOf(
  session: Session,
  table: string,
  signal?: AbortSignal,
): Promise<TableStructure> {
  const [database, name] = databaseAndName(table)
  const here = `table_schema = ${database} AND table_name = ${literal(name)}`
  const indexes = await ask<
    Record<'name' | 'method', string> & { is_unique: string; part: string | null; column: string | null }
  >(
    session,
    `SELECT index_name AS name, index_type AS method, non_unique = 0 AS is_unique, sub_part AS part, column_name AS \`column\`
       FROM information_schema.statistics WHERE ${here} AND index_name <> 'PRIMARY' AND ${ofIndex(here)} ORDER BY index_name, seq_in_index`,
    signal,
  )
  const references = await ask<Record<'name' | 'column' | 'parent' | 'parent_column', string>>(
    session,
    `SELECT constraint_name AS name, column_name AS \`column\`, CONCAT(referenced_table_schema, '.', referenced_table_name) AS parent,
            referenced_column_name AS parent_column
       FROM information_schema.key_column_usage WHERE ${here} AND referenced_table_name IS NOT NULL
      ORDER BY constraint_name, ordinal_position`,
    signal,
  )
  const [self] = await ask<{ name: string }>(
    session,
    `SELECT CONCAT(table_schema, '.', table_name) AS name FROM information_schema.tables WHERE ${here}`,
    signal,
  )
  const structure: TableStructure = { table: self?.name ?? '', indexes: [], references: [], others: [] }
  for (const [index, columns] of Map.groupBy(indexes, ({ name }) => name)) {
    const [{ method, is_unique }] = columns as [(typeof columns)[0]]
    const why =
      method !== 'BTREE'
        ? method.toLowerCase()
        : columns.some(({ column }) => column === null)
          ? 'of an expression'
          : columns.some(({ part }) => part !== null)
            ? 'of the beginnings of values'
            : undefined
    if (why) structure.others.push(`index ${index}: ${why}`)
    else
      structure.indexes.push({
        columns: columns.map(({ column }) => column!),
        unique: Number(is_unique) === 1,
      })
  }
  for (const [, columns] of Map.groupBy(references, ({ name }) => name))
    structure.references.push({
      columns: columns.map(({ column }) => column),
      table: columns[0]!.parent,
      to: columns.map(({ parent_column }) => parent_column),
    })
  return structure
}
