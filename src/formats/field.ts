import { quote } from '../../engine/sql/duckdb.ts'
import { type LogicalType, typeName } from '../../engine/types/logical.ts'

const CLOCK = String.raw`([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,6}0*)?)?`
const DAY = String.raw`\d{4}-\d{2}-\d{2}`

/** The form that a text must have for DuckDB's cast to keep it as it is; undefined where the cast keeps every form. */
function form(type: LogicalType): string | undefined {
  switch (type.kind) {
    case 'int':
      return String.raw`[+-]?\d+`
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

/** A field read as text, in SQL: its value and whether it is one the type cannot hold. Types round nothing. */
export function fieldSql(field: string, type: LogicalType): { value: string; bad: string } {
  if (type.kind === 'text') return { value: field, bad: 'false' }
  // Writers that quote everything quote missing numbers too.
  const text = `nullif(${field}, '')`
  // DuckDB's cast knows seconds only: 10:00Z means 10:00:00Z.
  const full =
    type.kind === 'timestamp' || type.kind === 'time'
      ? `regexp_replace(${text}, '(^|[T ])(\\d{2}:\\d{2})(Z|[+-]|$)', '\\1\\2:00\\3')`
      : text
  const cast = `TRY_CAST(${full} AS ${typeName(type)})`
  const shape = form(type)
  const misshapen = shape === undefined ? '' : `NOT regexp_full_match(${text}, ${quote(shape)}) OR `
  return { value: cast, bad: `(${text} IS NOT NULL AND (${misshapen}${cast} IS NULL))` }
}
