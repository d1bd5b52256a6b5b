import { REJECTED } from '../batch/builder.ts'
import type { Part } from '../ports.ts'
import { quote, quoteName } from '../sql/duckdb.ts'
import type { Column } from '../types/logical.ts'
import { typeName as ddl } from '../types/logical.ts'
import { pathsOf } from './store.ts'

/** All that is known of a table: the parts of every night since it was last read whole, oldest first. */
export interface Image {
  columns: Column[]
  nights: { run: string; parts: Part[] }[]
  /** Flat list, for the manifest's own check. */
  parts: Part[]
}

/** Manifest of the image that a run leaves of an extract. */
export function imageFile(job: string, run: string, extract: string): string {
  return `${job}/${run}/image/${extract}.json`
}

/**
 * SQL of the table that models see: the latest known row of every key. Later nights win; within a night the
 * highest incremental value, then the whole row decides, so that ties end the same way every time.
 */
export function imageSql(
  root: string,
  image: Image,
  { key, unique, incremental }: { key: string[]; unique: boolean; incremental?: { column: string } },
): string {
  const columns = image.columns.filter(column => column.name !== REJECTED)
  const list = columns.map(column => quoteName(column.name)).join(', ')
  const good = columns.length < image.columns.length ? ` WHERE ${REJECTED} IS NULL` : ''
  const nights = image.nights.filter(night => night.parts.length > 0)
  if (nights.length === 0)
    return `SELECT ${columns.map(({ name, type }) => `NULL::${ddl(type)} AS ${quoteName(name)}`).join(', ')} LIMIT 0`
  const scan = (night: (typeof nights)[number], columns: string) =>
    `SELECT ${columns} FROM read_parquet([${pathsOf(root, night.parts).map(quote).join(', ')}])${good}`
  const first = nights[0]!
  if (key.length === 0 || (nights.length === 1 && unique)) return scan(first, list)
  const keys = key.map(quoteName).join(', ')
  const newest = incremental ? `${quoteName(incremental.column)} DESC NULLS LAST, ` : ''
  const latest = (rows: string) =>
    `SELECT ${list} FROM (${rows}) QUALIFY row_number() OVER (PARTITION BY ${keys} ORDER BY night DESC, ${newest}${list}) = 1`
  const numbered = (from: number) =>
    nights
      .slice(from)
      .map((night, index) => scan(night, `${list}, ${from + index} AS night`))
      .join(' UNION ALL ')
  if (!unique) return latest(numbered(0))
  // Most rows are of the first night and changed by none: only the changes go through the window.
  return `WITH changed AS (${latest(numbered(1))})
    SELECT * FROM changed UNION ALL
    SELECT ${list} FROM (${scan(first, list)}) AS base WHERE NOT EXISTS (
      SELECT 1 FROM changed WHERE ${key.map(name => `changed.${quoteName(name)} = base.${quoteName(name)}`).join(' AND ')})`
}
