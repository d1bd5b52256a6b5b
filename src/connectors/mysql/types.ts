import { EngineError } from '../../../engine/errors.ts'
import { counted } from '../../../engine/plural.ts'
import type { Column, InexactPolicy, LogicalType, Origin } from '../../../engine/types/logical.ts'
import type { TypeRule } from '../declare/define.ts'

const ZERO_DATES = 'zero and partial dates (0000-00-00, 2026-00-00) and days that no calendar has'
const NO_UNICODE = 'bytes that Unicode has no character for'
const AS_TEXT = "under `text`: the server's text of it"

/** The connector's reviewable mapping; {@link logicalColumn} follows it line by line. */
export const TYPES: TypeRule[] = [
  { native: 'tinyint', logical: 'TINYINT', note: 'also tinyint(1): it holds -128 to 127, not only 0 and 1' },
  { native: 'smallint', logical: 'SMALLINT' },
  { native: 'mediumint', logical: 'INTEGER' },
  { native: 'int', logical: 'INTEGER' },
  { native: 'bigint', logical: 'BIGINT' },
  { native: 'tinyint unsigned', logical: 'UTINYINT' },
  { native: 'smallint unsigned', logical: 'USMALLINT' },
  { native: 'mediumint unsigned', logical: 'UINTEGER' },
  { native: 'int unsigned', logical: 'UINTEGER' },
  { native: 'bigint unsigned', logical: 'UBIGINT' },
  { native: 'decimal(p,s), p ≤ 38', logical: 'DECIMAL(p,s)' },
  { native: 'decimal(p,s), p > 38', logical: 'VARCHAR', note: 'all digits, as text' },
  { native: 'float', logical: 'FLOAT', note: 'bit for bit; its text has six digits' },
  { native: 'double', logical: 'DOUBLE' },
  { native: 'bit(n)', logical: 'UBIGINT' },
  { native: 'year', logical: 'SMALLINT' },
  { native: 'date', logical: 'DATE', inexact: ZERO_DATES, note: AS_TEXT },
  { native: 'datetime(f)', logical: 'TIMESTAMP', inexact: ZERO_DATES, note: AS_TEXT },
  { native: 'timestamp(f)', logical: 'TIMESTAMP WITH TIME ZONE', inexact: ZERO_DATES, note: 'read in UTC' },
  { native: 'time(f)', logical: 'VARCHAR', note: "reaches from -838:59:59 to 838:59:59: the server's text" },
  {
    native: 'char, varchar, text',
    logical: 'VARCHAR',
    note: 'a value with bytes that are not UTF-8 (half of a surrogate pair) fails unless columns: says otherwise',
  },
  {
    native: 'text of a character set other than utf8mb4, utf8mb3, latin1',
    logical: 'VARCHAR',
    inexact: NO_UNICODE,
    note: 'converted by the server; such rows go to the quarantine, with the bytes, unless columns: says otherwise',
  },
  { native: 'enum, set', logical: 'VARCHAR' },
  { native: 'json', logical: 'VARCHAR' },
  { native: 'uuid', logical: 'VARCHAR', seen: 'UUID' },
  { native: 'inet4, inet6', logical: 'VARCHAR' },
  { native: 'binary, varbinary, blob', logical: 'BLOB' },
  {
    native: 'geometry and its kin',
    logical: 'BLOB',
    note: 'WKB; the spatial reference id is not part of it',
  },
]

const INT_BITS: Record<string, 8 | 16 | 32 | 64> = {
  tinyint: 8,
  smallint: 16,
  mediumint: 32,
  int: 32,
  bigint: 64,
}
/** Types that the wire carries as text anyhow. */
const CHARACTERS = 'char varchar tinytext text mediumtext longtext'.split(' ')
const STRINGS = [...CHARACTERS, ...'enum set json uuid inet4 inet6'.split(' ')]
const TEXTS = [...STRINGS, 'time']
const BINARIES = 'binary varbinary tinyblob blob mediumblob longblob'.split(' ')
const GEOMETRIES =
  'geometry point linestring polygon multipoint multilinestring multipolygon geometrycollection geomcollection'.split(
    ' ',
  )
