import { didYouMean } from '../nearest.ts'
import type { Described } from './checkColumns.ts'
import { quoteName } from './duckdb.ts'
import type { Buckets, TableKey } from './model.ts'
import { stripped } from './text.ts'

/** SQL of a query over one bucket of its tables, the same bucket of each: what the whole gives is what all buckets give. */
export function bucketSql(sql: string, { count, keys }: Buckets, bucket: number): string {
  const divided = keys.map(({ table, column }) => {
    const key = quoteName(column)
    // As text, integers of different widths that are equal have one hash.
    const number = `if(${key} IS NULL, 0, hash(${key}::VARCHAR) % ${count})`
    return `${quoteName(table)} AS NOT MATERIALIZED (SELECT * FROM main.${quoteName(table)} WHERE ${number} = ${bucket})`
  })
  return `WITH ${divided.join(', ')} SELECT * FROM (${stripped(sql)}\n)`
}

const INTEGER = /^U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?$/
const TEXT = /^(VARCHAR|ENUM\(.*)$/
/** Two equal values of these may have two texts, or their equality is not that of joins. */
const INEXACT = /^(FLOAT|DOUBLE|TIME|INTERVAL|BIT|JSON|VARIANT|STRUCT|MAP|UNION)|\[\d*\]$/
const EXACT = /^TIMESTAMP/

/** What is wrong with keys by which rows are divided, where the columns of their tables are known: equal keys must have one text. */
export function bucketKeyFault(
  keys: TableKey[],
  tag: string,
  tables: ReadonlyMap<string, Described[]>,
): { message: string; hint?: string } | undefined {
  const types: { named: string; type: string }[] = []
  for (const { table, column } of keys) {
    const columns = [...tables].find(([name]) => name.toLowerCase() === table.toLowerCase())?.[1]
    if (!columns) continue
    const found = columns.find(({ name }) => name.toLowerCase() === column.toLowerCase())
    const names = columns.map(({ name }) => name)
    const named = `${table}.${column}`
    if (!found)
      return {
        message: `${tag}: ${table} has no column ${column}${didYouMean(column, names)}`,
        hint: `Its columns: ${names.join(', ')}.`,
      }
    if (INEXACT.test(found.type) && !EXACT.test(found.type))
      return {
        message: `${tag}: ${named} is ${found.type}, by which rows are not divided`,
        hint: 'Divide them by an integer, a decimal, a text, a UUID or a date.',
      }
    types.push({
      named,
      type: INTEGER.test(found.type) ? 'INTEGER' : TEXT.test(found.type) ? 'TEXT' : found.type,
    })
  }
  const [first] = types
  const other = types.find(({ type }) => type !== first!.type)
  if (!first || !other) return undefined
  return {
    message: `${tag}: ${first.named} is ${first.type}, ${other.named} is ${other.type}: equal keys would be in two buckets`,
    hint: 'Give one of them the type of the other in a model before this one, and divide that.',
  }
}
