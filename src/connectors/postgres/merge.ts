import type { StagedLoad } from '../../../engine/contracts/load.ts'
import { parquetType, stagedType } from '../../../engine/types/duckType.ts'
import { type Column, type LogicalType, unflattened } from '../../../engine/types/logical.ts'
import { itemOf } from '../../../engine/types/nestedType.ts'
import type { Dependent } from './dependents.ts'
import { FAMILY } from './types.ts'

/** A column of the target table as the catalog has it; domains are resolved to what they are made of. */
export interface TargetColumn {
  name: string
  /** format_type: `numeric(10,2)`. */
  native: string
  /** The domain, where it is of one: what that asks of values beyond the type. */
  domain?: string
  typname: string
  /** pg_type.typcategory; `E` for enums, `A` for arrays. */
  category: string
  typmod: number
  notNull: boolean
  /** Its domain alone says so. */
  domainNotNull: boolean
  /** Of the primary key. */
  keyed: boolean
  /** It must be given a value. */
  required: boolean
  /** The server computes it. */
  generated: boolean
  /** It is an identity that the server computes always. */
  identity: boolean
  /** By what texts that differ can be equal: citext, or a collation that is not deterministic. */
  folds?: string
  /** Where it is not its type's: another type takes it away, unless it is named. */
  collation?: string
  /** What another type takes away, too, as ALTER COLUMN gives it back. */
  kept: string[]
  /** Of a partition key, or a parent's: the table alone cannot give it another type. */
  fixed: boolean
  dependents: Dependent[]
}

/** The column of a name: names that differ in case are different ones here. */
export const columnCalled = <C extends { name: string }>(columns: C[], name: string): C | undefined =>
  columns.find(column => column.name === name)

/** The type that a logical type is staged as, and that a table made by us has. */
export function stagingType(type: LogicalType): string {
  switch (type.kind) {
    case 'bool':
      return 'boolean'
    case 'int':
      if (type.signed) return { 8: 'smallint', 16: 'smallint', 32: 'integer', 64: 'bigint' }[type.bits]
      return { 8: 'smallint', 16: 'integer', 32: 'bigint', 64: 'numeric(20,0)' }[type.bits]
    case 'float':
      return type.bits === 32 ? 'real' : 'double precision'
    case 'decimal':
      return `numeric(${type.precision},${type.scale})`
    case 'text':
      return 'text'
    case 'binary':
      return 'bytea'
    case 'date':
      return 'date'
    case 'time':
      return 'time'
    case 'timestamp':
      return type.zoned ? 'timestamptz' : 'timestamp'
    case 'nested':
      return unflattened(type)
  }
}

/** The type that a column has in a table that we make: the one that it comes from where every Postgres has that; else its like, or as staged. */
export const madeType = ({ type, origin, duck, written }: Brought): string => {
  if (origin?.family === FAMILY && !origin.custom) return origin.type
  if (type.kind !== 'text' || duck === undefined) return stagingType(type)
  const item = itemOf(duck)
  if (item === undefined) return LIKE[duck] ?? 'text'
  // Only a text in braces is one of Postgres' arrays.
  if (written !== 'braces' || itemOf(item) !== undefined) return 'text'
  const staged = parquetType(stagedType(item) ?? '')
  return !staged || staged.kind === 'nested'
    ? 'text'
    : `${LIKE[item] ?? LONG_NAMES[stagingType(staged)] ?? stagingType(staged)}[]`
}

/** What a type of DuckDB that is staged as text is here. JSON keeps its text, as DuckDB does. */
const LIKE: Record<string, string> = {
  UUID: 'uuid',
  JSON: 'json',
  INTERVAL: 'interval',
  BIT: 'bit varying',
  'TIME WITH TIME ZONE': 'time with time zone',
}

/** Types as format_type writes them, by the short names that we use. */
export const LONG_NAMES: Record<string, string> = {
  timestamptz: 'timestamp with time zone',
  timestamp: 'timestamp without time zone',
  time: 'time without time zone',
}

/** Texts that are compared, cut and kept as such. */
export const TEXTS = ['text', 'varchar', 'bpchar', 'citext']
const PARSED = ['json', 'jsonb', 'uuid', 'xml', 'hstore', 'ltree', 'interval', 'timetz', 'varbit', 'tsvector']

/** Precision and scale of a numeric by its typmod, ((precision << 16) | scale) + 4; undefined where it has none. */
export function numericOf(typmod: number): { precision: number; scale: number } | undefined {
  if (typmod < 4) return undefined
  return { precision: ((typmod - 4) >> 16) & 0xffff, scale: (((typmod - 4) & 0x7ff) ^ 1024) - 1024 }
}

/** What a load brings for a column. */
export type Brought = Pick<Column, 'type' | 'origin' | 'duck' | 'written'>

