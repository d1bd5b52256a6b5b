import type { PlannedLoad, StagedLoad } from '../../../engine/contracts/load.ts'
import { endColumn } from '../../../engine/contracts/semantics.ts'
import { type LogicalType, typeName } from '../../../engine/types/logical.ts'

/** How a database writes what the load modes do. Target rows are `_nf_t`, staged rows `_nf_s`, staged keys `k`. */
export interface Dialect {
  quote(name: string): string
  /** Whether two expressions are equal or both NULL. */
  same(a: string, b: string): string
  /** UPDATE of the target's rows that `where` holds for; `from`: rows (`_nf_s`) that it joins them with. */
  update(target: string, set: Assignment[], where: string, from?: string): string
  /** DELETE of the target's rows that `where` holds for. */
  remove(target: string, where: string): string
  /** The transaction's time. */
  now: string
  /** A moment as a value of a date or timestamp type; wall-clock readings are UTC. */
  instant(at: Date, type: LogicalType): string
}

export interface Assignment {
  column: string
  value: string
}

/** The tables of one load, quoted and qualified, and how their values meet. */
export interface LoadTables {
  target: string
  /** Rows to insert or update. */
  staging: string
  /** Keys to delete, or to keep, or partitions to empty: {@link keyColumns}. */
  keys: string
  /** For messages: `warehouse.dim_members`. */
  where: string
  dialect: Dialect
  /** Turns a staged column into the target's type where the dialect does not by itself. */
  cast?(column: string, expression: string): string
  /** Whether two values of a column differ, where the target's own equality is not that of the values. */
  differs?(column: string, target: string, staged: string): string
  /** Of a column that takes different values for equal: whether two equal ones are the same. */
  identical?(column: string, target: string, staged: string): string | undefined
  /** What a value of the column that says which row is newer is ordered by. */
  order?(column: string, expression: string): string
}

/** Columns of the primary key of a table that we make; empty where the load names no key. */
export function tableKey({ mode, key, scd2 }: StagedLoad): string[] {
  return mode === 'scd2' ? [...key, scd2.validFrom] : key
}

/** The columns of the staged keys. */
export function keyColumns({ mode, whole, key, partitionBy }: StagedLoad): string[] {
  return mode === 'partition' && !whole ? partitionBy : key
}

/** SQL of which rows of the target are rows of today: none that is marked as deleted, no earlier version; undefined: all. */
export function aliveSql(load: PlannedLoad, column: (name: string) => string): string | undefined {
  const end = endColumn(load)
  return end === undefined ? undefined : `${column(end)} IS NULL`
}

/** A staged column as a value of the target's type. */
export function staged(
  { cast, dialect }: Pick<LoadTables, 'cast' | 'dialect'>,
  column: string,
  alias = '_nf_s',
): string {
  const expression = `${alias}.${dialect.quote(column)}`
  return cast ? cast(column, expression) : expression
}

/** Whether a staged row (or key) is of a target row's key: the same values, not only equal ones. */
export function sameKey(
  load: Pick<PlannedLoad, 'key'>,
  tables: Pick<LoadTables, 'cast' | 'dialect' | 'identical'>,
  target = '_nf_t',
  alias = '_nf_s',
): string {
  return load.key
    .flatMap(key => {
      const [ours, theirs] = [`${target}.${tables.dialect.quote(key)}`, staged(tables, key, alias)]
      const identical = tables.identical?.(key, ours, theirs)
      return [`${ours} = ${theirs}`, ...(identical ? [identical] : [])]
    })
    .join(' AND ')
}

/** Whether staged row `_nf_s` is older than target row `_nf_t`, by the load's `newer`. */
export function olderSql({ newer }: StagedLoad, tables: LoadTables): string {
  const order = (expression: string) => tables.order?.(newer!, expression) ?? expression
  return older(order(staged(tables, newer!)), order(`_nf_t.${tables.dialect.quote(newer!)}`))
}

/** Whether a value says older than another; NULL is older than any. */
export const older = (one: string, other: string) =>
  `COALESCE(${one} < ${other}, ${one} IS NULL AND ${other} IS NOT NULL)`

/** Whether a target row and a staged row differ in any of the columns; `FALSE` where there are none. */
export function differing(tables: LoadTables, columns: string[], target = '_nf_t'): string {
  const { dialect } = tables
  const differs = tables.differs ?? ((_, ours, theirs) => `NOT ${dialect.same(ours, theirs)}`)
  const each = columns.map(name => differs(name, `${target}.${dialect.quote(name)}`, staged(tables, name)))
  return each.length === 0 ? 'FALSE' : `(${each.join(' OR ')})`
}

/** What Postgres and DuckDB share. */
export const standard = (quote: (name: string) => string, type: (type: LogicalType) => string): Dialect => ({
  quote,
  same: (a, b) => `(${a} IS NOT DISTINCT FROM ${b})`,
  update: (target, set, where, from) =>
    `UPDATE ${target} AS _nf_t SET ${set.map(({ column, value }) => `${quote(column)} = ${value}`).join(', ')}${
      from ? ` FROM ${from} AS _nf_s` : ''
    } WHERE ${where}`,
  remove: (target, where) => `DELETE FROM ${target} AS _nf_t WHERE ${where}`,
  now: 'current_timestamp',
  instant: (at, kind) => `CAST(TIMESTAMPTZ '${at.toISOString()}' AS ${type(kind)})`,
})

/** Whether two values of DuckDB differ: it takes minus zero for zero, within others, too. */
export function duckdbDiffers(type: LogicalType, a: string, b: string): string {
  if (type.kind === 'float')
    return `(${a} IS DISTINCT FROM ${b} OR coalesce(${a} = 0 AND signbit(${a}) <> signbit(${b}), false))`
  const hasZeros = type.kind === 'nested' && /\b(FLOAT|DOUBLE)\b/.test(typeName(type))
  return hasZeros
    ? `CAST(${a} AS VARCHAR) IS DISTINCT FROM CAST(${b} AS VARCHAR)`
    : `${a} IS DISTINCT FROM ${b}`
}
