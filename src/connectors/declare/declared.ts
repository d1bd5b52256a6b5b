import { z } from 'zod'
import type { TableSchema } from '../../../engine/contracts/source.ts'
import { EngineError } from '../../../engine/errors.ts'
import { ownValue } from '../../../engine/ownValue.ts'
import { type LogicalType, typeFromName } from '../../../engine/types/logical.ts'

/** Other spellings of DuckDB's for the names that {@link typeFromName} knows. */
const ALIASES: Record<string, string> = {
  BOOL: 'BOOLEAN',
  INT: 'INTEGER',
  REAL: 'FLOAT',
  TEXT: 'VARCHAR',
  STRING: 'VARCHAR',
  JSON: 'VARCHAR',
  DATETIME: 'TIMESTAMP',
  TIMESTAMPTZ: 'TIMESTAMP WITH TIME ZONE',
}

/** The logical type of a DuckDB type as people write it: `timestamptz`, `decimal(12, 2)`; undefined for none. */
export function declaredType(text: string): LogicalType | undefined {
  const name = text
    .trim()
    .toUpperCase()
    .replace(/\s+/g, ' ')
    .replace(/ ?([(,)]) ?/g, '$1')
    .replace(/^NUMERIC\(/, 'DECIMAL(')
    .replace(/^DECIMAL\((\d+)\)$/, 'DECIMAL($1,0)')
  const type = typeFromName(ownValue(ALIASES, name) ?? name)
  if (type?.kind !== 'decimal') return type
  return type.precision >= 1 && type.precision <= 38 && type.scale <= type.precision ? type : undefined
}

/** The name of a {@link declaredType}. */
export const declaredTypeName = z.string().refine(text => declaredType(text) !== undefined, {
  error: issue =>
    `${JSON.stringify(issue.input)} is not a type a column can have: take VARCHAR, BIGINT, DECIMAL(12,2), TIMESTAMPTZ, DATE, BOOLEAN, DOUBLE, JSON …`,
})

/** The `schema:` of an extract whose system does not describe itself: column → DuckDB type, in the order staged. */
export const declaredSchema = z
  .record(z.string().min(1), declaredTypeName)
  .refine(schema => Object.keys(schema).length > 0, { error: 'names no column' })

/** What the declared columns say of the table: every one may be NULL, and nothing is known of keys or sizes. */
export function declaredTable(where: string, schema: Record<string, string>): TableSchema {
  const columns = Object.entries(schema).map(([name, native]) => {
    const type = declaredType(native)
    if (!type) throw new EngineError('TYPE_UNSUPPORTED', `${where}: column ${name} has type ${native}`)
    return { name, type, nullable: true, native: native.trim().toUpperCase() }
  })
  return { columns, key: [], declared: true }
}
