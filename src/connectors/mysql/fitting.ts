import type { PlannedLoad } from '../../../engine/contracts/load.ts'
import { periodType } from '../../../engine/contracts/ownColumns.ts'
import { type Column, columnNamed, type LogicalType, typeName } from '../../../engine/types/logical.ts'
import {
  addsColumn,
  evolvedType,
  type Fitting,
  formerType,
  holdingBoth,
  type Obstacle,
  ordersAsText,
  relaxesColumn,
  relaxesUnloaded,
  widenedType,
} from '../sql/obstacles.ts'
import {
  columnType,
  columnTypes,
  fits,
  INDEX_BYTES,
  isOwn,
  isText,
  ownColumns,
  ownType,
  type TargetColumn,
  type TargetTable,
  TEXT,
  uniqueColumns,
} from './targetTypes.ts'
import { FAMILY, identifier, logicalType, tableName } from './types.ts'

/**
 * How a load changes its table so that it takes the load's rows exactly, and what is in the way even then. `written`:
 * the table as SHOW CREATE TABLE writes it, from which what is no type of a column is kept.
 */
export function fittingOf(load: PlannedLoad, table: TargetTable, written: string): Fitting {
  const { columns, unique, engine, frozen } = table
  const statements: string[] = []
  const obstacles: Obstacle[] = []
  const changed: string[] = []
  const refuse = (message: string, hint: string) => obstacles.push({ message, hint })
  const alter = `ALTER TABLE ${tableName(load.table)}`
  const modify = (column: TargetColumn, type = withText(column), nullable = column.nullable !== 'NO') => {
    const more = furtherOf(column, written)
    return `${alter} MODIFY COLUMN ${identifier(column.name)} ${type} ${nullable ? 'NULL' : 'NOT NULL'}${more};`
  }
  if (engine === null) refuse(': is a view', 'Load into a table.')
  else if (engine !== 'InnoDB')
    refuse(`: its storage engine ${engine} cannot take a load back`, `${alter} ENGINE = InnoDB;`)
  const types = columnTypes(load)
  const named = neededColumns(load)
  for (const [name, type] of named) {
    if (columnNamed(columns, name)) continue
    const add = `${alter} ADD COLUMN ${identifier(name)} ${type} NULL;`
    if (addsColumn(load, name)) statements.push(add)
    else refuse(`: has no column ${name}`, `${add} or leave it out of ${load.from}.`)
  }
  for (const brought of load.columns) {
    const { name, type } = brought
    const column = columnNamed(columns, name)
    if (!column) continue
    if (column.generated) {
      refuse(`.${name}: the server computes it`, `Leave ${name} out of ${load.from}.`)
      continue
    }
    const retyped = newType(load, brought, column)
    const relaxed = column.nullable === 'NO' && relaxesColumn(load, brought)
    if (retyped || relaxed) changed.push(column.name)
    if (retyped && column.indexed && exceedsIndex(retyped, column)) {
      const shorter = retyped === TEXT ? INDEXED_TEXT : longestIndexed(column)
      refuse(
        `.${name}: must become ${retyped === TEXT ? 'a text' : retyped.replace(/ .*/, '')}, and no index holds that`,
        `Cast ${name} in ${load.from}${shorter ? `, or ${modify(column, shorter)}` : '.'}`,
      )
    } else if (retyped || relaxed)
      statements.push(modify(column, retyped, relaxed || column.nullable !== 'NO'))
    if (!retyped && !fits(brought, column)) {
      const both = nativeType(column, holdingBoth(logicalOf(column), type))
      const shorter = load.key.includes(name) ? types.get(name) : column.indexed && INDEXED_TEXT
      const held = both === TEXT && shorter ? shorter : both
      refuse(
        `.${name}: ${typeName(type)} does not fit ${column.column_type} exactly`,
        `Cast ${name} in ${load.from}${held ? `, or ${modify(column, held)}` : '.'}`,
      )
    }
    const disordered =
      !retyped && ordersAsText(load, brought, { native: column.column_type, isText: isText(column) })
    if (disordered) refuse(disordered, modify(column, types.get(name)))
  }
  const { validFrom, validTo, current } = load.scd2
  for (const name of load.mode === 'scd2' ? [validFrom, validTo, current] : []) {
    const type: LogicalType = name === current ? { kind: 'bool' } : periodType(load)
    const column = columnNamed(columns, name)
    if (column && !fits({ type }, column))
      refuse(
        `.${name}: is ${column.column_type}, and the load keeps ${typeName(type)} in it`,
        modify(column, columnType(type)),
      )
  }
  for (const column of columns) {
    const { name, required, keyed } = column
    if (!required || named.some(([other]) => other.toLowerCase() === name.toLowerCase())) continue
    if (!keyed && relaxesUnloaded(load, name)) statements.push(modify(column, undefined, true))
    else
      refuse(
        `.${name}: must have a value, and none is loaded`,
        keyed
          ? `Add ${name} to ${load.from}, or give it a default.`
          : `Add ${name} to ${load.from}, give it a default, or ${modify(column, undefined, true)}`,
      )
  }
  const key = uniqueColumns(load).map(name => name.toLowerCase())
  const identifies = (index: string[]) => index.every(name => key.includes(name.toLowerCase()))
  if (key.length > 0 && !unique.some(identifies))
    refuse(
      `: no unique index on ${uniqueColumns(load).join(', ')}`,
      `${alter} ADD UNIQUE KEY (${uniqueColumns(load).map(identifier).join(', ')}); without it each row would be searched for in the whole table.`,
    )
  if (frozen && statements.length + obstacles.length > 0)
    obstacles.unshift({
      message: ': keeps its history, and is altered only by who says what becomes of that',
      hint: ['SET SESSION system_versioning_alter_history = KEEP;', ...statements].join(' '),
    })
  return { statements, obstacles, changed }
}

