import { type Duck, quote, quoteName } from '../../engine/sql/duckdb.ts'
import { type Column, typeFromName, typeName } from '../../engine/types/logical.ts'
import { badFile } from './bad.ts'
import type { Texts } from './typed.ts'

/** A Parquet file of a drop as rows: columns whose type is the read's are taken as they are, others by their text. */
export async function parquetTexts(
  duck: Duck,
  where: string,
  name: string,
  path: string,
  columns: Column[],
): Promise<Texts> {
  const types = await parquetTypes(duck, where, path)
  for (const column of columns)
    if (!types.has(column.name))
      throw badFile(
        where,
        `has no column ${column.name}, only ${[...types.keys()].join(', ').slice(0, 400)}`,
        undefined,
        'COLUMN_MISSING',
      )
  const file = quote(escapeGlob(path))
  const list = columns.map(({ name }, index) => `, ${quoteName(name)} AS c${index}`).join('')
  return {
    from: `(SELECT 0 AS _file, file_row_number + 1 AS _line${list} FROM read_parquet(${file}, file_row_number = true))`,
    names: [name],
    value: column => {
      const field = `c${columns.indexOf(column)}`
      const native = types.get(column.name)!
      if (native === typeName(column.type)) return { sql: field, typed: true }
      const nested = /[[(]/.test(native) && !native.startsWith('DECIMAL')
      return { sql: nested ? `to_json(${field})::VARCHAR` : `${field}::VARCHAR`, typed: false }
    },
  }
}

/** Columns of a Parquet file and their DuckDB types. */
export async function parquetTypes(duck: Duck, where: string, path: string): Promise<Map<string, string>> {
  try {
    const rows = await duck.rows(`DESCRIBE SELECT * FROM read_parquet(${quote(escapeGlob(path))})`)
    return new Map(rows.map(row => [String(row.column_name), String(row.column_type)]))
  } catch (cause) {
    throw badFile(where, `is not a readable Parquet file: ${(cause as Error).message}`, cause)
  }
}

/** The type that a column of a Parquet file has in models: its own where that is one, or else its text. */
export function modelType(native: string): string {
  return typeFromName(native) ? native : 'VARCHAR'
}

/** Brackets keep a name from being a glob. */
function escapeGlob(path: string): string {
  return path.replace(/[*?[\]]/g, '[$&]')
}