/** Whether a column has the very type that its values come from: it holds each of them, by its notation. */
export const isOwn = ({ origin }: Brought, { native }: TargetColumn) =>
  origin?.family === FAMILY && origin.type === native

/** Types that integers are assigned to, and those that are numbers by their notation only: oid, xid … */
export const INTEGERS = ['int2', 'int4', 'int8']

/**
 * How values of a type get into a column exactly: `assign` by the server's own assignment, which raises where a value
 * does not fit; `parse` by an explicit cast from text, to types that have no length to cut to, or whose values these
 * were; undefined: not at all.
 */
export function fit(brought: Brought, column: TargetColumn): 'assign' | 'parse' | undefined {
  const { type } = brought
  const { typname, category, typmod } = column
  if (isOwn(brought, column)) {
    if (type.kind === 'int') return INTEGERS.includes(typname) ? 'assign' : 'parse'
    return type.kind === 'text' && !TEXTS.includes(typname) ? 'parse' : 'assign'
  }
  const given = (exact: boolean) => (exact ? 'assign' : undefined)
  if (type.kind !== 'text' && type.kind !== 'binary' && TEXTS.includes(typname)) return 'assign'
  const scale = numericOf(typmod)?.scale ?? Infinity
  const fine = typmod < 0 || typmod >= 6
  switch (type.kind) {
    case 'bool':
      return given(typname === 'bool')
    case 'int':
      if (typname === 'numeric') return given(scale >= 0)
      if (typname === 'float8') return given(type.bits <= 32)
      if (typname === 'float4') return given(type.bits <= 16)
      return given(INTEGERS.includes(typname))
    case 'float':
      return given(typname === 'float8' || (typname === 'float4' && type.bits === 32))
    case 'decimal':
      if (typname === 'numeric') return given(scale >= type.scale)
      return given(type.scale === 0 && INTEGERS.includes(typname))
    case 'text':
      if (TEXTS.includes(typname)) return 'assign'
      // A length cuts none of the values that it was made for.
      if (brought.written === 'braces' && madeType(brought) === column.native) return 'parse'
      return typmod < 0 && (PARSED.includes(typname) || 'AEIGR'.includes(category)) ? 'parse' : undefined
    case 'binary':
      return given(typname === 'bytea')
    case 'date':
      return given(typname === 'date' || (typname === 'timestamp' && fine))
    case 'time':
      return given(typname === 'time' && fine)
    case 'timestamp':
      return given(typname === (type.zoned ? 'timestamptz' : 'timestamp') && fine)
  }
}

/** What {@link LoadTables} say of a table's columns. */
export function expressions(load: Pick<StagedLoad, 'columns'>, columns: TargetColumn[]) {
  const brought = (name: string) => columnCalled(load.columns, name)!
  const kind = (name: string) => brought(name).type
  const find = (name: string) => columnCalled(columns, name)!
  const cast = (name: string, expression: string): string => {
    const column = find(name)
    if (fit(brought(name), column) === 'parse')
      return `${expression}${kind(name).kind === 'text' ? '' : '::text'}::${column.native}`
    // Beside a text, a char(n) would be compared as one, without its blanks. Its length is still checked on assignment.
    if (column.typname === 'bpchar') return `(${expression})::bpchar`
    // As text a value can be compared with the column's.
    return kind(name).kind !== 'text' && TEXTS.includes(column.typname) ? `${expression}::text` : expression
  }
  const differs = (name: string, target: string, staged: string): string => {
    const column = find(name)
    const type = kind(name)
    // What the server takes for equal may be different: an interval of 1 day and of 24 hours, 1.0 and 1.00 in jsonb.
    if (fit(brought(name), column) === 'parse') return `${output(target)} IS DISTINCT FROM ${output(staged)}`
    if (column.folds) return `${exact(target)} IS DISTINCT FROM ${exact(staged)}`
    // Blanks at the end are the type's, not the value's.
    if (column.typname === 'bpchar') return `${target}::text IS DISTINCT FROM (${staged})::text`
    if (type.kind === 'float')
      return `(${target} IS DISTINCT FROM ${staged} OR coalesce(${target} = 0 AND ${target}::text <> (${staged})::text, false))`
    return `${target} IS DISTINCT FROM ${staged}`
  }
  const identical = (name: string, target: string, staged: string) =>
    find(name).folds ? `${exact(target)} = ${exact(staged)}` : undefined
  const order = (name: string, expression: string) =>
    kind(name).kind === 'text' ? exact(expression) : expression
  return { cast, differs, identical, order }
}

/** A value's text by its output function, as a source is asked for it: a cast to text may be another (inet). format() knows no NULL. */
export const output = (expression: string) =>
  `CASE WHEN num_nulls(${expression}) = 0 THEN format('%s', ${expression}) END`

/** A text whose equality and order are those of its bytes. */
export const exact = (expression: string) => `(${expression})::text COLLATE "C"`
