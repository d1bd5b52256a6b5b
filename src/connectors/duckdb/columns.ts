import type { PlannedLoad, StagedLoad } from '../../../engine/contracts/load.ts'
import type { TableSchema } from '../../../engine/contracts/source.ts'
import { quoteName } from '../../../engine/sql/duckdb.ts'
import { seenSql, seenType, stagedType } from '../../../engine/types/duckType.ts'
import {
  type Column,
  columnNamed,
  type LogicalType,
  typeFromName,
  typeName,
} from '../../../engine/types/logical.ts'
import { hasMoreLabels, sameType } from '../../../engine/types/nestedType.ts'
import { widens } from '../../../engine/types/widen.ts'
import { ownColumns } from '../sql/dialect.ts'
import { addsColumn, Obstacles, relaxesColumn, widensColumn } from '../sql/obstacles.ts'

// How a load's columns and those of its table go together.

/** The statements that add the columns which a table lacks, and let others hold more, where the load may. */
export function alterations(load: PlannedLoad, { columns, key }: TableSchema, indexed: boolean): string[] {
  const table = qualified(load.table)
  const added = neededColumns(load)
    .filter(({ name }) => !columnNamed(columns, name) && addsColumn(load, name))
    .map(column => addColumn(load, column))
  const retyped = new Map<string, string>()
  const relaxed = new Set<string>()
  for (const column of load.columns) {
    const there = columnNamed(columns, column.name)
    if (!there) continue
    const grown = load.schema === 'apply-safe' && hasMoreLabels(there.native, column.duck)
    if (grown || isWidened(load, column.name, column.type, there.native))
      retyped.set(there.name, madeType(column))
    if (!there.nullable && relaxesColumn(load, column)) relaxed.add(there.name)
  }
  const alter = (name: string, how: string) => `ALTER TABLE ${table} ALTER COLUMN ${quoteName(name)} ${how};`
  // DuckDB changes no column of a primary key, and of a table with indexes none at all.
  if (key.some(name => retyped.has(name)) || (indexed && retyped.size + relaxed.size > 0)) {
    const changed = columns.map(column => ({
      ...column,
      native: retyped.get(column.name) ?? column.native,
      nullable: column.nullable || relaxed.has(column.name),
    }))
    return [...rebuilt(load.table, changed, key), ...added]
  }
  return [
    ...added,
    ...[...retyped].map(([name, type]) => alter(name, `TYPE ${type}`)),
    ...[...relaxed].map(name => alter(name, 'DROP NOT NULL')),
  ]
}

/** The statements that write a table anew with other columns' types. */
function rebuilt(name: string, columns: Column[], key: string[]): string[] {
  const [schema, table] = split(name)
  const former = `${table} (before)`
  const defined = columns.map(
    column => `${quoteName(column.name)} ${column.native}${column.nullable ? '' : ' NOT NULL'}`,
  )
  if (key.length > 0) defined.push(`PRIMARY KEY (${key.map(quoteName).join(', ')})`)
  return [
    `ALTER TABLE ${qualified(name)} RENAME TO ${quoteName(former)};`,
    `CREATE TABLE ${qualified(name)} (${defined.join(', ')});`,
    `INSERT INTO ${qualified(name)} SELECT * FROM ${quoteName(schema)}.${quoteName(former)};`,
    `DROP TABLE ${quoteName(schema)}.${quoteName(former)};`,
  ]
}

/** The type that a column has in a table that we make: that whose text it is, else as it is staged. */
export const madeType = (column: Needed) => seenType(column as Column)

const addColumn = ({ table }: PlannedLoad, column: Needed) =>
  `ALTER TABLE ${qualified(table)} ADD COLUMN ${quoteName(column.name)} ${madeType(column)};`

type Needed = Pick<Column, 'name' | 'type' | 'duck' | 'written'>

const neededColumns = (load: PlannedLoad): Needed[] => [...load.columns, ...ownColumns(load)]

/** Fails with TARGET_INCOMPATIBLE where a table cannot take a load's rows exactly; `where` names the table. */
export function checkTarget(load: StagedLoad, { columns }: TableSchema, where: string): void {
  const obstacles = new Obstacles(where)
  for (const needed of neededColumns(load)) {
    const { name, type } = needed
    const column = columnNamed(columns, name)
    if (!column && !addsColumn(load, name))
      obstacles.add(`: has no column ${name}`, `${addColumn(load, needed)} or leave it out of ${load.from}.`)
    if (column && !fits(needed, column.native) && !isWidened(load, name, type, column.native))
      obstacles.add(
        `.${name}: ${madeType(needed)} does not fit ${column.native} exactly`,
        `Cast ${name} in ${load.from}, or ALTER TABLE ${load.table} ALTER COLUMN ${quoteName(name)} TYPE ${madeType(needed)};`,
      )
  }
  obstacles.check()
}

/** Whether the load changes a column's type to its own, which holds every value of it. */
function isWidened(load: PlannedLoad, name: string, type: LogicalType, native: string): boolean {
  const own = typeFromName(native)
  return own !== undefined && widensColumn(load, name) && widens(own, type)
}

/** What {@link LoadTables} say of a table's columns; `folds`: its texts may have a collation. */
export function expressions(load: PlannedLoad, columns: Column[], folds: boolean) {
  const native = (name: string) => columnNamed(columns, name)!.native
  const folded = (name: string) => folds && typeFromName(native(name))?.kind === 'text'
  return {
    cast(name: string, expression: string) {
      const column = columnNamed(load.columns, name)!
      if (sameType(native(name), column.duck)) return seenSql(column, expression)
      return sameType(native(name), typeName(column.type))
        ? expression
        : `CAST(${expression} AS ${native(name)})`
    },
    differs(name: string, target: string, staged: string) {
      const type = typeFromName(native(name))
      // What DuckDB takes for equal may be different: an interval of 1 day and of 24 hours.
      if (!type) return `CAST(${target} AS VARCHAR) IS DISTINCT FROM CAST(${staged} AS VARCHAR)`
      return folded(name)
        ? `encode(${target}) IS DISTINCT FROM encode(${staged})`
        : `${target} IS DISTINCT FROM ${staged}`
    },
    identical: (name: string, target: string, staged: string) =>
      folded(name) ? `encode(${target}) = encode(${staged})` : undefined,
    order: (name: string, expression: string) => (folded(name) ? `encode(${expression})` : expression),
  }
}

/** Whether DuckDB's own assignment holds every value exactly, or raises where one does not fit: it rounds silently. */
function fits(column: Needed, native: string): boolean {
  const { type } = column
  if (sameType(native, madeType(column))) return true
  const into = typeFromName(native)
  // A type that none of ours is (UUID, ENUM, INTEGER[] …) is parsed from text, and raises.
  if (!into) return type.kind === 'text' || stagedType(native) === typeName(type)
  if (into.kind === 'text' || typeName(into) === typeName(type) || widens(type, into)) return true
  const scale = type.kind === 'decimal' ? type.scale : type.kind === 'int' ? 0 : Infinity
  return into.kind === 'int' ? scale === 0 : into.kind === 'decimal' && into.scale >= scale
}

export function split(table: string): [string, string] {
  const [schema, name] = table.split('.')
  return name === undefined ? ['main', table] : [schema!, name]
}

export function qualified(table: string): string {
  return split(table).map(quoteName).join('.')
}
