import { join } from 'node:path'
import type { Part } from '../contracts/staging.ts'
import { type ParquetOptions, parquetSql } from '../sql/files.ts'

/** SQL that reads Parquet files below the staging root, and no column out of their paths. */
export function filesSql(
  root: string,
  parts: Pick<Part, 'file' | 'exact'>[],
  options?: ParquetOptions,
): string {
  const paths = parts.map(({ file }) => join(root, file))
  // Some lack the column of rejects: its NULLs are for the others to give.
  const exact = parts.filter(part => part.exact).length
  return parquetSql(paths, exact > 0 && exact < parts.length ? { ...options, byName: true } : options)
}
