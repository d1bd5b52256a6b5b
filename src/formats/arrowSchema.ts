import { quote } from '../../engine/sql/duckdb.ts'
import type { Column, LogicalType } from '../../engine/types/logical.ts'
import { root, type Table } from './flatbuffer.ts'

/** What Arrow counts in integers. Where Parquet has no type for it, its writers leave the bare integer, and say what it is in a schema beside. */
export interface ArrowLeaf {
  kind: 'day' | 'time' | 'moment' | 'duration'
  /** Of a moment, whether it is an instant. */
  zoned: boolean
  /** Units of a second. */
  perSecond: number
}

const TYPES = { 8: 'day', 9: 'time', 10: 'moment', 18: 'duration' } as const
const PER_SECOND = [1, 1000, 1_000_000, 1_000_000_000]

/**
 * What an Arrow schema (github.com/apache/arrow, `format/Schema.fbs`) says of each column: one entry for each value of it that
 * holds no others, undefined for what is no day, time, moment or duration. `encoded`: as Parquet files keep it, in their
 * metadata `ARROW:schema`. Nothing where it cannot be read.
 */
export function arrowColumns(encoded: string | undefined): Map<string, (ArrowLeaf | undefined)[]> {
  const leaves = (field: Table): [string, (ArrowLeaf | undefined)[]] => [field.text(0), [...leavesOf(field)]]
  return new Map(readFields(encoded, fields => fields.map(leaves)))
}

/**
 * Whether readers that go by an Arrow schema give each of these columns in its type: who renames or casts a file's columns may
 * leave it the schema of another.
 */
export function isStagedArrow(encoded: string | undefined, columns: Column[]): boolean {
  if (encoded === undefined) return true
  const fits = (fields: Table[]) =>
    fields.length === columns.length &&
    columns.every((column, index) => isStagedField(fields[index]!, column))
  return readFields(encoded, fits) === true
}

const UNIT = { day: 0, microsecond: 2 }

/** Arrow's types of a kind of column, a view of bytes among them. */
const OF_KIND: Record<LogicalType['kind'], number[]> = {
  int: [2],
  float: [3],
  binary: [4, 23],
  text: [5, 24],
  bool: [6],
  decimal: [7],
  date: [8],
  time: [9],
  timestamp: [10],
  nested: [],
}

function isStagedField(field: Table, { name, type: own }: Column): boolean {
  const type = field.table(3)
  // A dictionary's values are numbers of others.
  if (!type || field.table(4) || field.text(0) !== name) return false
  if (!OF_KIND[own.kind].includes(field.byte(2) ?? 0)) return false
  switch (own.kind) {
    case 'decimal':
      return (type.byte(2) ?? 128) === 128
    case 'date':
      return type.byte(0) === UNIT.day
    case 'time':
      return type.byte(0) === UNIT.microsecond
    case 'timestamp':
      return type.byte(0) === UNIT.microsecond && own.zoned === (type.place(1) !== undefined)
    default:
      return true
  }
}

/** What is made of a schema's fields; undefined where there is none, or it cannot be read. */
function readFields<T>(encoded: string | undefined, of: (fields: Table[]) => T): T | undefined {
  if (encoded === undefined) return undefined
  try {
    const bytes = Buffer.from(encoded, 'base64')
    const message = root(bytes.subarray(bytes.readUInt32LE(0) === 0xffffffff ? 8 : 4))
    return of(message.table(2)?.tables(1) ?? [])
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

function* leavesOf(field: Table): Generator<ArrowLeaf | undefined> {
  const children = field.tables(5)
  for (const child of children) yield* leavesOf(child)
  if (children.length > 0) return
  const kind = TYPES[(field.byte(2) ?? 0) as keyof typeof TYPES]
  const type = field.table(3)
  if (!kind || !type) yield undefined
  else {
    // Milliseconds are what is not said, but for moments.
    const perSecond = PER_SECOND[type.byte(0) ?? (kind === 'moment' ? 0 : 1)]!
    yield { kind, zoned: kind === 'moment' && type.place(1) !== undefined, perSecond }
  }
}

/** DuckDB's type and SQL of a column's values, of the integers that it stands for. */
export function arrowValue({ kind, zoned, perSecond }: ArrowLeaf, name: string, integer: string) {
  const refused = (what: string) => `error(${quote(`column ${name} holds ${what}`)})`
  switch (kind) {
    case 'day':
      return {
        native: 'DATE',
        read: `CASE WHEN ${integer} % 86400000 <> 0 THEN ${refused('a day with a time of day')} ELSE DATE '1970-01-01' + (${integer} // 86400000)::INTEGER END`,
      }
    case 'time':
      return {
        native: 'TIME',
        read: `CASE WHEN ${integer} NOT BETWEEN 0 AND 86399 THEN ${refused('a time that no day has')} ELSE TIME '00:00:00' + to_seconds(${integer}) END`,
      }
    case 'moment':
      return zoned
        ? { native: 'TIMESTAMP WITH TIME ZONE', read: `to_timestamp(${integer})` }
        : { native: 'TIMESTAMP', read: `make_timestamp(${integer} * 1000000)` }
    case 'duration':
      return { native: 'VARCHAR', read: clockText(integer, perSecond) }
  }
}

/** SQL of hours, minutes and seconds, as many hours as there are. */
function clockText(integer: string, perSecond: number): string {
  const units = `abs(${integer}::HUGEINT)`
  const two = (sql: string) => `lpad((${sql})::VARCHAR, 2, '0')`
  const hours = `${units} // ${3600 * perSecond}`
  const rest = `${units} % ${perSecond}`
  const digits = String(perSecond).length - 1
  return `CASE WHEN ${integer} < 0 THEN '-' ELSE '' END || CASE WHEN ${hours} < 10 THEN '0' ELSE '' END || (${hours})::VARCHAR ||
    ':' || ${two(`${units} // ${60 * perSecond} % 60`)} || ':' || ${two(`${units} // ${perSecond} % 60`)} ||
    CASE WHEN ${rest} = 0 THEN '' ELSE '.' || rtrim(lpad((${rest})::VARCHAR, ${digits}, '0'), '0') END`
}
