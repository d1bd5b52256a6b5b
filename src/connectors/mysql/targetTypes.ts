import type { PlannedLoad } from '../../../engine/contracts/load.ts'
import { periodType } from '../../../engine/contracts/ownColumns.ts'
import { markColumn } from '../../../engine/contracts/semantics.ts'
import { type Column, columnNamed, type LogicalType, unflattened } from '../../../engine/types/logical.ts'
import type { ValueRule } from './encode.ts'
import { FAMILY, identifier, type NativeColumn } from './types.ts'

/** A column of a target table as information_schema has it. */
export interface TargetColumn extends NativeColumn {
  /** Digits after the second, of times. */
  fraction: number | null
  /** In characters, or of binary columns in bytes. */
  length: number | null
  /** Bytes of a character at most. */
  width: number
  charset: string | null
  collation: string | null
  /** Of the primary key. */
  keyed: boolean
  /** It must be given a value. */
  required: boolean
  /** The server computes it. */
  generated: boolean
  /** Whole, in an index that is not unique. */
  indexed: boolean
}

/** A target table as a load needs to know it. */
export interface TargetTable {
  columns: TargetColumn[]
  /** Columns of each unique index. */
  unique: string[][]
  /** Its storage engine; null for a view. */
  engine: string | null
  /** It keeps its rows' history (WITH SYSTEM VERSIONING), and the server alters it for no session that has not said what becomes of that. */
  frozen: boolean
  /** It has foreign keys. */
  refers: boolean
}

export const TEXT = 'longtext CHARACTER SET utf8mb4'

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

/** A column's type in the family's notation, where it comes from there. */
export function ownType({ origin }: Column): string | undefined {
  if (origin?.family !== FAMILY) return undefined
  const { type, charset, collation } = origin
  return charset === undefined ? type : `${type} CHARACTER SET ${charset} COLLATE ${collation}`
}

/** What an index of InnoDB holds, in bytes. */
export const INDEX_BYTES = 3072
/** What of it is left to columns of the key that are no texts. */
const OTHERS_BYTES = 256
/** Characters of utf8mb4. */
const LONGEST_KEY = 255
/** Characters of the longest key that we stage in a type with a length. */
const LONGEST_STAGED = 700

/** Texts and bytes of a load's key, and how many characters, or bytes, of each an index holds beside the others. */
function longKeys(load: PlannedLoad) {
  const keyed = load.columns.filter(column => isLong(column.type) && load.key.includes(column.name))
  return {
    keyed,
    room: Math.min(LONGEST_KEY, Math.floor((INDEX_BYTES - OTHERS_BYTES) / 4 / Math.max(1, keyed.length))),
  }
}

/**
 * Types of a load's columns by their names. Texts and bytes of the key need a length, since an index cannot hold them
 * whole: the target's where there is one that an index of ours holds, else up to 255; texts are compared by `collation`.
 */
export function columnTypes(
  load: PlannedLoad,
  table?: TargetTable,
  collation = 'utf8mb4_bin',
): Map<string, string> {
  const { keyed, room } = longKeys(load)
  return new Map(
    load.columns.map(column => {
      if (!keyed.includes(column)) return [column.name, columnType(column.type)]
      const length = (table && columnNamed(table.columns, column.name)?.length) ?? room
      const binary = column.type.kind === 'binary'
      const sized = binary ? `varbinary(${length})` : `varchar(${length}) CHARACTER SET utf8mb4`
      const type = length > LONGEST_STAGED ? columnType(column.type) : sized
      return [column.name, binary ? type : `${type} COLLATE ${collation}`]
    }),
  )
}

/** The key of a table that a load makes for itself as an index has it: of long values the beginnings. */
export function indexedKey(load: PlannedLoad, types: Map<string, string>): string {
  const { keyed, room } = longKeys(load)
  const parts = load.key.map(name => {
    const isLong = keyed.some(column => column.name === name)
    const [, length] = /\((\d+)\)/.exec(types.get(name)!) ?? []
    const isWhole = !isLong || Number(length) <= room
    return isWhole ? identifier(name) : `${identifier(name)}(${room})`
  })
  return parts.join(', ')
}

const isLong = ({ kind }: LogicalType) => kind === 'text' || kind === 'binary'

const INTEGERS = ['tinyint', 'smallint', 'mediumint', 'int', 'bigint']
const TEXTS = ['char', 'varchar', 'tinytext', 'text', 'mediumtext', 'longtext', 'enum', 'set']
const CHARACTERS = TEXTS.filter(type => type !== 'enum' && type !== 'set')
const WRITTEN = ['bool', 'int', 'decimal', 'date', 'time', 'timestamp']
const PARSED = ['json', 'uuid', 'inet4', 'inet6']
const BINARIES = ['binary', 'varbinary', 'tinyblob', 'blob', 'mediumblob', 'longblob']

/** Whether a column's type has a character set, so that its values are compared as bytes. */
export const isText = ({ data_type }: TargetColumn) => TEXTS.includes(data_type)

/** Whether a column holds every value of a type exactly, or the server raises where one does not fit. */
export function fits(brought: Brought, column: TargetColumn): boolean {
  if (isOwn(brought, column)) return true
  const { type } = brought
  const { data_type, column_type, fraction } = column
  // The server writes any of these as it shows it; of numbers in floating point, not all digits.
  if (WRITTEN.includes(type.kind) && CHARACTERS.includes(data_type)) return true
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
