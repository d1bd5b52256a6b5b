import { z } from 'zod'
import { declaredTypeName } from '../declare/declared.ts'

const path = z
  .union([z.string().min(1), z.array(z.string().min(1)).min(1)])
  .transform(names => (typeof names === 'string' ? names.split('.') : names))

/**
 * The `schema:` of an extract: column → type, or type and where a record holds its value: field names, and indexes in
 * lists from 0, joined by dots or listed. A plain type takes the field of the column's name.
 */
export const columnsSchema = z
  .record(z.string().min(1), z.union([declaredTypeName, z.strictObject({ type: declaredTypeName, path })]))
  .refine(columns => Object.keys(columns).length > 0, { error: 'names no column' })

export type ColumnsSchema = z.output<typeof columnsSchema>

/** Column → type. */
export function typesOf(schema: ColumnsSchema): Record<string, string> {
  return Object.fromEntries(
    Object.entries(schema).map(([name, column]) => [name, typeof column === 'string' ? column : column.type]),
  )
}

/** Where a record holds a column's value. */
export function pathOf(schema: ColumnsSchema, name: string): string[] {
  const column = schema[name]
  return column === undefined || typeof column === 'string' ? [name] : column.path
}
