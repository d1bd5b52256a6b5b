import { quoteName } from '../sql/duckdb.ts'
import { type Column, typeName } from '../types/logical.ts'

/**
 * SQL of a row's 128-bit hash: MD5 over an unambiguous encoding of the columns in order. Each value is
 * `type:length:text`, NULL is `type:-`, so NULL, '', separators inside values, another type or another order of
 * columns all hash differently. The text is DuckDB's own notation (hexadecimal for binary); the leading `1` is the
 * encoding's version.
 */
export function rowHash(columns: Column[], alias: string): string {
  const encoded = columns.map(column => {
    const name = `${alias}.${quoteName(column.name)}`
    const text = column.type.kind === 'binary' ? `hex(${name})` : `${name}::VARCHAR`
    const type = typeName(column.type)
    return `CASE WHEN ${name} IS NULL THEN '${type}:-' ELSE '${type}:' || strlen(${text}) || ':' || ${text} END`
  })
  return `md5_number(concat('1', ${encoded.join(', ')}))`
}