const DATES: Record<string, LogicalType> = {
  date: { kind: 'date' },
  datetime: { kind: 'timestamp', zoned: false },
  timestamp: { kind: 'timestamp', zoned: true },
}

/** A row of information_schema.columns, as the describe query names its columns. */
export interface NativeColumn {
  name: string
  data_type: string
  column_type: string
  nullable: string
  num_precision: string | null
  num_scale: string | null
  charset: string | null
}

/** The same with what a table of its like is made from. */
export interface CatalogColumn extends NativeColumn {
  collation: string | null
  /** Of MariaDB an expression. */
  fallback: string | null
}

/** Of {@link Origin}: types are MySQL's and MariaDB's. */
export const FAMILY = 'mysql'

/** A literal; MySQL itself shows a text without its quotes, which is then no literal. */
const CONSTANT = /^(b?'([^'\\]|'')*'|-?\d+(\.\d+)?)$/

/**
 * How the answer gives a column that is staged as text (`Column.wire`); absent: the text.
 *
 * | wire | the value's bytes |
 * |---|---|
 * | `marked:CHARSET` | a byte 0 and the text; or a byte 1 and hexadecimal digits of bytes that Unicode has no character for |
 */
const MARKED = 'marked:'

export const isMarked = (column: Column) => column.wire?.startsWith(MARKED) ?? false

/** Character sets that the server converts to UTF-8 whole: Unicode's own on one byte a unit, and latin1, which maps every byte. */
const WHOLE = ['utf8mb4', 'utf8mb3', 'utf8', 'latin1']
/** Character sets of wider units: a byte may be half of anything. */
const WIDE = ['ucs2', 'utf16', 'utf16le', 'utf32']

/** The column as it will be staged. `where` names the table in the refusal of a type that has no mapping. */
export function logicalColumn(where: string, native: NativeColumn, policy?: InexactPolicy): Column {
  const base = native.data_type.toLowerCase()
  const type = logicalType(native)
  if (!type && policy !== 'text')
    throw new EngineError(
      'TYPE_UNSUPPORTED',
      `${where}.${native.name}: MySQL type ${native.column_type} has no mapping`,
      { hint: `Set columns.${native.name} of this extract to text.` },
    )
  const column: Column = {
    name: native.name,
    type: policy === 'text' && type?.kind !== 'binary' ? { kind: 'text' } : type!,
    nullable: native.nullable === 'YES' || policy === 'null' || policy === 'quarantine',
    native: native.column_type,
  }
  if (column.type.kind === 'text' && native.charset !== null && !WHOLE.includes(native.charset)) {
    column.wire = MARKED + native.charset
    column.inexact = NO_UNICODE
    column.policy = 'quarantine'
  }
  if (column.type.kind === 'text' && !CHARACTERS.includes(base)) column.notation = true
  if (base === 'uuid' && policy !== 'text') column.duck = 'UUID'
  if (base in DATES && policy !== 'text') column.inexact = ZERO_DATES
  if (policy) column.policy = policy
  return column
}

/** Whether a column holds shapes. */
export const isShape = ({ data_type }: NativeColumn) => GEOMETRIES.includes(data_type.toLowerCase())

/** What a column is made from; undefined for a shape, whose spatial reference is not read. */
export function originOf(column: CatalogColumn): Origin | undefined {
  const { column_type, charset, collation, fallback } = column
  if (isShape(column)) return undefined
  return {
    family: FAMILY,
    type: column_type,
    ...(charset !== null && { charset }),
    ...(collation !== null && { collation }),
    ...(fallback !== null && CONSTANT.test(fallback) && { default: fallback }),
  }
}

