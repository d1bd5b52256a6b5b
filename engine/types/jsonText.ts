import { fieldsOf, itemOf, split } from './nestedType.ts'

/**
 * SQL of a DuckDB value's JSON. JSON has no number that is infinite, or none: such a float is the text `"NaN"`, `"Infinity"` or
 * `"-Infinity"`, as Postgres writes it. DuckDB's to_json() writes what no other reads.
 */
export function jsonSql(value: string, type: string, depth = 0): string {
  if (!/\b(FLOAT|DOUBLE)\b/.test(type)) return `to_json(${value})`
  const item = itemOf(type)
  // Lambdas within each other would hide each other's names.
  const each = `_nf_j${depth}`
  if (item !== undefined)
    return `to_json(list_transform(${value}, lambda ${each}: ${jsonSql(each, item, depth + 1)}))`
  const [, map] = /^MAP\((.*)\)$/s.exec(type) ?? []
  if (map !== undefined) {
    const [, held] = split(map) as [string, string]
    const entry = `struct_pack(k := ${each}.key, v := ${jsonSql(`${each}.value`, held, depth + 1)})`
    return `to_json(map_from_entries(list_transform(map_entries(${value}), lambda ${each}: ${entry})))`
  }
  const fields = fieldsOf(type)
  if (fields) {
    const made = fields.map(
      field => `${field.quoted} := ${jsonSql(`${value}.${field.quoted}`, field.type, depth + 1)}`,
    )
    return `CASE WHEN ${value} IS NOT NULL THEN to_json(struct_pack(${made.join(', ')})) END`
  }
  return `CASE WHEN isnan(${value}) THEN '"NaN"'::JSON WHEN isinf(${value}) THEN if(${value} > 0, '"Infinity"', '"-Infinity"')::JSON ELSE to_json(${value}) END`
}
