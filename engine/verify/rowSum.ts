import type { ComparedColumn, RowTotal } from '../contracts/verification.ts'
import { type Duck, type DuckRow, quote, quoteName } from '../sql/duckdb.ts'
import { hashable } from '../sql/rowHash.ts'
import { nameIn } from '../sql/text.ts'
import { type LogicalType, typeName } from '../types/logical.ts'
import { fieldsOf, itemOf } from '../types/nestedType.ts'

/**
 * DuckDB's SQL of a column that was read back, as a value of the load's type: NULL where it is none. A wider column may
 * hold a value that was never loaded, and it must not be cut to fit. `native`: the type that it was read back in.
 */
export function narrowed({ name, type }: ComparedColumn, native: string): string {
  const value = quoteName(name)
  const own = typeName(type)
  if (native === own) return value
  if (native === 'VARCHAR' && (type.kind === 'int' || type.kind === 'decimal'))
    // A number of any scale comes as text; the same number may have been written with fewer or more zeros.
    return `CASE WHEN ${plainNumber(value)} = ${plainNumber(`TRY_CAST(${value} AS ${own})::VARCHAR`)} THEN TRY_CAST(${value} AS ${own}) END`
  // Other values come as text where the table keeps more than the load's type can say.
  if (native === 'VARCHAR' && type.kind !== 'text') return `TRY_CAST(${value} AS ${own})`
  const fitted = `TRY_CAST(${value} AS ${own})`
  return `CASE WHEN ${fitted}::${native} = ${value} THEN ${fitted} END`
}

const plainNumber = (text: string) =>
  `regexp_replace(regexp_replace(${text}, '([.][0-9]*?)0+$', '\\1'), '[.]$', '')`

/** DuckDB's SQL of a value such that what the target does not tell apart is the same. */
export function canonical({ type, unpadded, unsignedZero }: ComparedColumn, value: string): string {
  if (type.kind === 'text') return unpadded ? `rtrim(${value}, ' ')` : value
  // As text, which tells -0 from 0 where the target does.
  if (type.kind === 'nested' || type.kind === 'float')
    return `${(unsignedZero && withoutSigns(typeName(type), value)) || value}::VARCHAR`
  return value
}

/** Whether values of a type have zeros with a sign, in lists and structs, too. */
export const hasSignedZero = (type: LogicalType): boolean => withoutSigns(typeName(type), '') !== undefined

/** DuckDB's SQL of a value whose zeros have no sign; undefined of a type that has no such zeros. */
function withoutSigns(type: string, value: string, depth = 0): string | undefined {
  if (type === 'FLOAT' || type === 'DOUBLE') return `(${value} + 0)`
  const item = itemOf(type)
  if (item !== undefined) {
    const each = `_nf_${depth}`
    const unsigned = withoutSigns(item, each, depth + 1)
    return unsigned && `list_transform(${value}, lambda ${each}: ${unsigned})`
  }
  const fields = (fieldsOf(type) ?? []).map(({ quoted, type }) => {
    const field = `struct_extract(${value}, ${quote(nameIn(quoted))})`
    return { quoted, field, unsigned: withoutSigns(type, field, depth) }
  })
  if (fields.every(({ unsigned }) => unsigned === undefined)) return undefined
  const all = fields.map(({ quoted, field, unsigned }) => `${quoted} := ${unsigned ?? field}`)
  return `CASE WHEN ${value} IS NOT NULL THEN struct_pack(${all.join(', ')}) END`
}

/**
 * SQL of a row's sum: DuckDB's 64-bit hash over the columns' values, each with its NULL, in order. `values` are SQL of
 * the columns, all in the load's types, so that both sides of a comparison are summed by the same code.
 */
export function rowSum(columns: ComparedColumn[], values: string[]): string {
  const parts = columns.map((column, index) => hashable(column.type, canonical(column, values[index]!)))
  return `hash(${["'row'", ...parts].join(', ')})`
}

/** SQL of how many rows there are, and the sum of an expression over them. */
export const totalSql = (rows: string, expression: string) =>
  `SELECT count(*) AS n, sum(_nf_sum)::VARCHAR AS total FROM (SELECT ${expression} AS _nf_sum FROM (${rows}))`

/** What {@link totalSql} gives. */
export const rowTotal = ({ n, total }: DuckRow): RowTotal => ({ rows: Number(n), total: String(total) })

/** Whether a query gives columns in the types of the load. */
export async function readsTypes(
  duck: Pick<Duck, 'rows'>,
  sql: string,
  columns: ComparedColumn[],
): Promise<boolean> {
  const found = await duck.rows(`DESCRIBE ${sql}`)
  return columns.every(({ type }, index) => String(found[index]!.column_type) === typeName(type))
}
