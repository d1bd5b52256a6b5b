import type { PlannedLoad } from '../../../engine/contracts/load.ts'
import { ownColumns } from '../../../engine/contracts/ownColumns.ts'
import { type Column, type LogicalType, type Origin, typeName } from '../../../engine/types/logical.ts'
import {
  addsColumn,
  evolvedType,
  type Fitting,
  formerType,
  type Obstacle,
  relaxesColumn,
  relaxesUnloaded,
  widensColumn,
} from '../sql/obstacles.ts'
import { quoteIdent, quoteTable } from './connect.ts'
import { fit, INTEGERS, madeType, numericOf, stagingType, type TargetColumn } from './merge.ts'
import { FAMILY } from './types.ts'

/** How a load changes its table so that it takes the load's rows exactly, and what is in the way even then. */
export function fittingOf(load: PlannedLoad, columns: TargetColumn[]): Fitting {
  const statements: string[] = []
  const obstacles: Obstacle[] = []
  const changed: string[] = []
  const refuse = (message: string, hint: string) => obstacles.push({ message, hint })
  const find = (name: string) => columns.find(column => column.name === name)
  const alter = (name: string, how: string) =>
    `ALTER TABLE ${quoteTable(load.table)} ALTER COLUMN ${quoteIdent(name)} ${how};`
  const needed = neededColumns(load)
  for (const { name, native } of needed) {
    if (find(name)) continue
    const add = `ALTER TABLE ${quoteTable(load.table)} ADD COLUMN ${quoteIdent(name)} ${native};`
    if (addsColumn(load, name)) statements.push(add)
    else refuse(`: has no column ${name}`, `${add} or leave it out of ${load.from}.`)
  }
  for (const brought of load.columns) {
    const { name, type } = brought
    const column = find(name)
    if (!column) continue
    if (column.generated) {
      refuse(`.${name}: the server computes it`, `Leave ${name} out of ${load.from}.`)
      continue
    }
    const retyped = newType(load, brought, column)
    const relaxed = column.notNull && relaxesColumn(load, brought)
    if (retyped || relaxed) changed.push(column.name)
    if (retyped) statements.push(alter(name, retyped))
    else if (!fit(brought, column))
      refuse(
        `.${name}: ${typeName(type)} does not fit ${column.native} exactly`,
        `Cast ${name} in ${load.from}, or ${alter(name, `TYPE ${madeType(brought)}`)}`,
      )
    if (relaxed) statements.push(alter(name, 'DROP NOT NULL'))
  }
  for (const { name, type } of ownColumns(load)) {
    const column = find(name)
    if (column && !fit({ type }, column))
      refuse(
        `.${name}: is ${column.native}, and the load keeps ${typeName(type)} in it`,
        `${alter(name, `TYPE ${stagingType(type)}`)} or name another one.`,
      )
  }
  for (const { name, required, keyed } of columns) {
    if (!required || needed.some(column => column.name === name)) continue
    if (!keyed && relaxesUnloaded(load, name)) statements.push(alter(name, 'DROP NOT NULL'))
    else
      refuse(
        `.${name}: must have a value, and none is loaded`,
        keyed
          ? `Add ${name} to ${load.from}, or give it a default.`
          : `Add ${name} to ${load.from}, give it a default, or ${alter(name, 'DROP NOT NULL')}`,
      )
  }
  return { statements, obstacles, changed }
}

const neededColumns = (load: PlannedLoad) => [
  ...load.columns.map(column => ({ name: column.name, native: madeType(column) })),
  ...ownColumns(load).map(({ name, type }) => ({ name, native: stagingType(type) })),
]

/** How a column gets the type that it must have; undefined where it stays as it is. */
function newType(load: PlannedLoad, brought: Column, column: TargetColumn): string | undefined {
  const { name, type, origin } = brought
  const narrow = isNarrower(column, type)
  if (narrow && widensColumn(load, name)) return `TYPE ${madeType(brought)}`
  if (isLonger(column.native, formerType(load, brought), origin)) return `TYPE ${origin!.type}`
  if (fit(brought, column) && !narrow) return undefined
  const both = evolvedType(load, brought, logicalOf(column))
  if (!both) return undefined
  return both.kind === 'text' ? `TYPE text USING ${quoteIdent(name)}::text` : `TYPE ${stagingType(both)}`
}

/** The logical type of a column of numbers or times; text stands for a notation of all others. */
function logicalOf({ typname, typmod }: TargetColumn): LogicalType {
  if (INTEGERS.includes(typname))
    return { kind: 'int', bits: (Number(typname.slice(3)) * 8) as 16 | 32 | 64, signed: true }
  const numeric = typname === 'numeric' ? numericOf(typmod) : undefined
  if (numeric && numeric.scale >= 0 && numeric.scale <= numeric.precision && numeric.precision <= 38)
    return { kind: 'decimal', ...numeric }
  return LOGICAL[typname] ?? { kind: 'text' }
}

const LOGICAL: Record<string, LogicalType> = {
  bool: { kind: 'bool' },
  float4: { kind: 'float', bits: 32 },
  float8: { kind: 'float', bits: 64 },
  bytea: { kind: 'binary' },
  date: { kind: 'date' },
  time: { kind: 'time' },
  timestamp: { kind: 'timestamp', zoned: false },
  timestamptz: { kind: 'timestamp', zoned: true },
}

/** Whether a column has the type that its source had, and the source's new one holds longer texts of the same kind. */
function isLonger(native: string, former: string | undefined, origin: Origin | undefined): boolean {
  if (origin?.family !== FAMILY || native !== former) return false
  const length = (type: string) => {
    const [, kind, digits] = /^(character varying|text|bit varying)(?:\((\d+)\))?$/.exec(type) ?? []
    return kind && { kind: kind === 'text' ? 'character varying' : kind, most: Number(digits ?? Infinity) }
  }
  const [before, now] = [length(native), length(origin.type)]
  return Boolean(before && now && before.kind === now.kind && now.most > before.most)
}

/** Whether a number of the type may be too large, or too fine, for the column. */
function isNarrower({ typname, typmod }: TargetColumn, type: LogicalType): boolean {
  if (type.kind === 'float') return type.bits === 64 && typname === 'float4'
  if (type.kind === 'int')
    return INTEGERS.includes(typname) && Number(typname.slice(3)) * 8 < type.bits + (type.signed ? 0 : 1)
  if (type.kind !== 'decimal') return false
  const own = numericOf(typmod)
  if (typname !== 'numeric') return INTEGERS.includes(typname)
  return (
    own !== undefined && (own.scale < type.scale || own.precision - own.scale < type.precision - type.scale)
  )
}
