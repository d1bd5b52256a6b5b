import { type Duck, quoteName } from '../../../engine/sql/duckdb.ts'
import { parquetType } from '../../../engine/types/duckType.ts'
import type { Column } from '../../../engine/types/logical.ts'
import { ofTable, split } from './columns.ts'

/** A column of a table as the catalog has it. */
export interface TargetColumn extends Column {
  /** It must be given a value. */
  required: boolean
  /** DuckDB computes it. */
  generated: boolean
}

/** A table as a load needs to know it. */
export interface TargetTable {
  columns: TargetColumn[]
  key: string[]
  /** Its other indexes, with the statements that make them; `columns`, where they are of nothing else. */
  indexes: { name: string; sql: string; unique: boolean; columns?: string[] }[]
  /** Whether it has more than columns, NOT NULL, a primary key and indexes: what writing it anew would lose. */
  further: boolean
  /** Whether texts that differ can be equal: a column has a collation. */
  folds: boolean
  isView: boolean
}

/** A table; undefined where there is none. */
export async function targetTable(duck: Duck, table: string): Promise<TargetTable | undefined> {
  const [schema] = split(table)
  const where = ofTable(table)
  const columns = await duck.rows(
    `SELECT column_name, data_type, is_nullable, column_default FROM duckdb_columns() WHERE ${where} ORDER BY column_index`,
  )
  if (columns.length === 0) return undefined
  const constraints = await duck.rows(
    `SELECT constraint_type AS kind, unnest(constraint_column_names) AS name FROM duckdb_constraints() WHERE ${where}`,
  )
  const indexes = await duck.rows(
    `SELECT index_name, sql, is_unique, expressions FROM duckdb_indexes() WHERE ${where} AND sql IS NOT NULL`,
  )
  const [found] = await duck.rows(`SELECT sql FROM duckdb_tables() WHERE ${where}`)
  const sql = String(found?.sql ?? '')
  const isGenerated = (column: string, type: string) =>
    [column, quoteName(column)].some(each => sql.includes(`${each} ${type} GENERATED ALWAYS AS`))
  return {
    columns: columns.map(column => {
      const [own, native] = [String(column.column_name), String(column.data_type)]
      const nullable = Boolean(column.is_nullable)
      return {
        name: own,
        type: parquetType(native) ?? { kind: 'text' },
        nullable,
        native,
        required: !nullable && column.column_default === null,
        generated: column.column_default !== null && isGenerated(own, native),
      }
    }),
    key: constraints.filter(({ kind }) => kind === 'PRIMARY KEY').map(each => String(each.name)),
    indexes: indexes.map(index => ({
      name: `${quoteName(schema)}.${quoteName(String(index.index_name))}`,
      sql: String(index.sql),
      unique: Boolean(index.is_unique),
      ...columnsOf(
        String(index.expressions),
        columns.map(each => String(each.column_name)),
      ),
    })),
    further:
      constraints.some(({ kind }) => kind !== 'PRIMARY KEY' && kind !== 'NOT NULL') ||
      columns.some(column => column.column_default !== null),
    folds: /\bCOLLATE\b/i.test(sql),
    isView: found === undefined,
  }
}

/** The columns of an index, `[a, "b c"]`; of an expression none are told. */
function columnsOf(text: string, all: string[]): { columns?: string[] } {
  const parts = text
    .replace(/^\[|\]$/g, '')
    .split(', ')
    .map(part => part.replace(/^'|'$/g, '').replace(/^"|"$/g, ''))
  return parts.every(part => all.includes(part)) ? { columns: parts } : {}
}
