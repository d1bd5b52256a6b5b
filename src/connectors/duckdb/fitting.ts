import type { PlannedLoad } from '../../../engine/contracts/load.ts'
import { ownColumns } from '../../../engine/contracts/ownColumns.ts'
import { quote, quoteName } from '../../../engine/sql/duckdb.ts'
import {
  type Column,
  columnNamed,
  type LogicalType,
  typeFromName,
  typeName,
} from '../../../engine/types/logical.ts'
import { hasMoreLabels } from '../../../engine/types/nestedType.ts'
import { common, widens } from '../../../engine/types/widen.ts'
import {
  addsColumn,
  addsLabels,
  evolvedType,
  type Fitting,
  holdingBoth,
  type Obstacle,
  ordersAsText,
  relaxesColumn,
  relaxesUnloaded,
  widenedType,
} from '../sql/obstacles.ts'
import type { TargetColumn, TargetTable } from './catalog.ts'
import { fits, madeType, type Needed, qualified, split } from './columns.ts'

/** How a load changes its table so that it takes the load's rows exactly, and what is in the way even then. */
export function fittingOf(load: PlannedLoad, target: TargetTable): Fitting {
  const { columns, key, indexes, referring, further, isView } = target
  const statements: string[] = []
  const obstacles: Obstacle[] = []
  const refuse = (message: string, hint: string) => obstacles.push({ message, hint })
  if (isView) refuse(': is a view', 'Load into a table.')
  const table = qualified(load.table)
  const alter = (name: string, how: string) => `ALTER TABLE ${table} ALTER COLUMN ${quoteName(name)} ${how};`
  const retyped = new Map<string, string>()
  const relaxed = new Set<string>()
  const needed: Needed[] = [...load.columns, ...ownColumns(load)]
  for (const brought of needed) {
    const { name } = brought
    const column = columnNamed(columns, name)
    if (!column) {
      const add = `ALTER TABLE ${table} ADD COLUMN ${quoteName(name)} ${madeType(brought)};`
      if (addsColumn(load, name)) statements.push(add)
      else refuse(`: has no column ${name}`, `${add} or leave it out of ${load.from}.`)
      continue
    }
    if (column.generated) {
      refuse(`.${name}: DuckDB computes it`, `Leave ${name} out of ${load.from}.`)
      continue
    }
    const own = columnNamed(load.columns, name)
    const type = own && newType(load, own, column)
    if (type) retyped.set(column.name, type)
    else if (!fits(brought, column.native)) {
      const both = own ? holdingBoth(logicalOf(column.native), own.type) : brought.type
      refuse(
        `.${name}: ${madeType(brought)} does not fit ${column.native} exactly`,
        `Cast ${name} in ${load.from}${both ? `, or ${alter(name, `TYPE ${typeName(both)}`)}` : '.'}`,
      )
    }
    const isText = typeFromName(column.native)?.kind === 'text'
    const disordered = own && !type && ordersAsText(load, own, { native: column.native, isText })
    if (disordered) refuse(disordered, alter(name, `TYPE ${madeType(brought)}`))
    if (own && !column.nullable && relaxesColumn(load, own)) relaxed.add(column.name)
  }
  for (const { name, required } of columns) {
    if (!required || columnNamed(needed, name)) continue
    if (!key.includes(name) && relaxesUnloaded(load, name)) relaxed.add(name)
    else
      refuse(
        `.${name}: must have a value, and none is loaded`,
        key.includes(name)
          ? `Add ${name} to ${load.from}, or give it a default.`
          : `Add ${name} to ${load.from}, give it a default, or ${alter(name, 'DROP NOT NULL')}`,
      )
  }
  const changed = [...new Set([...retyped.keys(), ...relaxed])]
  // DuckDB changes no column of a primary key or another constraint, and of a table with indexes none at all.
  const anew =
    columns.some(({ name, bound }) => retyped.has(name) && (bound || key.includes(name))) ||
    (indexes.length > 0 && changed.length > 0)
  const held =
    changed.length > 0 && referring.length > 0
      ? `while ${referring.join(', ')} ${referring.length > 1 ? 'refer' : 'refers'} to the table`
      : anew && further
        ? 'beside its key, indexes and constraints, and written anew the table would lose its defaults and constraints'
        : undefined
  if (held) {
    const wanted =
      [...retyped].map(([name, type]) => `${quoteName(name)} ${type}`).join(', ') ||
      `${[...relaxed].map(quoteName).join(', ')} that may be NULL`
    refuse(`: ${changed.join(', ')} cannot be changed ${held}`, `Make ${load.table} anew with ${wanted}.`)
  }
  if (anew) {
    const anewColumns = columns.map(column => ({
      ...column,
      native: retyped.get(column.name) ?? column.native,
      nullable: column.nullable || relaxed.has(column.name),
    }))
    return {
      statements: [...rebuilt(load.table, { ...target, columns: anewColumns }), ...statements],
      obstacles,
      changed,
    }
  }
  statements.push(
    ...[...retyped].map(([name, type]) => alter(name, `TYPE ${type}`)),
    ...[...relaxed].map(name => alter(name, 'DROP NOT NULL')),
  )
  return { statements, obstacles, changed }
}

/** The type that a column must have; undefined where it keeps its own. */
function newType(load: PlannedLoad, brought: Column, { native }: TargetColumn): string | undefined {
  if (addsLabels(load) && hasMoreLabels(native, brought.duck)) return madeType(brought)
  const there = logicalOf(native)
  if (fits(brought, native) && !isNarrower(there, brought.type)) return undefined
  const both = widenedType(load, brought, there) ?? evolvedType(load, brought, there)
  return both && typeName(both)
}

/** The logical type of a column; text stands for all that none is. */
const logicalOf = (native: string): LogicalType => typeFromName(native) ?? { kind: 'text' }

/** Whether a number of the type may be too large, or too fine, for a column. */
function isNarrower(there: LogicalType, type: LogicalType): boolean {
  const both = common(there, type)
  return (
    widens(there, type) ||
    (there.kind === type.kind && both !== undefined && typeName(both) !== typeName(there))
  )
}

/** The statements that write a table anew with other columns' types. */
function rebuilt(name: string, { columns, key, comment }: TargetTable): string[] {
  const [schema, table] = split(name)
  const former = `${table} (before)`
  const defined = columns.map(
    column =>
      `${quoteName(column.name)} ${column.native}${column.collation ? ` COLLATE ${column.collation}` : ''}${column.nullable ? '' : ' NOT NULL'}`,
  )
  if (key.length > 0) defined.push(`PRIMARY KEY (${key.map(quoteName).join(', ')})`)
  const comments = columns.flatMap(column =>
    column.comment === undefined
      ? []
      : [`COMMENT ON COLUMN ${qualified(name)}.${quoteName(column.name)} IS ${quote(column.comment)};`],
  )
  if (comment !== undefined) comments.push(`COMMENT ON TABLE ${qualified(name)} IS ${quote(comment)};`)
  return [
    `ALTER TABLE ${qualified(name)} RENAME TO ${quoteName(former)};`,
    `CREATE TABLE ${qualified(name)} (${defined.join(', ')});`,
    `INSERT INTO ${qualified(name)} SELECT * FROM ${quoteName(schema)}.${quoteName(former)};`,
    `DROP TABLE ${quoteName(schema)}.${quoteName(former)};`,
    ...comments,
  ]
}
