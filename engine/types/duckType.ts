import type { Column, LogicalType } from './logical.ts'
import { typeFromName, typeName } from './logical.ts'

// A model's column may have any type of DuckDB's. Parquet has not all of them: written as they are, some come back as
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
  const list = /^(.*)\[\d*\]$/s.exec(type)
  if (list) {
    const inner = stagedType(list[1]!)
    return inner && `${inner}[]`
  }
  if (type.startsWith('ENUM(')) return 'VARCHAR'
  const [, kind, inside] = /^(STRUCT|MAP)\((.*)\)$/s.exec(type) ?? []
  if (kind === 'MAP') {
    const parts = split(inside!).map(stagedType)
    return parts.length === 2 && parts.every(part => part !== undefined)
      ? `MAP(${parts.join(', ')})`
      : undefined
  }
  if (kind === 'STRUCT') {
    const fields = split(inside!).map(field => {
      const [, name, of] = /^("(?:[^"]|"")*"|[^\s"(]+) (.+)$/s.exec(field) ?? []
      const inner = of && stagedType(of)
      return inner && `${name} ${inner}`
    })
    return fields.every(field => field !== undefined) ? `STRUCT(${fields.join(', ')})` : undefined
  }
  return STAGED_AS[type] ?? (typeFromName(type) ? type : undefined)
}

/** What stands between commas that no bracket or quote holds together. */
function split(text: string): string[] {
  const parts: string[] = []
  let depth = 0
  let start = 0
  for (const { 0: token, index } of text.matchAll(/"(?:[^"]|"")*"|'(?:[^']|'')*'|./gs)) {
    if (token === '(') depth++
    else if (token === ')') depth--
    else if (token === ',' && depth === 0) {
      parts.push(text.slice(start, index).trim())
      start = index + 1
    }
  }
  return [...parts, text.slice(start).trim()]
}

/** The logical type of a DuckDB type, by which it is loaded; undefined for lists, structs and maps, and for what is not staged. */
export function loadedType(type: string): LogicalType | undefined {
  const staged = stagedType(type)
  return staged === undefined ? undefined : typeFromName(staged)
}

/** A model's column of a DuckDB type that is staged. */
export function modelColumn(name: string, type: string): Column {
  const text = { kind: 'text' } as const
  const loaded = loadedType(type) ?? text
  const column: Column = { name, type: loaded, nullable: true, native: type }
  if (stagedType(type) === type && typeFromName(type)) return column
  return { ...column, duck: type, ...(loaded.kind === 'text' && type !== 'UUID' && { notation: true }) }
}

/** The type that models see. */
export const seenType = ({ duck, type }: Column): string => duck ?? typeName(type)

/** The type that is staged. */
export const stagedTypeOf = ({ duck, type }: Column): string => (duck && stagedType(duck)) ?? typeName(type)
