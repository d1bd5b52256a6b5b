import type { PlannedLoad, SchemaPolicy } from '../../../engine/contracts/load.ts'
import { ownColumns } from '../../../engine/contracts/ownColumns.ts'
import { ageColumn } from '../../../engine/contracts/semantics.ts'
import type { TableChanges } from '../../../engine/contracts/target.ts'
import { EngineError } from '../../../engine/errors.ts'
import { type Column, columnNamed, type LogicalType } from '../../../engine/types/logical.ts'
import { common } from '../../../engine/types/widen.ts'

/** What keeps a table from taking a load's rows: `message` goes on where the table's name ends, `hint` is what to type. */
export interface Obstacle {
  message: string
  hint: string
}

/** How a load changes its table, and what is in its way even then. */
export interface Fitting {
  statements: string[]
  obstacles: Obstacle[]
  /** Columns of the table that the statements give another type, or let be NULL. */
  changed: string[]
}

/** What a load's `schema` may be, the most cautious first. */
const POLICIES: SchemaPolicy[] = ['manual', 'apply-safe', 'evolve']

/** What a table's changes come to: `fitting` says it of any policy, so that one that would do is told. `where` names the table. */
export function changesOf(
  load: PlannedLoad,
  where: string,
  fitting: (load: PlannedLoad) => Pick<Fitting, 'statements' | 'obstacles'>,
): TableChanges {
  const { statements, obstacles } = fitting(load)
  if (obstacles.length === 0) return { statements }
  const bolder = POLICIES.slice(POLICIES.indexOf(load.schema ?? 'manual') + 1).find(
    schema => fitting({ ...load, schema }).obstacles.length === 0,
  )
  const hints = [...new Set(obstacles.map(({ hint }) => hint))]
  if (bolder) hints.push(`With schema: ${bolder} in load.${load.table} the load does what is needed itself.`)
  return {
    statements,
    refused: new EngineError(
      'TARGET_INCOMPATIBLE',
      obstacles.map(({ message }) => `${where}${message}`).join('; '),
      { hint: hints.join(' ') },
    ),
  }
}

/** Fails with TARGET_INCOMPATIBLE where the table cannot take the load's rows. */
export function checkChanges({ refused }: TableChanges): void {
  if (refused) throw refused
}

const follows = ({ schema }: PlannedLoad) => schema === 'apply-safe' || schema === 'evolve'

/** A type that holds what is in a column and what comes, text where nothing else does; undefined where that does not either. */
export function holdingBoth(there: LogicalType, coming: LogicalType): LogicalType | undefined {
  const both = common(there, coming)
  if (both) return both
  // Bytes are no text.
  const flat = [there.kind, coming.kind].every(kind => kind !== 'binary' && kind !== 'nested')
  return flat ? { kind: 'text' } : undefined
}

/** The type that a load gives a column of its table because that which it comes from has been widened; undefined where that has not. */
export const widenedType = (
  load: PlannedLoad,
  { name, type }: Pick<Column, 'name' | 'type'>,
  there: LogicalType,
): LogicalType | undefined =>
  follows(load) && load.widened?.includes(name) ? common(there, type) : undefined

/** The type that a load gives a column of its table whose values it cannot take; undefined where it may not, or none holds both. */
export const evolvedType = (
  load: PlannedLoad,
  { name, type }: Pick<Column, 'name' | 'type'>,
  there: LogicalType,
): LogicalType | undefined =>
  // Rows are found by their keys, and ordered by their age.
  load.schema !== 'evolve' || load.key.includes(name)
    ? undefined
    : name === ageColumn(load)
      ? common(there, type)
      : holdingBoth(there, type)

/** What is said of a column that tells by numbers which row is newer, where its table has them as texts; undefined where it has not. */
export function ordersAsText(
  load: PlannedLoad,
  { name, type }: Pick<Column, 'name' | 'type'>,
  there: { native: string; isText: boolean },
): string | undefined {
  const isNumber = ['int', 'float', 'decimal'].includes(type.kind)
  if (!isNumber || !there.isText || name !== ageColumn(load)) return undefined
  return `.${name}: is ${there.native}, by which newer: ${name} would take 10 to be older than 9`
}

/** Whether a load lets a column of its table be NULL that could not be: where it comes from that has changed. */
export const relaxesColumn = (load: PlannedLoad, { name, nullable }: Column): boolean =>
  follows(load) &&
  nullable &&
  !load.key.includes(name) &&
  load.was?.find(column => column.name === name)?.nullable === false

/** Whether a load lets a column be NULL that must have a value, and that it has none for. */
export const relaxesUnloaded = (load: PlannedLoad, name: string): boolean =>
  load.schema === 'evolve' ||
  (follows(load) &&
    columnNamed(
      (load.gone ?? []).map(gone => ({ name: gone })),
      name,
    ) !== undefined)

/** The type that a column came from at the last load, where that has changed and the load may alter its table. */
export const formerType = (load: PlannedLoad, { name }: Column): string | undefined =>
  follows(load) ? load.was?.find(column => column.name === name)?.origin?.type : undefined

/** Whether a load adds labels to an enum of its table by itself. */
export const addsLabels = follows

/** Whether a load adds a column by itself that its table lacks. */
export function addsColumn(load: PlannedLoad, name: string): boolean {
  if (!follows(load) || load.key.includes(name)) return false
  // Rows that are there would have no value in a column that must have one.
  return ownColumns(load).find(column => column.name === name)?.nullable ?? true
}

/** Why a statement that changes a table failed, where the server alone knew that it would. */
export function changeError(error: unknown, statement: string): unknown {
  if (!(error instanceof EngineError) || !['SQL_FAILED', 'DATA_INVALID'].includes(error.code)) return error
  return new EngineError('TARGET_INCOMPATIBLE', error.message, {
    cause: error.cause,
    hint: `Nothing was loaded. The table does not allow ${statement} Change it by hand, together with what is in the way, or cast in the model.`,
  })
}

/** A row that a trigger of the table does not take. In quotes, so that a sensitive value in its words is masked. */
export const refusedByCode = (where: string, words: string, cause: unknown) =>
  new EngineError('CONSTRAINT_VIOLATED', `${where}: a trigger refuses a row: ${JSON.stringify(words)}`, {
    cause,
    hint: 'Nothing was loaded. Correct the rows, or the trigger.',
  })
