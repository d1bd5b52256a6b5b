import { ownValue } from '../ownValue.ts'
import { bracesText, fromBraces } from './braces.ts'
import { jsonSql } from './jsonText.ts'
import type { Column, LogicalType } from './logical.ts'
import { typeFromName, typeName } from './logical.ts'
import { fieldsOf, itemOf, split } from './nestedType.ts'

// Models see and give any type of DuckDB's. Parquet has not all of them: written as they are, some come back as
// others. What is staged is a type that comes back as it was written, and holds every value exactly or fails.

/** Types that are staged as another one. */
const STAGED_AS: Record<string, string> = {
  HUGEINT: 'DECIMAL(38,0)',
  UHUGEINT: 'DECIMAL(38,0)',
  TIMESTAMP_S: 'TIMESTAMP',
  TIMESTAMP_MS: 'TIMESTAMP',
  UUID: 'VARCHAR',
  JSON: 'VARCHAR',
  'TIME WITH TIME ZONE': 'VARCHAR',
  INTERVAL: 'VARCHAR',
  BIT: 'VARCHAR',
  BIGNUM: 'VARCHAR',
  TIMESTAMP_NS: 'VARCHAR',
  TIME_NS: 'VARCHAR',
}

/** The type by which a DuckDB type is staged; undefined where none holds it. */
export function stagedType(type: string): string | undefined {
  const item = itemOf(type)
  if (item !== undefined) {
    const inner = stagedType(item)
    return inner && `${inner}[]`
  }
  if (type.startsWith('ENUM(')) return 'VARCHAR'
  const [, map] = /^MAP\((.*)\)$/s.exec(type) ?? []
  if (map !== undefined) {
    const parts = split(map).map(stagedType)
    return parts.length === 2 && parts.every(part => part !== undefined)
      ? `MAP(${parts.join(', ')})`
      : undefined
  }
  const fields = fieldsOf(type)?.map(field => {
    const inner = stagedType(field.type)
    return inner && `${field.quoted} ${inner}`
  })
  if (fields) return fields.every(field => field !== undefined) ? `STRUCT(${fields.join(', ')})` : undefined
  return ownValue(STAGED_AS, type) ?? (typeFromName(type) ? type : undefined)
}

/** The logical type of a type that Parquet gives back as it is; undefined for others. */
export function parquetType(type: string): LogicalType | undefined {
  if (stagedType(type) !== type) return undefined
  return typeFromName(type) ?? { kind: 'nested', name: type }
}

/** A model's column of a DuckDB type that is staged. */
export function modelColumn(name: string, type: string): Column {
  const staged = parquetType(stagedType(type)!)!
  const column: Column = { name, type: staged, nullable: true, native: type }
  if (typeName(staged) === type) return column
  return { ...column, duck: type, ...(staged.kind === 'text' && type !== 'UUID' && { notation: true }) }
}

/** The type that models see. */
export const seenType = ({ duck, type }: Column): string => duck ?? typeName(type)

/** SQL of the value that models see, of what is staged; it fails for a text that is no such value. */
export function seenSql({ duck, written }: Column, staged: string): string {
  if (duck === undefined) return staged
  return written === 'braces' ? fromBraces(staged, duck) : `CAST(${staged} AS ${duck})`
}

/** What a target makes of lists, structs and maps: columns of their kind; arrays of lists and JSON of the rest; JSON of all. */
export type Nesting = 'kept' | 'arrays' | 'json'

/** A column as it is loaded: as a target keeps it that has lists, structs and maps, or as a text of it, which that reads by itself. */
export function loadedColumn(column: Column, nesting: Nesting): Column {
  const { name, nullable, native, type, duck, written, origin } = column
  const seen = seenType(column)
  const staged = parquetType(stagedType(seen)!)!
  if (nesting === 'kept') {
    if (written === undefined || duck === undefined) return column
    const { written: _, ...kept } = column
    return { ...kept, type: staged }
  }
  if (staged.kind !== 'nested' || (nesting === 'arrays' && type.kind === 'text')) return column
  const text: Column = {
    name,
    type: { kind: 'text' },
    nullable,
    native,
    notation: true,
    ...(origin && { origin }),
  }
  const item = itemOf(seen)
  return nesting === 'arrays' && item !== undefined && parquetType(stagedType(item)!)!.kind !== 'nested'
    ? { ...text, duck: seen, written: 'braces' }
    : { ...text, duck: 'JSON' }
}

/** SQL of a loaded column's value, of what is staged; undefined where that is the value. */
export function loadedSql(from: Column, to: Column, staged: string): string | undefined {
  const same = typeName(from.type) === typeName(to.type) && from.duck === to.duck
  if (same && from.written === to.written) return undefined
  const value = from.written ? seenSql(from, staged) : staged
  if (to.written) return bracesText(value, typeName(from.type))
  const own = to.duck === from.duck || to.type.kind !== 'text'
  const held = from.written ? from.duck! : typeName(from.type)
  return `CAST(${own ? value : jsonSql(value, held)} AS ${typeName(to.type)})`
}

const NUMBER = /^(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DECIMAL.*|FLOAT|DOUBLE)$/

/** Whether a type of DuckDB's has numbers. */
export const isNumeric = (type: string): boolean => NUMBER.test(type)
