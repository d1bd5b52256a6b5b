import { createHash } from 'node:crypto'
import { type ColumnsSchema, fieldOf } from './columns.ts'
import { valueAt } from './json.ts'

/** Gives the mark that tells a record from others: its key, or all that it holds, where it has none. */
export function recordMarker(schema: ColumnsSchema, key: readonly string[]): (record: unknown) => string {
  const paths = key.map(name => fieldOf(schema, name).path)
  return record => {
    const values = paths.map(path => valueAt(record, path) ?? null)
    return values.length > 0 && !values.includes(null) ? JSON.stringify(values) : digest(record)
  }
}

/** Tells pages apart by the marks of their records. */
export const pageMark = (marks: readonly string[]): string => digest(marks)

const digest = (value: unknown) => createHash('sha1').update(JSON.stringify(value)).digest('base64')
