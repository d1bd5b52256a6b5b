import { literalPattern, quote } from './duckdb.ts'

// The only place that reads a file by SQL: what DuckDB would guess of a file, or take from its path, is said here.

/** A path as it is: DuckDB takes some characters for patterns. */
export const literalPath = (path: string): string => quote(literalPattern(path))

export interface ParquetOptions {
  /** Whether files may have different columns; else all have those of the first. */
  byName?: boolean
  /** Adds `file_row_number` and, as virtual columns are, `file_index`. */
  rowNumber?: boolean
  /** Adds a column of this name with the file's path. */
  filename?: string
}

/** SQL of the rows of Parquet files; no column comes from a path. */
export function parquetSql(
  paths: string[],
  { byName = false, rowNumber = false, filename }: ParquetOptions = {},
): string {
  const options = ['hive_partitioning = false', `union_by_name = ${byName}`]
  if (rowNumber) options.push('file_row_number = true')
  if (filename !== undefined) options.push(`filename = ${quote(filename)}`)
  return `read_parquet([${paths.map(literalPath).join(', ')}], ${options.join(', ')})`
}

/** SQL of the rows of a CSV file; `options` leave nothing to be guessed. */
export function csvSql(path: string, options: string[]): string {
  const all = ['auto_detect = false', 'hive_partitioning = false', 'union_by_name = false', ...options]
  return `read_csv(${literalPath(path)}, ${all.join(', ')})`
}