function neededColumns(load: PlannedLoad): [name: string, type: string][] {
  const types = columnTypes(load)
  const brought = load.columns.map((column): [string, string] => {
    const { name } = column
    return [name, (!load.key.includes(name) && ownType(column)) || types.get(name)!]
  })
  return [...brought, ...ownColumns(load)]
}

const withText = ({ column_type, charset, collation }: TargetColumn) =>
  charset === null ? column_type : `${column_type} CHARACTER SET ${charset} COLLATE ${collation}`

/** What a column has beside its type and NOT NULL: MODIFY would take its default, its numbering and its comment away. */
function furtherOf({ name, column_type }: TargetColumn, written: string): string {
  const start = `  ${identifier(name)} ${column_type}`
  const line = written.split('\n').find(each => each.startsWith(start)) ?? start
  return line
    .slice(start.length)
    .replace(/^( CHARACTER SET \w+)?( COLLATE \w+)?( NOT NULL| NULL)?/, '')
    .replace(/^ DEFAULT NULL/, '')
    .replace(/,$/, '')
}

/** The type that a column must have; undefined where it keeps its own. */
function newType(load: PlannedLoad, brought: Column, column: TargetColumn): string | undefined {
  if (isLonger(column.column_type, formerType(load, brought), brought))
    return withText({ ...column, column_type: brought.origin!.type })
  const narrow = !isOwn(brought, column) && isNarrower(column, brought.type)
  if (fits(brought, column) && !narrow) return undefined
  const there = logicalOf(column)
  const widened = narrow ? widenedType(load, brought, there) : undefined
  return nativeType(column, widened ?? evolvedType(load, brought, there))
}

/** The logical type of a column; text stands for all that none is. */
const logicalOf = (column: TargetColumn): LogicalType => logicalType(column) ?? { kind: 'text' }

/** How a column is given a type that holds its values; undefined where the server would write other ones. */
function nativeType({ data_type }: TargetColumn, type: LogicalType | undefined): string | undefined {
  if (type?.kind !== 'text') return type && columnType(type)
  return UNWRITTEN.includes(data_type) ? undefined : TEXT
}

/** No index holds a text whole. */
const INDEXED_TEXT = 'varchar(255) CHARACTER SET utf8mb4'

/** Whether an index holds values of a type not whole: MariaDB would cut it to their beginnings, MySQL refuses. */
function exceedsIndex(type: string, { width }: TargetColumn): boolean {
  const [kind, length] = partsOf(type)
  return /(text|blob)$/.test(kind) || Number(length) * width > INDEX_BYTES
}

/** The longest type of a column's kind that an index holds, where that is longer than its own. */
function longestIndexed(column: TargetColumn): string | undefined {
  const most = Math.floor(INDEX_BYTES / column.width)
  const [kind] = partsOf(column.column_type)
  return column.length! < most ? withText({ ...column, column_type: `${kind}(${most})` }) : undefined
}

/** Types of whose values the server writes another text, of fewer digits or of their bytes. */
const UNWRITTEN = ['float', 'double', 'bit']

const TEXT_SIZES = ['tinytext', 'text', 'mediumtext', 'longtext']

/** Whether a column has the type that its source had, and the source's new one holds all of its values and more. */
function isLonger(native: string, former: string | undefined, { origin }: Column): boolean {
  if (origin?.family !== FAMILY || native !== former) return false
  const [kind, inside] = partsOf(native)
  const [now, more] = partsOf(origin.type)
  if (/^(enum|set)$/.test(kind) && kind === now) return more.startsWith(inside) && more.length > inside.length
  if (/^(var)?(char|binary)$/.test(kind) && kind === now) return Number(more) > Number(inside)
  if (kind === 'varchar' && TEXT_SIZES.slice(1).includes(now)) return true
  return TEXT_SIZES.includes(kind) && TEXT_SIZES.indexOf(now) > TEXT_SIZES.indexOf(kind)
}

const partsOf = (type: string): [kind: string, inside: string] => {
  const [, kind = '', inside = ''] = /^(\w+)(?:\((.*)\))?/s.exec(type) ?? []
  return [kind, inside]
}

const INT_BITS: Record<string, number> = { tinyint: 8, smallint: 16, mediumint: 24, int: 32, bigint: 64 }

/** Whether a number of the type may be too large, or too fine, for the column. */
function isNarrower({ data_type, column_type, num_precision, num_scale }: TargetColumn, type: LogicalType) {
  const bits = INT_BITS[data_type]
  if (type.kind === 'float') return type.bits === 64 && data_type === 'float'
  if (type.kind === 'int' && bits !== undefined)
    return / unsigned/i.test(column_type) === type.signed ? bits <= type.bits : bits < type.bits
  if (type.kind !== 'decimal') return false
  if (data_type !== 'decimal') return bits !== undefined
  const [precision, scale] = [Number(num_precision), Number(num_scale)]
  return scale < type.scale || precision - scale < type.precision - type.scale
}
