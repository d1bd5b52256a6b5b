import { createHash } from 'node:crypto'
import { type ColumnsSchema, fieldOf } from './columns.ts'
import { type FieldPath, valueAt } from './json.ts'

/** Finds records of a page that the page before it has given: the list that is paged through has moved. */
export class RepeatedRecords {
  private readonly key: FieldPath[]
  private last = new Set<string>()

  constructor(schema: ColumnsSchema, key: readonly string[]) {
    this.key = key.map(name => fieldOf(schema, name).path)
  }

  /** How many records of the next page were on the last one. */
  on(records: unknown[]): number {
    const marks = records.map(record => this.mark(record))
    const again = marks.filter(mark => this.last.has(mark)).length
    this.last = new Set(marks)
    return again
  }

  private mark(record: unknown): string {
    if (this.key.length > 0) return JSON.stringify(this.key.map(path => valueAt(record, path) ?? null))
    return createHash('sha1').update(JSON.stringify(record)).digest('base64')
  }
}
