import type { PlannedLoad } from '../../../engine/contracts/load.ts'
import type { ComparedColumn } from '../../../engine/contracts/verification.ts'
import { type Column, columnNamed } from '../../../engine/types/logical.ts'
import { fits, isInteger, isText, type TargetColumn, type TargetTable } from './targetTypes.ts'
import { identifier } from './types.ts'

/** Which of a load's columns the table keeps so that their text can be made again; why others do not. */
export function comparable(
  { columns }: PlannedLoad,
  table: TargetTable,
): { columns: ComparedColumn[]; notes: string[] } {
  const notes: string[] = []
  const compared = columns.flatMap((column): ComparedColumn[] => {
    const target = columnNamed(table.columns, column.name)
    const reason = target ? obstacle(column, target) : 'the table does not have it'
    // MariaDB stores minus zero as zero.
    if (!reason) return [column.type.kind === 'float' ? { ...column, unsignedZero: true } : column]
    notes.push(`column ${column.name} is not compared: ${reason}`)
    return []
  })
  return { columns: compared, notes }
}

function obstacle({ type }: Column, column: TargetColumn): string | undefined {
  if (!fits(type, column)) return `its type is ${column.column_type} now`
  const own = type.kind === 'text' && (!isText(column) || column.data_type === 'set')
  return own ? `${column.column_type} has a notation of its own` : undefined
}

/**
 * SQL of the checksum of row `t`, as the engine's `delta/checksum.ts` defines it; NULL where a row is longer than
 * max_allowed_packet, with warning 1301.
 */
export function checksum(compared: ComparedColumn[], { columns }: TargetTable): string {
  const texts = compared.map(({ name, type }) => {
    const column = columnNamed(columns, name)!
    const value = `t.${identifier(name)}`
    const text = canonical({ name, type } as ComparedColumn, column, value)
    return `IF(${value} IS NULL, '~|', CONCAT(${text}, '|'))`
  })
  // Bytes throughout, since character sets and collations do not mix.
  const bytes = texts.map(text => `CAST(${text} AS BINARY)`).join(', ')
  return `CAST(CONV(LEFT(MD5(CONCAT(${bytes || "''"})), 15), 16, 10) AS UNSIGNED)`
}

function canonical({ type }: ComparedColumn, column: TargetColumn, value: string): string {
  switch (type.kind) {
    case 'bool':
      return `CASE ${value} WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE ${value} END`
    case 'int':
      return scaled(value, column, 0)
    case 'decimal':
      return scaled(value, column, type.scale)
    case 'float':
      return bits(`(${value} + 0e0)`)
    case 'text': {
      const text = `CONVERT(${value} USING utf8mb4)`
      return `CAST(CHAR_LENGTH(${text}) AS BINARY), ':', CAST(${text} AS BINARY)`
    }
    case 'binary':
      return `LOWER(HEX(${value}))`
    case 'date': {
      const days = `DATEDIFF(${value}, '1970-01-01')`
      return column.data_type === 'date' ? days : either(`CAST(${value} AS DATE) = ${value}`, days, value)
    }
    case 'time':
      return `IF(${value} < 0, '-', ''), (HOUR(${value}) * 3600 + MINUTE(${value}) * 60 + SECOND(${value})) * 1000000 + MICROSECOND(${value})`
    case 'timestamp':
      return `TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', ${value})`
  }
}

// A column of a larger scale may hold digits that were never loaded: they must not be cut off.
function scaled(value: string, column: TargetColumn, scale: number): string {
  if (isInteger(column)) return value
  if (column.data_type === 'decimal') {
    if (Number(column.num_scale) === scale) return value
    return either(`${value} = ROUND(${value}, ${scale})`, `ROUND(${value}, ${scale})`, value)
  }
  const double = `(${value} + 0e0)`
  const whole = `${double} = FLOOR(${double}) AND ABS(${double}) < 1e15`
  return either(whole, `CAST(${double} AS SIGNED)`, double)
}

// As texts: two numbers would take a type that both fit in.
const either = (condition: string, one: string, other: string) =>
  `IF(${condition}, CAST(${one} AS CHAR), CAST(${other} AS CHAR))`

/**
 * The 64 bits of a double in hex (IEEE 754, binary64), by arithmetic that is exact: there is no function for it.
 * Logarithms may be off by one at powers of two; the exponent is corrected by comparison.
 */
function bits(value: string): string {
  const size = `ABS(${value})`
  const rough = `GREATEST(-1022, LEAST(1023, FLOOR(LOG2(${size}))))`
  const down = `(${size} < POW(2, ${rough}))`
  const up = `(${rough} < 1023 AND ${size} >= POW(2, LEAST(1023, ${rough} + 1)))`
  const exponent = `GREATEST(-1022, ${rough} - ${down} + ${up})`
  // With its leading bit, 2^52, which adds one to the exponent field.
  const mantissa = `CAST(${size} / POW(2, ${exponent}) * 4503599627370496e0 AS UNSIGNED)`
  const magnitude = `CASE WHEN ${size} = 0 THEN 0
    WHEN ${size} < POW(2, -1022) THEN CAST(${size} * POW(2, 537) * POW(2, 537) AS UNSIGNED)
    ELSE CAST(${exponent} + 1022 AS UNSIGNED) * 4503599627370496 + ${mantissa} END`
  const sign = `IF(${value} < 0, 9223372036854775808, 0)`
  return `LOWER(LPAD(HEX(${sign} | (${magnitude})), 16, '0'))`
}
