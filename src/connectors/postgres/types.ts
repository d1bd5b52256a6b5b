import type { Column, LogicalType, Origin } from '../../../engine/types/logical.ts'
import type { TypeRule } from '../declare/define.ts'

/** Of {@link Origin}: types are Postgres'. */
export const FAMILY = 'postgres'

/** How a built-in type travels. */
export interface Rule {
  logical: LogicalType
  inexact?: string
  /** See {@link Column}. */
  duck?: string
  /** Its notation is ASCII whatever the database's encoding. */
  ascii?: true
  /** Its server compares its values only for equality. */
  unordered?: true
}

/**
 * How COPY BINARY sends a column that is staged as text (`Column.wire`); absent: cast to text by the server.
 *
 * | wire | the field's bytes |
 * |---|---|
 * | `text` | the text itself |
 * | `versioned` | a version byte, 1, and the text |
 * | `uuid` | 16 bytes |
 * | `char` | one byte: the type `"char"` |
 * | `output` | text, through the type's output function: its cast to text is a function of its own (inet, bool, and what users and extensions define) |
 */
export type Wire = 'text' | 'versioned' | 'uuid' | 'char' | 'output'

const text: LogicalType = { kind: 'text' }
const int = (bits: 16 | 32 | 64, signed = true): Rule => ({ logical: { kind: 'int', bits, signed } })
const UNENDING = "'infinity' and '-infinity'"
const BEYOND = `${UNENDING}, and moments after 294247-01-10 04:00:54`
const NOT_UTF8 = 'bytes that are not UTF-8'
const ascii: Rule = { logical: text, ascii: true }

// Keys are pg_type.typname, of types in pg_catalog.
const RULES: Record<string, Rule> = {
  bool: { logical: { kind: 'bool' } },
  int2: int(16),
  int4: int(32),
  int8: int(64),
  oid: int(32, false),
  xid: { ...int(32, false), unordered: true },
  cid: { ...int(32, false), unordered: true },
  xid8: int(64, false),
  float4: { logical: { kind: 'float', bits: 32 } },
  float8: { logical: { kind: 'float', bits: 64 } },
  bytea: { logical: { kind: 'binary' } },
  date: { logical: { kind: 'date' }, inexact: UNENDING },
  time: { logical: { kind: 'time' } },
  timestamp: { logical: { kind: 'timestamp', zoned: false }, inexact: BEYOND },
  timestamptz: { logical: { kind: 'timestamp', zoned: true }, inexact: BEYOND },
  timetz: { ...ascii, duck: 'TIME WITH TIME ZONE' },
  interval: { ...ascii, duck: 'INTERVAL' },
  uuid: { ...ascii, duck: 'UUID' },
  // Not json, which may hold half of a surrogate pair.
  jsonb: { logical: text, duck: 'JSON' },
  char: ascii,
  inet: ascii,
  cidr: ascii,
  macaddr: ascii,
  macaddr8: ascii,
  bit: ascii,
  varbit: ascii,
  point: ascii,
  line: ascii,
  lseg: ascii,
  box: ascii,
  path: ascii,
  polygon: ascii,
  circle: ascii,
  pg_lsn: ascii,
  tid: ascii,
}

// By the type's send function, so that extension types and enums that send their text as it is take part too.
// Where output and send functions give the same text; char(n) among them, whose cast would strip its blanks.
const WIRES: Record<string, Wire> = {
  textsend: 'text',
  varcharsend: 'text',
  bpcharsend: 'text',
  namesend: 'text',
  enum_send: 'text',
  json_send: 'text',
  xml_send: 'text',
  jsonb_send: 'versioned',
  jsonpath_send: 'versioned',
  uuid_send: 'uuid',
  charsend: 'char',
}

/** Types whose text DuckDB writes as Postgres does. */
const PLAIN = /^(UUID|JSON|ENUM\(.*\))$/s

/** Of types that are text, and no notation of anything else. */
const TEXTS = new Set(['textsend', 'varcharsend', 'bpcharsend', 'namesend'])

/** What the catalog says of a column; type and functions are those under its domains. */
export interface CatalogColumn {
  name: string
  /** For people: the type as its users write it. */
  native: string
  origin: Origin
  /** pg_type.typname where the type is in pg_catalog. */
  type: string | null | undefined
  /** Name of the send function where it is in pg_catalog. */
  send: string | null | undefined
  /** True where a cast to text is defined for it, which may write something else than the output function. */
  cast: boolean
  /** See {@link Column}; VARCHAR where DuckDB has nothing of its kind. */
  duck: string
  /** pg_attribute.atttypmod: for numeric ((precision << 16) | scale) + 4. */
  typmod: number
  nullable: boolean
  /** The database does not check the encoding of its text (server_encoding SQL_ASCII). */
  unchecked: boolean
}

/** How a type of pg_catalog travels; undefined for one that only its notation says. */
export const ruleOf = (type: string | null | undefined, typmod: number): Rule | undefined => {
  if (type === 'numeric') return numeric(typmod)
  // DuckDB knows no empty BIT.
  return type === 'bit' && typmod > 0 ? { ...ascii, duck: 'BIT' } : RULES[type ?? '']
}

/** Whether a type is staged as text: as characters, or by its notation. */
export const isText = (typname: string, typmod: number) =>
  (ruleOf(typname, typmod)?.logical ?? text).kind === 'text'

