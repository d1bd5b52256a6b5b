import { quote } from '../../engine/sql/duckdb.ts'
import { type LogicalType, typeName } from '../../engine/types/logical.ts'
import { hasLetter, hasOffset, nanosPattern } from './strptime.ts'

const CLOCK = String.raw`([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,6}0*)?)?`
const DAY = String.raw`\d{4}-\d{2}-\d{2}`
const NUMBER = String.raw`[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(?i:nan|inf|infinity)`

/** How a file writes what has no one notation, as its extract declares it. */
export interface FieldStyle {
  /** The sign before the fraction. */
  decimal?: '.' | ','
  /** strptime's notation of days, and of moments. */
  date?: string
  timestamp?: string
  /** Whether an empty text is a value, as in JSON, and not how a missing one is written. */
  emptyIsText?: boolean
}

/** The form that a text must have for DuckDB's cast to keep it as it is; undefined where the cast keeps every form. */
function form(type: LogicalType): string | undefined {
  switch (type.kind) {
    case 'int':
      return String.raw`[+-]?\d+`
    case 'float':
      return NUMBER
    case 'decimal':
      return type.scale === 0 ? String.raw`[+-]?\d+(\.0*)?` : String.raw`[+-]?\d+(\.\d{0,${type.scale}}0*)?`
    case 'date':
      return DAY
    case 'time':
      return CLOCK
    case 'timestamp':
      return `${DAY}[T ]${CLOCK}${type.zoned ? String.raw`(Z|[+-]\d{2}(:?\d{2})?)` : ''}`
    default:
      return undefined
  }
}

/** A field in SQL. */
export interface FieldSql {
  value: string
  /** Whether it is one that the type cannot hold; `false` where every value fits. */
  bad: string
  /** The same where a name stands for the value, which is then computed once. */
  badOf?(value: string): string
}

/**
 * A field read as text. Types round nothing. With a `notation`, a text that the value does not give again is bad, too:
 * so guessed types are held.
 */
export function fieldSql(
  field: string,
  type: LogicalType,
  style: FieldStyle = {},
  notation?: string,
): FieldSql {
  if (type.kind === 'text') return { value: field, bad: 'false' }
  // Writers that quote everything quote missing numbers too.
  const text = style.emptyIsText && notation !== undefined ? field : `nullif(${field}, '')`
  const plain = plainText(text, type, style)
  const name = typeName(type)
  const format = formatOf(type, style)
  const value = format
    ? `CAST(try_strptime(${text}, ${quote(format)}) AS ${name})`
    : `TRY_CAST(${withSeconds(plain, type)} AS ${name})`
  const shape = format ? undefined : form(type)
  const misshapen = shape === undefined ? '' : `NOT regexp_full_match(${plain}, ${quote(shape)}) OR `
  const badOf = (found: string) => {
    const other =
      notation === undefined ? '' : ` OR NOT ${isWritten(found, text, plain, type, style, notation)}`
    return `(${text} IS NOT NULL AND (${misshapen}${found} IS NULL${beyond(found, text, type, format)}${other}))`
  }
  return { value, bad: badOf(value), badOf }
}

/** SQL of whether a value is another than its text says: an infinity or a zero of a number that is none, a year of fewer digits, a day of a moment. */
function beyond(value: string, text: string, type: LogicalType, format: string | undefined): string {
  if (type.kind === 'float')
    return ` OR (isinf(${value}) AND NOT regexp_matches(${text}, '(?i)inf')) OR (${value} = 0 AND regexp_matches(${text}, '^[^eE]*[1-9]'))`
  if (format === undefined) return ''
  // strptime takes 26 for the year 26.
  const lacks = (year: string) => `strpos(${text}, lpad((${year})::VARCHAR, 4, '0')) = 0`
  // Of a moment with an offset the value is UTC's, and around New Year of the other year.
  const other = hasOffset(format)
    ? ` AND ${lacks(`year(${value}) - (dayofyear(${value}) = 1)::INTEGER + (month(${value}) = 12 AND day(${value}) = 31)::INTEGER`)}`
    : ''
  const year = hasLetter(format, 'Y') ? ` OR (${lacks(`year(${value})`)}${other})` : ''
  const nanos = nanosPattern(format)
  // DuckDB rounds them itself where there is an offset.
  if (type.kind === 'timestamp' && nanos !== undefined && hasOffset(format))
    return `${year} OR regexp_matches(${text}, ${quote(nanos)})`
  // A day has no time, and a moment no nanoseconds.
  const isCut = type.kind === 'date' ? hasLetter(format, 'cfgHIMnpSX') : nanos !== undefined
  return isCut ? `${year} OR ${value} <> try_strptime(${text}, ${quote(format)})` : year
}

function formatOf(type: LogicalType, style: FieldStyle): string | undefined {
  return type.kind === 'date' ? style.date : type.kind === 'timestamp' ? style.timestamp : undefined
}

// With a decimal comma, a point is no part of a number.
function plainText(text: string, type: LogicalType, style: FieldStyle): string {
  const fraction = type.kind === 'decimal' || type.kind === 'float'
  return fraction && style.decimal === ',' ? `translate(${text}, ',.', '.,')` : text
}

// DuckDB's cast knows seconds only: 10:00Z means 10:00:00Z.
function withSeconds(text: string, type: LogicalType): string {
  return type.kind === 'timestamp' || type.kind === 'time'
    ? `regexp_replace(${text}, '(^|[T ])(\\d{2}:\\d{2})(Z|[+-]|$)', '\\1\\2:00\\3')`
    : text
}

/**
 * How values of a guessed type are written: `own`, as DuckDB writes them; `plain`, doubles without a `.0`; or the
 * shape that all moments have, with a 0 for every digit: `0000-00-00T00:00:00.000Z`.
 */
export const OWN = 'own'
export const PLAIN = 'plain'
export const MOMENT_SHAPE = /^0000-00-00[ T]00:00(:00(\.0{1,6})?)?(Z|\+00(:?00)?)?$/

function isWritten(
  value: string,
  text: string,
  plain: string,
  type: LogicalType,
  style: FieldStyle,
  notation: string,
): string {
  const format = formatOf(type, style)
  if (format) return `strftime(${value}, ${quote(format)}) = ${text}`
  const own = `CAST(${value} AS VARCHAR)`
  if (notation === OWN) return `${own} = ${plain}`
  if (notation === PLAIN) return `regexp_replace(${own}, '\\.0$', '') = ${plain}`
  const [, digits, zone] = /^(.*?)(Z|\+.*)?$/.exec(notation)!
  const shape = digits!.replaceAll('.', '\\.').replaceAll('0', '\\d') + (zone ?? '').replace('+', '\\+')
  // A text of this shape whose day the calendar has is written in one way only.
  return `(regexp_full_match(${text}, ${quote(shape)}) AND left(${own}, 10) = left(${text}, 10))`
}
