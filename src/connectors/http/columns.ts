import { z } from 'zod'
import { ownValue } from '../../../engine/ownValue.ts'
import { declaredType, declaredTypeName } from '../declare/declared.ts'
import type { FieldPath } from './json.ts'

/** A {@link FieldPath} as a job writes it. */
export const fieldPath = z.union([z.string().min(1), z.array(z.string().min(1)).min(1)])

const column = z
  .strictObject({
    type: declaredTypeName,
    /** Where a record holds the value; default: the field of the column's name. */
    path: fieldPath.optional(),
    /** Of a time that is a number: seconds or milliseconds since 1970. */
    format: z.enum(['iso', 'epoch', 'epoch_ms']).default('iso'),
    /** Texts that stand for no value. */
    null_values: z.array(z.string()).default([]),
  })
  .refine(({ type, format }) => format === 'iso' || declaredType(type)?.kind === 'timestamp', {
    path: ['format'],
    message: 'expected iso for a type other than TIMESTAMP and TIMESTAMPTZ',
  })

/** The `schema:` of an extract: column → type, or type and more of it. A plain type takes the field of the column's name. */
export const columnsSchema = z
  .record(z.string().min(1), z.union([declaredTypeName, column]))
  .refine(columns => Object.keys(columns).length > 0, { error: 'names no column' })
  .superRefine((columns, context) => {
    const names = new Map<string, string>()
    for (const name of Object.keys(columns)) {
      const other = names.get(name.toLowerCase())
      names.set(name.toLowerCase(), name)
      if (other !== undefined)
        context.addIssue({
          code: 'custom',
          path: [name],
          message: `differs from ${other} in case only: SQL takes the two for one. Name it otherwise, with path: ${name}`,
        })
    }
  })

export type ColumnsSchema = z.output<typeof columnsSchema>

/** Column → type. */
export function typesOf(schema: ColumnsSchema): Record<string, string> {
  return Object.fromEntries(
    Object.entries(schema).map(([name, column]) => [name, typeof column === 'string' ? column : column.type]),
  )
}

/** How a record holds a column's value. */
export function fieldOf(
  schema: ColumnsSchema,
  name: string,
): { path: FieldPath; format: 'iso' | 'epoch' | 'epoch_ms'; null_values: readonly string[] } {
  const column = ownValue(schema, name)
  if (column === undefined || typeof column === 'string')
    return { path: [name], format: 'iso', null_values: [] }
  return { path: column.path ?? [name], format: column.format, null_values: column.null_values }
}
