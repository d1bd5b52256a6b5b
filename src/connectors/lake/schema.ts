import type { PlannedLoad } from '../../../engine/contracts/load.ts'
import { ownColumns } from '../../../engine/contracts/ownColumns.ts'
import { quoteName } from '../../../engine/sql/duckdb.ts'
import {
  type Column,
  columnNamed,
  isNamed,
  type LogicalType,
  typeName,
} from '../../../engine/types/logical.ts'
import { widens } from '../../../engine/types/widen.ts'
import {
  changesOf,
  checkChanges,
  evolvedType,
  type Fitting,
  type Obstacle,
  ordersAsText,
  widenedType,
} from '../sql/obstacles.ts'
import { columnsOf, type Manifest } from './log.ts'

/** A table's columns as the load leaves them: its own, in their order, then new ones; under `replace` the load's alone. */
export type LakeFitting = Omit<Fitting, 'changed'> & { columns: Column[] }

/**
 * The columns that a table has after a load. Fails with TARGET_INCOMPATIBLE where a value would not be held exactly, or
 * the load may not change the table so.
 */
export function tableColumns(load: PlannedLoad, manifest: Manifest | undefined, where: string): Column[] {
  checkChanges(changesOf(load, where, one => fittingOf(one, manifest)))
  return fittingOf(load, manifest).columns
}

/** How a load changes its table so that it holds the load's rows exactly, and what is in the way even then. */
export function fittingOf(load: PlannedLoad, manifest: Manifest | undefined): LakeFitting {
  const statements: string[] = []
  const obstacles: Obstacle[] = []
  const refuse = (message: string, hint: string) => obstacles.push({ message, hint })
  const change = (how: string) => statements.push(`ALTER TABLE ${load.table} ${how};`)
  const manual = load.schema !== 'apply-safe' && load.schema !== 'evolve'
  for (const name of load.partitionBy) {
    const { kind } = columnNamed(load.columns, name)!.type
    if (kind === 'float' || kind === 'binary')
      refuse(`.${name}: a ${kind} makes no partitions`, 'Partition by a date, a number or a text.')
  }
  const replaces = load.mode === 'replace'
  if (manifest && !replaces && !sameNames(manifest.partitionBy, load.partitionBy))
    refuse(
      `: is partitioned by ${list(manifest.partitionBy)}, not by ${list(load.partitionBy)}`,
      `Set partition_by: [${manifest.partitionBy.join(', ')}], or write the table anew with mode replace.`,
    )
  const former = manifest ? columnsOf(manifest) : []
  const columns = replaces ? [] : former
  const wanted = [...load.columns, ...ownColumns(load)].map(({ name, type }) => ({ name, type }))
  for (const { name, type } of wanted) {
    const there = columnNamed(former, name)
    if (!there) {
      if (manifest && manual)
        refuse(`: has no column ${name}`, `Leave ${name} out of ${load.from}, or let the load add it.`)
      else if (manifest) change(`ADD COLUMN ${quoteName(name)} ${typeName(type)}`)
      columns.push({ name, type, nullable: !load.key.includes(name), native: typeName(type) })
      continue
    }
    if (replaces) columns.push({ ...there, type, native: typeName(type) })
    const partition = manifest?.partitionBy.some(column => isNamed(column, name)) && !replaces
    const now = newType(load, { name, type }, there.type, partition)
    if (now === 'refused')
      refuse(
        `.${there.name}: ${typeName(type)} does not fit ${typeName(there.type)} exactly`,
        `Cast ${name} in ${load.from}, or write the table anew with mode replace.`,
      )
    const held = { native: typeName(there.type), isText: there.type.kind === 'text' }
    const disordered = !now && ordersAsText(load, { name, type }, held)
    if (disordered) refuse(disordered, 'Write the table anew once, with mode replace and schema: evolve.')
    if (now === 'refused' || !now) continue
    change(`ALTER COLUMN ${quoteName(there.name)} TYPE ${typeName(now)}`)
    if (!replaces) Object.assign(there, { type: now, native: typeName(now) })
  }
  if (!replaces) return { statements, obstacles, columns }
  for (const { name } of former) {
    if (columnNamed(columns, name)) continue
    if (manual)
      refuse(`.${name}: is not loaded, and mode replace would drop it`, `Add ${name} to ${load.from}.`)
    else change(`DROP COLUMN ${quoteName(name)}`)
  }
  return { statements, obstacles, columns }
}

/** The type that a column must have; undefined where it keeps its own. */
function newType(
  load: PlannedLoad,
  brought: { name: string; type: LogicalType },
  there: LogicalType,
  partition: boolean | undefined,
): LogicalType | 'refused' | undefined {
  const { type } = brought
  if (typeName(there) === typeName(type)) return undefined
  const manual = load.schema !== 'apply-safe' && load.schema !== 'evolve'
  if (load.mode === 'replace') return manual ? 'refused' : type
  if (widens(type, there)) return undefined
  // A partition's folder is named by its value's text, which another type may write differently.
  if (partition && type.kind !== 'int') return 'refused'
  if (widens(there, type)) return manual ? 'refused' : type
  if (there.kind === 'text' && type.kind !== 'binary' && type.kind !== 'nested') return undefined
  if (partition) return 'refused'
  return widenedType(load, brought, there) ?? evolvedType(load, brought, there) ?? 'refused'
}

/** Whether two lists name the same columns in the same order, as SQL compares names. */
export const sameNames = (a: string[], b: string[]) =>
  a.length === b.length && a.every((name, index) => isNamed(name, b[index]))

const list = (names: string[]) => (names.length === 0 ? 'nothing' : names.join(', '))
