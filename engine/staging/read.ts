import { join } from 'node:path'
import type { Part } from '../contracts/staging.ts'
import { type ParquetOptions, parquetSql } from '../sql/files.ts'

/** SQL that reads Parquet files below the staging root, and no column out of their paths. */
export function filesSql(root: string, parts: Pick<Part, 'file'>[], options?: ParquetOptions): string {
  return parquetSql(
    parts.map(({ file }) => join(root, file)),
    options,
  )
}
