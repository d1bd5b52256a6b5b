import { ownValue } from '../ownValue.ts'

/**
 * The types a value can have inside Nightfreight. Every connector maps its own types onto these, exactly or not
 * at all; a type none of them can hold travels as `text` in the server's own notation.
 */
export type LogicalType =
  | { kind: 'bool' }
  | { kind: 'int'; bits: 8 | 16 | 32 | 64; signed: boolean }
  | { kind: 'float'; bits: 32 | 64 }
  /** Exact decimal, precision 1 to 38, 0 ≤ scale ≤ precision. */
  | { kind: 'decimal'; precision: number; scale: number }
  | { kind: 'text' }
  | { kind: 'binary' }
  /** Days since 1970-01-01, proleptic Gregorian. */
  | { kind: 'date' }
  /** Microseconds since midnight. */
  | { kind: 'time' }
  /** Microseconds since 1970-01-01T00:00; `zoned` values are instants (UTC), others are wall-clock readings. */
  | { kind: 'timestamp'; zoned: boolean }
  /** A list, struct or map, in DuckDB's notation, of types that Parquet gives back: only DuckDB writes and reads such columns. */
  | { kind: 'nested'; name: string }

/** What happens to a value that its column's type cannot hold exactly (a zero date, an infinity). */
export type InexactPolicy = 'fail' | 'null' | 'quarantine' | 'text'

/** What a column is where it comes from: a target of the same family can make its like. Plain data. */
export interface Origin {
  /** The connector that describes it: `postgres`. */
  family: string
  /** The type in the family's own notation, with lengths: `numeric(10,2)`, `inet`, `text[]`. */
  type: string
  /** Users or an extension define it: another system of the family may lack it. */
  custom?: true
  /** The domain of that type which the column is of. */
  domain?: string
  /** As DDL has it, where it is a constant. */
  default?: string
  /** Of text, where they are the column's own. */
  charset?: string
  collation?: string
}

/** One column as it will be staged. */
export interface Column {
  name: string
  type: LogicalType
  nullable: boolean
  /** The source's own name of the type, for messages and the plan: `decimal(10,2)`. */
  native: string
  /** Why some values of the native type cannot be held exactly; absent where every value fits. */
  inexact?: string
  /** What to do with such a value. Default `fail`; a source may set another, which the extract's own overrides. */
  policy?: InexactPolicy
  /** True where the order of values means nothing: text is a server's notation of another type (json, interval, a wide numeric), or numbers begin anew (xid). */
  notation?: true
  /** Its type in DuckDB, where that is staged as another: see duckType.ts. */
  duck?: string
  /** Of a column staged as text: how that writes a value of `duck`; absent: as DuckDB does. */
  written?: 'braces'
  /** Absent where a model made it. */
  origin?: Origin
  /** What its source calls it, where the job gives it another name. */
  sourceName?: string
  /** How the source's lanes get its bytes, in the connector's own word: the engine carries it and never reads it. */
  wire?: string
}

/** Columns of a data set with what is known of them where they come from, as long as they are of the same type. */
export function withOrigins(columns: Column[], read: Column[]): Column[] {
  return columns.map(column => {
    const from = columnNamed(read, column.name)
    if (!from?.origin || typeName(from.type) !== typeName(column.type)) return column
    const { origin, duck, written, notation } = from
    const nullable = from.nullable || from.policy !== undefined
    return {
      ...column,
      origin,
      nullable,
      ...(duck && { duck }),
      ...(written && { written }),
      ...(notation && { notation }),
    }
  })
}

/** A column as its extract's `columns: { name: text }` has it read. */
export const asText = ({ duck: _, written: __, ...column }: Column): Column => ({
  ...column,
  type: { kind: 'text' },
})

/** The column of a name: written alike, or else differing in case only, as SQL compares names. */
export function columnNamed<C extends { name: string }>(columns: C[], name: string): C | undefined {
  return columns.find(column => column.name === name) ?? columns.find(column => isNamed(column.name, name))
}

/** Whether SQL takes two names for one. */
export const isNamed = (name: string, other: string | undefined): boolean =>
  name.toLowerCase() === other?.toLowerCase()

/** One line, as SQL would write it: `decimal(10,2)`, `timestamp with time zone`. It is also DuckDB's notation. */
export function typeName(type: LogicalType): string {
  switch (type.kind) {
    case 'bool':
      return 'BOOLEAN'
    case 'int':
      return (
        (type.signed ? '' : 'U') + { 8: 'TINYINT', 16: 'SMALLINT', 32: 'INTEGER', 64: 'BIGINT' }[type.bits]
      )
    case 'float':
      return type.bits === 32 ? 'FLOAT' : 'DOUBLE'
    case 'decimal':
      return `DECIMAL(${type.precision},${type.scale})`
    case 'text':
      return 'VARCHAR'
    case 'binary':
      return 'BLOB'
    case 'date':
      return 'DATE'
    case 'time':
      return 'TIME'
    case 'timestamp':
      return type.zoned ? 'TIMESTAMP WITH TIME ZONE' : 'TIMESTAMP'
    case 'nested':
      return type.name
  }
}

/** For code that handles each type by itself, and never meets a nested one: DuckDB alone reads and writes those. */
export function unflattened({ name }: LogicalType & { kind: 'nested' }): never {
  throw new Error(`${name} is read and written by DuckDB alone`)
}

const NAMED: Record<string, LogicalType> = {
  BOOLEAN: { kind: 'bool' },
  TINYINT: { kind: 'int', bits: 8, signed: true },
  SMALLINT: { kind: 'int', bits: 16, signed: true },
  INTEGER: { kind: 'int', bits: 32, signed: true },
  BIGINT: { kind: 'int', bits: 64, signed: true },
  UTINYINT: { kind: 'int', bits: 8, signed: false },
  USMALLINT: { kind: 'int', bits: 16, signed: false },
  UINTEGER: { kind: 'int', bits: 32, signed: false },
  UBIGINT: { kind: 'int', bits: 64, signed: false },
  FLOAT: { kind: 'float', bits: 32 },
  DOUBLE: { kind: 'float', bits: 64 },
  VARCHAR: { kind: 'text' },
  BLOB: { kind: 'binary' },
  DATE: { kind: 'date' },
  TIME: { kind: 'time' },
  TIMESTAMP: { kind: 'timestamp', zoned: false },
  'TIMESTAMP WITH TIME ZONE': { kind: 'timestamp', zoned: true },
}

/** The inverse of {@link typeName} but of nested types; undefined for a DuckDB type that has no logical type (HUGEINT, UUID …). */
export function typeFromName(name: string): LogicalType | undefined {
  const decimal = /^DECIMAL\((\d+),(\d+)\)$/.exec(name)
  if (decimal) return { kind: 'decimal', precision: Number(decimal[1]), scale: Number(decimal[2]) }
  return ownValue(NAMED, name)
}
