import type { PlannedLoad } from '../../../engine/contracts/load.ts'
import { markColumn } from '../../../engine/contracts/semantics.ts'
import {
  type Column,
  columnNamed,
  type LogicalType,
  typeName,
  unflattened,
} from '../../../engine/types/logical.ts'
import { periodType } from '../sql/dialect.ts'
import { addsColumn, formerType, Obstacles, relaxesColumn, widensColumn } from '../sql/obstacles.ts'
import type { ValueRule } from './encode.ts'
import { FAMILY, identifier, type NativeColumn, tableName } from './types.ts'

/** A column of a target table as information_schema has it. */
export interface TargetColumn extends NativeColumn {
  /** Digits after the second, of times. */
  fraction: number | null
  /** In characters, or of binary columns in bytes. */
  length: number | null
  charset: string | null
  collation: string | null
  /** It must be given a value. */
  required: boolean
  /** The server computes it. */
  generated: boolean
}

/** A target table as a load needs to know it. */
export interface TargetTable {
  columns: TargetColumn[]
  /** Columns of each unique index. */
  unique: string[][]
  /** Its storage engine; null for a view. */
  engine: string | null
}

const TEXT = 'longtext CHARACTER SET utf8mb4'

/** The type that a column gets in a table that a load makes, where it is not of its key. */
export function columnType(type: LogicalType): string {
  switch (type.kind) {
    case 'bool':
      return 'tinyint(1)'
    case 'int': {
      const name = { 8: 'tinyint', 16: 'smallint', 32: 'int', 64: 'bigint' }[type.bits]
      return type.signed ? name : `${name} unsigned`
    }
    case 'float':
      return type.bits === 32 ? 'float' : 'double'
    case 'decimal':
      return `decimal(${type.precision},${type.scale})`
    case 'text':
      return TEXT
    case 'binary':
      return 'longblob'
    case 'date':
      return 'date'
    case 'time':
      return 'time(6)'
    case 'timestamp':
      // Not `timestamp`, which ends in 2038: instants are kept in UTC.
      return 'datetime(6)'
    case 'nested':
      return unflattened(type)
  }
}

/** What a load brings for a column. */
export type Brought = Pick<Column, 'type' | 'origin'>

/** Whether a column has the very type that its values come from. */
export const isOwn = ({ origin }: Brought, column: TargetColumn) =>
  origin?.family === FAMILY && origin.type === column.column_type

/**
 * The columns of a table that a load makes: as where they come from, where that is of the family; else by their logical
 * types. Characters and bytes of a key are as {@link columnTypes} has them.
 */
export function madeColumns(load: PlannedLoad, collation: string): [name: string, definition: string][] {
  const types = columnTypes(load, undefined, collation)
  return load.columns.map(column => {
    const { name, type, origin } = column
    const long = origin?.charset !== undefined || type.kind === 'binary'
    const keyed = load.key.includes(name)
    const staged = types.get(name)!
    if (keyed && long) return [name, staged]
    return [name, madeColumn(keyed ? { ...column, nullable: false } : column, staged)]
  })
}

function madeColumn(column: Column, other: string): string {
  const { nullable, origin } = column
  const own = ownType(column)
  const fallback = own && origin!.default !== undefined ? ` DEFAULT ${origin!.default}` : ''
  // A timestamp that may be NULL has to say so, and no part of a key may.
  const required = !nullable && origin ? ' NOT NULL' : own ? ' NULL' : ''
  return `${own ?? other}${required}${fallback}`
}

function ownType({ origin }: Column): string | undefined {
  if (origin?.family !== FAMILY) return undefined
  const { type, charset, collation } = origin
  return charset === undefined ? type : `${type} CHARACTER SET ${charset} COLLATE ${collation}`
}

/** What an index of InnoDB holds, less room for other columns of the key, in bytes; and characters of utf8mb4. */
const INDEX_BYTES = 2816
const LONGEST_KEY = 255

/**
 * Types of a load's columns by their names. Texts and bytes of the key need a length, since an index cannot hold them
 * whole: the target's where there is one, else up to 255; texts are compared by `collation`.
 */
export function columnTypes(
  load: PlannedLoad,
  table?: TargetTable,
  collation = 'utf8mb4_bin',
): Map<string, string> {
  const keyed = load.columns.filter(column => isLong(column.type) && load.key.includes(column.name))
  const room = Math.min(LONGEST_KEY, Math.floor(INDEX_BYTES / 4 / Math.max(1, keyed.length)))
  return new Map(
    load.columns.map(column => {
      if (!keyed.includes(column)) return [column.name, columnType(column.type)]
      const length = Math.min((table && columnNamed(table.columns, column.name)?.length) ?? room, 700)
      return [
        column.name,
        column.type.kind === 'binary'
          ? `varbinary(${length})`
          : `varchar(${length}) CHARACTER SET utf8mb4 COLLATE ${collation}`,
      ]
    }),
  )
}