/** What holds every value of a column; undefined where its type has no mapping. */
export function logicalType(native: NativeColumn): LogicalType | undefined {
  const base = native.data_type.toLowerCase()
  const bits = INT_BITS[base]
  if (bits) return { kind: 'int', bits, signed: !/ unsigned/i.test(native.column_type) }
  if (base === 'decimal') {
    const precision = Number(native.num_precision)
    if (precision > 38) return { kind: 'text' }
    return { kind: 'decimal', precision, scale: Number(native.num_scale) }
  }
  if (base === 'float') return { kind: 'float', bits: 32 }
  if (base === 'double') return { kind: 'float', bits: 64 }
  if (base === 'bit') return { kind: 'int', bits: 64, signed: false }
  if (base === 'year') return { kind: 'int', bits: 16, signed: true }
  if (TEXTS.includes(base)) return { kind: 'text' }
  if (BINARIES.includes(base) || GEOMETRIES.includes(base)) return { kind: 'binary' }
  return DATES[base]
}

/**
 * The expression that gives a column's value without loss: as it lies in the table, or as the server's text of it
 * where it is staged as text. `name`: SQL of the column.
 */
export function selectExpression(column: Column, name = identifier(column.name)): string {
  const base = /^\w+/.exec(column.native)?.[0].toLowerCase() ?? ''
  if (GEOMETRIES.includes(base)) return `ST_AsWKB(${name})`
  if (isMarked(column)) return marked(name, column.wire!.slice(MARKED.length))
  if (column.type.kind !== 'text' || STRINGS.includes(base) || base === 'decimal') return name
  if (base === 'bit') return `CAST(CAST(${name} AS UNSIGNED) AS CHAR)`
  // FLOAT prints six digits, FLOAT(m,d) and DOUBLE(m,d) print d decimals; the product is a plain double, which
  // prints every digit it has. Not `+ 0e0`, which would lose the sign of -0.
  return `CAST(${base === 'float' || base === 'double' ? `${name} * 1e0` : name} AS CHAR)`
}

/**
 * The server puts `?` for what it cannot convert. So a text is whole where it has as many as its bytes have: no character
 * set of single bytes uses that byte in another. Of wider units, where it is the same when converted back.
 */
function marked(name: string, charset: string): string {
  const converted = `CONVERT(${name} USING utf8mb4)`
  const bytes = (text: string) => `CAST(${text} AS BINARY)`
  const questions = (text: string) => `LENGTH(${text}) - LENGTH(REPLACE(${bytes(text)}, '?', ''))`
  const whole = WIDE.includes(charset)
    ? `${bytes(`CONVERT(${converted} USING ${charset})`)} = ${bytes(name)}`
    : `${questions(name)} = ${questions(converted)}`
  return `CASE WHEN ${name} IS NULL THEN NULL WHEN ${whole} THEN IFNULL(CONCAT(x'00', ${bytes(converted)}), x'02')
    ELSE CONCAT(x'01', HEX(LEFT(${name}, 500))) END`
}

/** A quoted name. */
export function identifier(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``
}

const MAX_NAME_LENGTH = 64

/** Why the server takes a name for no table or column; undefined where it does. */
export function refusedName(name: string): string | undefined {
  const length = [...name].length
  if (length > MAX_NAME_LENGTH)
    return `it has ${counted(length, 'character')}, and the server takes ${MAX_NAME_LENGTH}`
  if (name.endsWith(' ')) return 'the server takes no name that ends with a space'
  return /[\u{10000}-\u{10ffff}]/u.test(name) ? 'the server takes no characters beyond U+FFFF' : undefined
}

/** A quoted string, for sessions with default escapes. */
export function literal(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
}

/** A table name as users write it, `table` or `database.table`, quoted. */
export function tableName(table: string): string {
  return splitTable(table)
    .map(part => identifier(part))
    .join('.')
}

const PART = '(`(?:[^`]|``)+`|[^`.]+)'
const NAME = new RegExp(`^${PART}(?:\\.${PART})?$`)

/** `table` → [table]; `database.table` → [database, table]; a part with a dot of its own stands in backticks. */
export function splitTable(table: string): string[] {
  const parts = NAME.exec(table)
    ?.slice(1)
    .filter(part => part !== undefined)
  if (parts) return parts.map(part => (part.startsWith('`') ? part.slice(1, -1).replaceAll('``', '`') : part))
  const dot = table.indexOf('.')
  return dot < 0 ? [table] : [table.slice(0, dot), table.slice(dot + 1)]
}
