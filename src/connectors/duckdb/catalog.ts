import type { StagedLoad } from '../../../engine/contracts/load.ts'
import { type Duck, quote, quoteName } from '../../../engine/sql/duckdb.ts'
import { parquetType } from '../../../engine/types/duckType.ts'
import type { Column } from '../../../engine/types/logical.ts'
import type { Reference } from '../sql/references.ts'
import { ofTable, split } from './columns.ts'

/** A column of a table as the catalog has it. */
export interface TargetColumn extends Column {
  /** It must be given a value. */
  required: boolean
  /** DuckDB computes it. */
  generated: boolean
  /** Of a constraint that is no key, or what a generated column is made of: DuckDB gives it no other type. */
  bound: boolean
  collation?: string
  comment?: string
}

/** A table as a load needs to know it. */
export interface TargetTable {
  columns: TargetColumn[]
  key: string[]
  /** Its other indexes, with the statements that make them; `columns`, where they are of nothing else. */
  indexes: { name: string; sql: string; unique: boolean; columns?: string[]; comment?: string }[]
  comment?: string
  /** Tables with foreign keys to it: while they are there, DuckDB changes none of its columns. */
  referring: string[]
  /** Whether it has more than columns, NOT NULL, a primary key and indexes: what writing it anew would lose. */
  further: boolean
  /** Whether texts that differ can be equal: a column has a collation. */
  folds: boolean
  isView: boolean
}

/** Constraints that a table has anew when it is written anew. */
const KEPT = ['PRIMARY KEY', 'NOT NULL']

const commentOf = ({ comment }: Record<string, unknown>) => (comment === null ? undefined : String(comment))

/** A table; undefined where there is none. */
export async function targetTable(duck: Duck, table: string): Promise<TargetTable | undefined> {
  const [schema, bare] = split(table)
  const where = ofTable(table)
  const columns = await duck.rows(
    `SELECT column_name, data_type, is_nullable, column_default, comment FROM duckdb_columns() WHERE ${where} ORDER BY column_index`,
  )
  if (columns.length === 0) return undefined
  const constraints = await duck.rows(
    `SELECT constraint_type AS kind, unnest(constraint_column_names) AS name FROM duckdb_constraints() WHERE ${where}`,
  )
  const indexes = await duck.rows(
    `SELECT index_name, sql, is_unique, expressions, comment FROM duckdb_indexes() WHERE ${where} AND sql IS NOT NULL`,
  )
  const referring = await duck.rows(
    `SELECT DISTINCT table_name AS name FROM duckdb_constraints() WHERE constraint_type = 'FOREIGN KEY' AND database_name = current_database()
       AND lower(schema_name) = lower(${quote(schema)}) AND lower(referenced_table) = lower(${quote(bare)}) ORDER BY 1`,
  )
  const [found] = await duck.rows(`SELECT sql, comment FROM duckdb_tables() WHERE ${where}`)
  const sql = String(found?.sql ?? '')
  /** How its definition may begin. */
  const beginnings = (column: string) =>
    [column, quoteName(column)].flatMap(each => [`(${each} `, `, ${each} `])
  const isGenerated = (column: string, type: string) =>
    beginnings(column).some(each => sql.includes(`${each}${type} GENERATED ALWAYS AS`))
  const collationOf = (column: string) =>
    beginnings(column).flatMap(each => /^[\w.]+/.exec(sql.split(`${each}VARCHAR COLLATE `)[1] ?? '') ?? [])[0]
  const madeOf = columns.flatMap(({ column_name, data_type, column_default: made }) =>
    isGenerated(String(column_name), String(data_type)) ? String(made).match(/"(?:[^"]|"")*"|\w+/g) : [],
  )
  const isBound = (column: string) =>
    madeOf.some(word => [column, quoteName(column)].includes(word ?? '')) ||
    constraints.some(({ kind, name }) => name === column && !KEPT.includes(String(kind)))
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
        bound: isBound(own),
        collation: collationOf(own),
        comment: commentOf(column),
      }
    }),
    key: constraints.filter(({ kind }) => kind === 'PRIMARY KEY').map(each => String(each.name)),
    indexes: indexes.map(index => ({
      name: `${quoteName(schema)}.${quoteName(String(index.index_name))}`,
      sql: String(index.sql),
      unique: Boolean(index.is_unique),
      comment: commentOf(index),
      ...columnsOf(
        String(index.expressions),
        columns.map(each => String(each.column_name)),
      ),
    })),
    further:
      constraints.some(({ kind }) => !KEPT.includes(String(kind))) ||
      columns.some(column => column.column_default !== null),
    comment: found && commentOf(found),
    referring: referring.map(({ name }) => String(name)),
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

/** The foreign keys between the tables of loads. */
export async function referencesOf(duck: Duck, loads: StagedLoad[]): Promise<Reference[]> {
  const tables = new Map(loads.map(({ table }) => [idOf(...split(table)), table]))
  const rows = await duck.rows(
    `SELECT schema_name AS schema, table_name AS child, referenced_table AS parent FROM duckdb_constraints() WHERE constraint_type = 'FOREIGN KEY'`,
  )
  return rows.flatMap(row => {
    const [child, parent] = [row.child, row.parent].map(name =>
      tables.get(idOf(String(row.schema), String(name))),
    )
    return child !== undefined && parent !== undefined ? [{ child, parent }] : []
  })
}

const idOf = (schema: string, name: string) => JSON.stringify([schema, name]).toLowerCase()