const isLong = ({ kind }: LogicalType) => kind === 'text' || kind === 'binary'

const INTEGERS = ['tinyint', 'smallint', 'mediumint', 'int', 'bigint']
const TEXTS = ['char', 'varchar', 'tinytext', 'text', 'mediumtext', 'longtext', 'enum', 'set']
const PARSED = ['json', 'uuid', 'inet4', 'inet6']
const BINARIES = ['binary', 'varbinary', 'tinyblob', 'blob', 'mediumblob', 'longblob']

/** Whether a column's type has a character set, so that its values are compared as bytes. */
export const isText = ({ data_type }: TargetColumn) => TEXTS.includes(data_type)

/** Whether a column holds every value of a type exactly, or the server raises where one does not fit. */
export function fits(brought: Brought, column: TargetColumn): boolean {
  if (isOwn(brought, column)) return true
  const { type } = brought
  const { data_type, column_type, fraction } = column
  // FLOAT(7,2) and its kin round.
  if ((data_type === 'float' || data_type === 'double') && column_type.includes('(')) return false
  const scale = Number(column.num_scale)
  switch (type.kind) {
    case 'bool':
      return INTEGERS.includes(data_type)
    case 'int':
      if (data_type === 'double') return type.bits <= 32
      if (data_type === 'float') return type.bits <= 16
      return data_type === 'decimal' || INTEGERS.includes(data_type)
    case 'float':
      return data_type === 'double' || (data_type === 'float' && type.bits === 32)
    case 'decimal':
      return data_type === 'decimal' ? scale >= type.scale : type.scale === 0 && INTEGERS.includes(data_type)
    case 'text':
      return TEXTS.includes(data_type) || PARSED.includes(data_type)
    case 'binary':
      return BINARIES.includes(data_type)
    case 'date':
      return data_type === 'date' || data_type === 'datetime'
    case 'time':
      return data_type === 'time' && fraction === 6
    case 'timestamp':
      return (data_type === 'datetime' || (data_type === 'timestamp' && type.zoned)) && fraction === 6
    case 'nested':
      return unflattened(type)
  }
}

/** What a target's column asks of values beyond its type. */
export function valueRule(
  column: Column,
  load: PlannedLoad,
  table: TargetTable | undefined,
): ValueRule | undefined {
  const found = table && columnNamed(table.columns, column.name)
  const rule: ValueRule = {}
  if (load.key.includes(column.name)) rule.refuseNull = true
  if (column.type.kind === 'text' && found?.data_type === 'char') rule.refuseTrailingSpace = true
  if (column.type.kind === 'binary' && found?.data_type === 'binary') rule.length = found.length!
  return Object.keys(rule).length > 0 ? rule : undefined
}

/** Columns that a load sets beside the staged ones, with their types. */
export function ownColumns(load: PlannedLoad): [name: string, type: string][] {
  const columns: [string, string][] = []
  if (load.stamp) columns.push([load.stamp, 'datetime(6)'])
  const mark = markColumn(load)
  if (mark !== undefined) columns.push([mark, 'datetime(6)'])
  if (load.mode === 'scd2') {
    const period = columnType(periodType(load))
    columns.push(
      [load.scd2.validFrom, period],
      [load.scd2.validTo, period],
      [load.scd2.current, 'tinyint(1)'],
    )
  }
  return columns
}

/** The columns that are unique in a target: the key, under scd2 with the beginning of a version. */
export function uniqueColumns(load: PlannedLoad): string[] {
  return load.mode === 'scd2' ? [...load.key, load.scd2.validFrom] : load.key
}

