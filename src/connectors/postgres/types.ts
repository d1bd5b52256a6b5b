import type { Column, LogicalType } from '../../../engine/types/logical.ts'
import type { TypeRule } from '../define.ts'

/** How a built-in type travels: its logical type, or `text` for the server's own notation. */
interface Rule {
  logical: LogicalType
  /** True where COPY sends the value as text (`column::text`). */
  asText?: boolean
  inexact?: string
}

const text: LogicalType = { kind: 'text' }
const int = (bits: 16 | 32 | 64): Rule => ({ logical: { kind: 'int', bits, signed: true } })
const UNENDING = "'infinity' and '-infinity'"

// Keys are pg_type.typname.
const RULES: Record<string, Rule> = {
  bool: { logical: { kind: 'bool' } },
  int2: int(16),
  int4: int(32),
  int8: int(64),
  oid: { logical: { kind: 'int', bits: 32, signed: false } },
  float4: { logical: { kind: 'float', bits: 32 } },
  float8: { logical: { kind: 'float', bits: 64 } },
  text: { logical: text },
  varchar: { logical: text },
  bpchar: { logical: text },
  name: { logical: text },
  bytea: { logical: { kind: 'binary' } },
  date: { logical: { kind: 'date' }, inexact: UNENDING },
  time: { logical: { kind: 'time' } },
  timestamp: { logical: { kind: 'timestamp', zoned: false }, inexact: UNENDING },
  timestamptz: { logical: { kind: 'timestamp', zoned: true }, inexact: UNENDING },
}

/** The column of a type. `typmod` is pg_attribute.atttypmod, for numeric ((precision << 16) | scale) + 4. */
export function columnOf(
  name: string,
  native: string,
  typname: string,
  typmod: number,
  nullable: boolean,
): Column {
  const rule = typname === 'numeric' ? numeric(typmod) : RULES[typname]
  const column: Column = { name, type: rule?.logical ?? text, nullable, native }
  return rule?.inexact ? { ...column, inexact: rule.inexact } : column
}

// Unbounded and very wide numerics, and those with a scale below 0 or above the precision, keep their digits as text.
function numeric(typmod: number): Rule {
  if (typmod < 4) return { logical: text, asText: true }
  const precision = ((typmod - 4) >> 16) & 0xffff
  const scale = (((typmod - 4) & 0x7ff) ^ 1024) - 1024
  if (precision > 38 || scale < 0 || scale > precision) return { logical: text, asText: true }
  return { logical: { kind: 'decimal', precision, scale }, inexact: "'NaN'" }
}

// Not arrays of them: `text[]` goes by its notation. A cast would strip the blanks that pad a char(n).
const SENT_AS_IS = /^(text|name|bpchar|character|character varying)(\(\d+\))?( \(domain .*\))?$/

/** The COPY expression of a column: as it is, or cast to text where its logical type is text and its own is not. */
export function selectExpression(column: Column, quoted: string): string {
  return column.type.kind === 'text' && !SENT_AS_IS.test(column.native) ? `${quoted}::text` : quoted
}

/** The reviewable table. */
export const TYPES: TypeRule[] = [
  { native: 'boolean', logical: 'BOOLEAN' },
  { native: 'smallint', logical: 'SMALLINT' },
  { native: 'integer', logical: 'INTEGER' },
  { native: 'bigint', logical: 'BIGINT' },
  { native: 'oid', logical: 'UINTEGER' },
  { native: 'real', logical: 'FLOAT' },
  { native: 'double precision', logical: 'DOUBLE' },
  { native: 'numeric(p,s), p ≤ 38, 0 ≤ s ≤ p', logical: 'DECIMAL(p,s)', inexact: "'NaN'" },
  { native: 'numeric, other', logical: 'VARCHAR', note: 'every digit kept, as text' },
  { native: 'char(n), varchar(n), text, name', logical: 'VARCHAR' },
  { native: 'bytea', logical: 'BLOB' },
  { native: 'date', logical: 'DATE', inexact: UNENDING },
  { native: 'time', logical: 'TIME' },
  { native: 'timestamp', logical: 'TIMESTAMP', inexact: UNENDING },
  { native: 'timestamptz', logical: 'TIMESTAMP WITH TIME ZONE', inexact: UNENDING },
  { native: 'every other type', logical: 'VARCHAR', note: "the server's own text notation" },
]
