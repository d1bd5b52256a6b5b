import type { ComparedColumn } from '../contracts/verification.ts'
import { quoteName } from '../sql/duckdb.ts'
import { typeName } from '../types/logical.ts'

/**
 * SQL of a row's checksum, in DuckDB; a target makes the same one in its own dialect, so that a row is compared without
 * being moved. It is the first 60 bits (an integer that every dialect has) of the MD5 of the row's canonical text in
 * UTF-8, the columns' texts joined:
 *
 * | type | text of a value |
 * |---|---|
 * | text | its length in code points, `:`, and itself (where the target pads: without blanks at its end) |
 * | bool | `true`, `false` |
 * | int, decimal | decimal digits, as many behind the point as the scale |
 * | float | the 64 bits of the double in hex, lower case, or `NaN` (where the target has no sign of zero: of 0) |
 * | binary | hex, lower case |
 * | date | days since 1970-01-01, or `infinity`, `-infinity` |
 * | time, timestamp | microseconds since midnight, since 1970-01-01 (of a zoned one: in UTC), or `infinity`, `-infinity` |
 *
 * Each ends with `|`; NULL is `~|`. Only a text can hold these signs, and its length says where it ends.
 */
export function checksum(columns: ComparedColumn[], value: (column: ComparedColumn) => string): string {
  const text = (column: ComparedColumn, of: string) => `coalesce(${canonical(column, of)} || '|', '~|')`
  if (columns.length <= FEW) return sumOf(columns.map(column => text(column, value(column))))
  // Of many columns one expression a run of like ones: DuckDB's optimizer takes time that grows with their square.
  const runs: { like: ComparedColumn; values: string[] }[] = []
  for (const column of columns) {
    const last = runs.at(-1)
    if (last && isLike(last.like, column)) last.values.push(value(column))
    else runs.push({ like: column, values: [value(column)] })
  }
  return sumOf(
    runs.map(({ like, values }) => {
      const texts = `list_transform([${values.join(', ')}], lambda _nf_x : ${text(like, '_nf_x')})`
      return `array_to_string(${texts}, '')`
    }),
  )
}

/** Columns whose texts are joined one by one. */
const FEW = 64

const sumOf = (texts: string[]) => `('0x' || left(md5(${joinedSql(texts) || "''"}), 15))::BIGINT`

const isLike = (a: ComparedColumn, b: ComparedColumn) =>
  typeName(a.type) === typeName(b.type) && a.unpadded === b.unpadded && a.unsignedZero === b.unsignedZero

/** SQL of texts joined: in halves, since a chain nests one expression a text, and databases limit how deep that may go. */
export function joinedSql(texts: string[]): string {
  if (texts.length <= 8) return texts.join(' || ')
  const half = texts.length >> 1
  return `(${joinedSql(texts.slice(0, half))}) || (${joinedSql(texts.slice(half))})`
}

/** {@link checksum} of the columns of a table. */
export const checksumOf = (columns: ComparedColumn[], alias: string) =>
  checksum(columns, ({ name }) => `${alias}.${quoteName(name)}`)

/** DuckDB's SQL of a value's canonical text; NULL for NULL. */
export function canonical({ type, unpadded, unsignedZero }: ComparedColumn, value: string): string {
  switch (type.kind) {
    case 'bool':
    case 'int':
      return `${value}::VARCHAR`
    case 'decimal':
      // Where all digits are fraction, DuckDB leaves out the zero before the point.
      return type.precision === type.scale
        ? `regexp_replace(${value}::VARCHAR, '^(-?)[.]', '\\10.')`
        : `${value}::VARCHAR`
    case 'float': {
      const double = unsignedZero ? `(${value}::DOUBLE + 0)` : `${value}::DOUBLE`
      return `CASE WHEN isnan(${value}) THEN 'NaN' ELSE lower(hex(${double}::BIT::BLOB)) END`
    }
    case 'text': {
      const text = unpadded ? `rtrim(${value}, ' ')` : value
      return `length(${text})::VARCHAR || ':' || ${text}`
    }
    case 'binary':
      return `lower(hex(${value}))`
    case 'date':
      return finite(value, `(${value} - DATE '1970-01-01')::VARCHAR`)
    case 'time':
      return `epoch_us(${value})::VARCHAR`
    case 'timestamp':
      return finite(value, `epoch_us(${value})::VARCHAR`)
  }
}

const finite = (value: string, text: string) =>
  `CASE WHEN isfinite(${value}) THEN ${text} ELSE ${value}::VARCHAR END`