/** The column of a type, as it will be staged. */
export function columnOf(found: CatalogColumn): Column {
  const { name, native, origin, type, send, cast, duck, typmod, nullable, unchecked } = found
  const rule = ruleOf(type, typmod)
  const column: Column = {
    name,
    type: rule?.logical ?? text,
    nullable,
    native,
    origin,
  }
  if (rule?.inexact) column.inexact = rule.inexact
  if (rule?.unordered) column.notation = true
  if (cast) column.wire = 'output' satisfies Wire
  if (column.type.kind !== 'text') return column
  if (unchecked && !rule?.ascii) {
    column.inexact = NOT_UTF8
    column.policy = 'quarantine'
  }
  if (!TEXTS.has(send ?? '')) column.notation = true
  if (duck !== 'VARCHAR') {
    column.duck = duck
    if (!PLAIN.test(duck)) column.written = 'braces'
  }
  // Text that must be looked at comes as nothing but text.
  const wire = WIRES[send ?? '']
  if (wire && !(wire === 'versioned' && unchecked)) column.wire = wire
  return column
}

// Unbounded and very wide numerics, and those with a scale below 0 or above the precision, keep their digits as text.
function numeric(typmod: number): Rule {
  if (typmod < 4) return ascii
  const precision = ((typmod - 4) >> 16) & 0xffff
  const scale = (((typmod - 4) & 0x7ff) ^ 1024) - 1024
  if (precision > 38 || scale < 0 || scale > precision) return ascii
  return { logical: { kind: 'decimal', precision, scale }, inexact: "'NaN'" }
}

/** The COPY expression of a column: as it is, or as the server's text where only the server knows how it is written. */
export function selectExpression(column: Column, quoted: string): string {
  if (column.type.kind !== 'text') return quoted
  return column.wire && column.wire !== 'output' ? quoted : stagedText(column, quoted)
}

/** The text that is staged of a column. */
export function stagedText({ wire }: Column, quoted: string): string {
  // format() takes the output function, and knows no NULL; `IS NULL` holds for a composite of NULLs.
  return wire ? `CASE WHEN num_nulls(${quoted}) = 0 THEN format('%s', ${quoted}) END` : `${quoted}::text`
}

/** The reviewable table. */
export const TYPES: TypeRule[] = [
  { native: 'boolean', logical: 'BOOLEAN' },
  { native: 'smallint', logical: 'SMALLINT' },
  { native: 'integer', logical: 'INTEGER' },
  { native: 'bigint', logical: 'BIGINT' },
  { native: 'oid, xid, cid', logical: 'UINTEGER' },
  { native: 'xid8', logical: 'UBIGINT' },
  { native: 'real', logical: 'FLOAT' },
  { native: 'double precision', logical: 'DOUBLE' },
  { native: 'numeric(p,s), p ≤ 38, 0 ≤ s ≤ p', logical: 'DECIMAL(p,s)', inexact: "'NaN'" },
  {
    native: 'numeric, other',
    logical: 'VARCHAR',
    note: "every digit kept, as text; 'NaN' and infinities too",
  },
  { native: 'char(n), varchar(n), text, name, citext', logical: 'VARCHAR', note: 'char(n) with its blanks' },
  { native: 'bytea', logical: 'BLOB' },
  { native: 'date', logical: 'DATE', inexact: UNENDING },
  { native: 'time', logical: 'TIME' },
  { native: 'timestamp', logical: 'TIMESTAMP', inexact: BEYOND },
  { native: 'timestamptz', logical: 'TIMESTAMP WITH TIME ZONE', inexact: BEYOND },
  { native: 'uuid', logical: 'VARCHAR', seen: 'UUID' },
  { native: 'jsonb', logical: 'VARCHAR', seen: 'JSON' },
  {
    native: 'enums',
    logical: 'VARCHAR',
    seen: "ENUM('a', 'b')",
    note: 'in their order',
  },
  {
    native: 'interval',
    logical: 'VARCHAR',
    seen: 'INTERVAL',
    written: 'braces',
    note: "'infinity' is refused where DuckDB reads it",
  },
  { native: 'timetz', logical: 'VARCHAR', seen: 'TIME WITH TIME ZONE', written: 'braces' },
  { native: 'bit(n)', logical: 'VARCHAR', seen: 'BIT', written: 'braces' },
  {
    native: 'arrays: integer[]',
    logical: 'VARCHAR',
    seen: 'INTEGER[]',
    written: 'braces',
    note: 'of as many dimensions as the column was declared with; another number of them, bounds that do not begin at 1, and infinite days are refused where DuckDB reads them',
  },
  {
    native: 'composites: (a integer, b text)',
    logical: 'VARCHAR',
    seen: 'STRUCT(a INTEGER, b VARCHAR)',
    written: 'braces',
  },
  {
    native: 'json, xml',
    logical: 'VARCHAR',
    note: 'as the server writes them; json may hold what no other JSON does',
  },
  { native: 'every other type', logical: 'VARCHAR', note: "the server's own text notation" },
  {
    native: 'text of a database with encoding SQL_ASCII',
    logical: 'VARCHAR',
    inexact: NOT_UTF8,
    note: 'such rows go to the quarantine unless columns: says otherwise',
  },
]
