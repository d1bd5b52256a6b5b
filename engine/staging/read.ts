import type { Part } from '../contracts/staging.ts'
import { quote } from '../sql/duckdb.ts'
import { pathsOf } from './store.ts'

/** SQL that reads Parquet files below the staging root, and no column out of their paths. */
export function filesSql(root: string, parts: Part[], option?: string): string {
  const files = pathsOf(root, parts).map(quote).join(', ')
  return `read_parquet([${files}], hive_partitioning = false${option ? `, ${option}` : ''})`
}