/** The statements that add the columns which a table lacks and widen those that have become too narrow, where the load may. */
export function alterations(load: PlannedLoad, { columns }: TargetTable): string[] {
  const added = neededColumns(load)
    .filter(([name]) => !columnNamed(columns, name) && addsColumn(load, name))
    .map(([name, type]) => addColumn(load, name, type))
  const types = columnTypes(load)
  const widened = load.columns
    .filter(({ name, type }) => {
      const column = columnNamed(columns, name)
      return column && widensColumn(load, name) && isNarrower(column, type)
    })
    .map(({ name }) => {
      const required = columnNamed(columns, name)!.nullable === 'NO' ? 'NOT NULL' : 'NULL'
      return `ALTER TABLE ${tableName(load.table)} MODIFY COLUMN ${identifier(name)} ${types.get(name)} ${required};`
    })
  const others = load.columns.flatMap(column => {
    const there = columnNamed(columns, column.name)
    if (!there || (widensColumn(load, column.name) && isNarrower(there, column.type))) return []
    const longer = isLonger(there.column_type, formerType(load, column), column)
    const relaxed = there.nullable === 'NO' && relaxesColumn(load, column)
    if (!longer && !relaxed) return []
    const own = longer ? ownType(column) : undefined
    const type = own ?? withText(there.column_type, there)
    const required = there.nullable === 'NO' && !relaxed ? 'NOT NULL' : 'NULL'
    return [
      `ALTER TABLE ${tableName(load.table)} MODIFY COLUMN ${identifier(column.name)} ${type} ${required};`,
    ]
  })
  return [...added, ...widened, ...others]
}

const withText = (type: string, { charset, collation }: Pick<TargetColumn, 'charset' | 'collation'>) =>
  charset === null ? type : `${type} CHARACTER SET ${charset} COLLATE ${collation}`

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

const addColumn = ({ table }: PlannedLoad, name: string, type: string) =>
  `ALTER TABLE ${tableName(table)} ADD COLUMN ${identifier(name)} ${type} NULL;`

function neededColumns(load: PlannedLoad): [name: string, type: string][] {
  const types = columnTypes(load)
  const brought = load.columns.map((column): [string, string] => {
    const { name } = column
    return [name, (!load.key.includes(name) && ownType(column)) || types.get(name)!]
  })
  return [...brought, ...ownColumns(load)]
}

/** Fails with TARGET_INCOMPATIBLE where a table cannot take a load's rows exactly; `where` names the table. */
export function checkTarget(
  load: PlannedLoad,
  { columns, unique, engine }: TargetTable,
  where: string,
): void {
  const obstacles = new Obstacles(where)
  const refuse = (message: string, hint: string) => obstacles.add(message, hint)
  const alter = `ALTER TABLE ${tableName(load.table)}`
  if (engine === null) refuse(': is a view', 'Load into a table.')
  if (engine !== 'InnoDB')
    refuse(`: its storage engine ${engine} cannot take a load back`, `${alter} ENGINE = InnoDB;`)
  const types = columnTypes(load)
  const named = neededColumns(load)
  for (const [name, type] of named)
    if (!columnNamed(columns, name) && !addsColumn(load, name))
      refuse(`: has no column ${name}`, `${addColumn(load, name, type)} or leave it out of ${load.from}.`)
  for (const brought of load.columns) {
    const { name, type } = brought
    const column = columnNamed(columns, name)
    if (!column) continue
    if (column.generated) refuse(`.${name}: the server computes it`, `Leave ${name} out of ${load.from}.`)
    if (!fits(brought, column) && !(widensColumn(load, name) && isNarrower(column, type)))
      refuse(
        `.${name}: ${typeName(type)} does not fit ${column.column_type} exactly`,
        `Cast ${name} in ${load.from}, or ${alter} MODIFY COLUMN ${identifier(name)} ${types.get(name)};`,
      )
  }
  const { validFrom, validTo, current } = load.scd2
  for (const name of load.mode === 'scd2' ? [validFrom, validTo, current] : []) {
    const type: LogicalType = name === current ? { kind: 'bool' } : periodType(load)
    const column = columnNamed(columns, name)
    if (column && !fits({ type }, column))
      refuse(
        `.${name}: is ${column.column_type}, and the load keeps ${typeName(type)} in it`,
        `${alter} MODIFY COLUMN ${identifier(name)} ${columnType(type)};`,
      )
  }
  for (const { name, required } of columns)
    if (required && !named.some(([other]) => other.toLowerCase() === name.toLowerCase()))
      refuse(
        `.${name}: must have a value, and none is loaded`,
        `Add ${name} to ${load.from}, or give it a default.`,
      )
  const key = uniqueColumns(load).map(name => name.toLowerCase())
  const identifies = (index: string[]) => index.every(name => key.includes(name.toLowerCase()))
  if (key.length > 0 && !unique.some(identifies))
    refuse(
      `: no unique index on ${uniqueColumns(load).join(', ')}`,
      `${alter} ADD UNIQUE KEY (${uniqueColumns(load).map(identifier).join(', ')}); without it each row would be searched for in the whole table.`,
    )
  obstacles.check()
}
