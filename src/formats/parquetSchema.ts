import { EngineError } from '../../engine/errors.ts'
import { type Duck, type DuckRow, quote, quoteName } from '../../engine/sql/duckdb.ts'
import { literalPath, parquetSql } from '../../engine/sql/files.ts'
import { type ArrowLeaf, arrowValue } from './arrowSchema.ts'
import { badFile } from './bad.ts'

/** A column of a Parquet file: the type that DuckDB gives it, and where that is not all of it, what is. */
export interface ParquetColumn {
  name: string
  /** DuckDB's type. */
  native: string
  /** The type it is staged with where every value fits; its text otherwise. */
  guess?: string
  /** SQL of its value in the file. */
  read: string
  /** Whether it holds values within values. */
  nested: boolean
  /** Why no reader gives its values exactly. */
  refusal?: string
  /** What another reader must read. */
  beyond?: 'decimal' | 'nanoseconds' | 'int96'
  text(field: string): string
}

export type BeyondColumn = ParquetColumn & { beyond: NonNullable<ParquetColumn['beyond']> }
export const isBeyond = (column: ParquetColumn): column is BeyondColumn => column.beyond !== undefined

/** Columns of a file; `arrow`: what its writer says of them beside. Fails with a bad file where names clash. */
export async function parquetColumns(
  duck: Duck,
  where: string,
  path: string,
  arrow: Map<string, (ArrowLeaf | undefined)[]>,
): Promise<Map<string, ParquetColumn>> {
  const schema = await duck.rows(
    `SELECT name, type, num_children AS children, converted_type AS converted, logical_type::VARCHAR AS logical, precision
     FROM parquet_schema(${literalPath(path)})`,
  )
  const described = await duck.rows(`DESCRIBE SELECT * FROM ${parquetSql([path])}`)
  const columns = new Map<string, ParquetColumn>()
  const folded = new Map<string, string>()
  let at = 1
  for (let index = 0; index < Number(schema[0]!.children ?? 0); index++) {
    const name = String(schema[at]!.name)
    const other = folded.get(name.toLowerCase())
    if (other !== undefined)
      throw badFile(
        where,
        other === name
          ? `has the column ${name} twice`
          : `has the columns ${other} and ${name}, which differ in case only`,
      )
    folded.set(name.toLowerCase(), name)
    if (name.toLowerCase() === 'file_row_number')
      throw badFile(
        where,
        `has a column ${name}, by which rows are numbered here`,
        undefined,
        'DECODE_FAILED',
        'Have it called otherwise where the file is written.',
      )
    const end = endOf(schema, at)
    const native = String(described[index]!.column_type)
    columns.set(name, columnOf(name, native, schema.slice(at, end), arrow.get(name) ?? []))
    at = end
  }
  return columns
}

/** Where the column that begins at `at` ends, its children among it. */
function endOf(schema: DuckRow[], at: number): number {
  let end = at + 1
  for (let child = 0; child < Number(schema[at]!.children ?? 0); child++) end = endOf(schema, end)
  return end
}

function columnOf(
  name: string,
  native: string,
  tree: DuckRow[],
  arrow: (ArrowLeaf | undefined)[],
): ParquetColumn {
  const found = tree.map(beyondOf).find(kind => kind !== undefined)
  const bare = bareLeaf(tree, arrow)
  const read = quoteName(name)
  const text = (field: string) => field
  const refusal =
    native === 'VARIANT'
      ? 'is a VARIANT: what types its values have would be lost'
      : found !== undefined && tree.length > 1
        ? `holds ${KINDS[found]} within ${native}: they cannot be read exactly`
        : bare && tree.length > 1
          ? `holds days, times or durations of Arrow within ${native}: Parquet says no more than their integers`
          : (unnamed(tree) ?? alike(tree))
  if (refusal !== undefined) return { name, native, read, nested: false, text, refusal }
  // Well-known binary is what the file holds.
  if (native.startsWith('GEOMETRY'))
    return { name, native: 'BLOB', read: `ST_AsWKB(${read})`, nested: false, text }
  const column: ParquetColumn = {
    name,
    native,
    read,
    nested: tree.length > 1 || native.endsWith('[]'),
    text,
  }
  if (bare) return { ...column, ...arrowValue(bare, name, read) }
  if (found === 'decimal') return { ...column, beyond: found }
  if (found !== undefined) {
    const zoned = native === 'TIMESTAMP WITH TIME ZONE'
    return {
      ...column,
      beyond: found,
      guess: zoned ? native : 'TIMESTAMP',
      text: field => momentText(field, name, found, zoned),
    }
  }
  if (native === 'TIMESTAMP_NS' || native === 'TIMESTAMP_S' || native === 'TIMESTAMP_MS')
    return { ...column, guess: 'TIMESTAMP' }
  return native === 'TIME_NS' ? { ...column, guess: 'TIME' } : column
}

/** The first integer that is all that Parquet says of a value, where Arrow says more. */
const bareLeaf = (tree: DuckRow[], arrow: (ArrowLeaf | undefined)[]) =>
  tree
    .filter(({ children }) => Number(children ?? 0) === 0)
    .map(({ type, converted, logical }, index) =>
      /^INT(32|64)$/.test(String(type)) &&
      [converted, logical].every(said => said === null || said === 'NONE')
        ? arrow[index]
        : undefined,
    )
    .find(leaf => leaf !== undefined)

const unnamed = (tree: DuckRow[]) =>
  tree.some(({ name }) => name === '') ? 'has a field without a name' : undefined

/** What is wrong with the fields of structs: DuckDB gives the second of two that differ in case only another name. */
function alike(tree: DuckRow[]): string | undefined {
  for (const [index, { children }] of tree.entries()) {
    const names = new Map<string, string>()
    let at = index + 1
    for (let child = 0; child < Number(children ?? 0); child++) {
      const name = String(tree[at]!.name)
      const other = names.get(name.toLowerCase())
      if (other !== undefined) return `has the fields ${other} and ${name}, which differ in case only`
      names.set(name.toLowerCase(), name)
      at = endOf(tree, at)
    }
  }
  return undefined
}

/** What to write where a column has values that nobody here can hold. */
export const WITHOUT_COLUMN =
  'Declare the columns that are wanted in schema: of this extract, without this one, or have it written as text.'

/** Fails with TYPE_UNSUPPORTED where DuckDB would change a column's values. */
export function refuseChanged(where: string, { name, refusal }: ParquetColumn): void {
  if (refusal !== undefined)
    throw new EngineError('TYPE_UNSUPPORTED', `${where}: column ${name === '' ? '""' : name} ${refusal}`, {
      hint: WITHOUT_COLUMN,
    })
}

const KINDS = {
  decimal: 'decimals of over 38 digits',
  nanoseconds: 'moments of nanoseconds with a zone',
  int96: 'moments of nanoseconds (INT96)',
}

function beyondOf({ type, converted, logical, precision }: DuckRow): ParquetColumn['beyond'] {
  if (type === 'INT96') return 'int96'
  const said = String(logical ?? '')
  if ((said.startsWith('Decimal') || converted === 'DECIMAL') && Number(precision) > 38) return 'decimal'
  // DuckDB has a type for those without a zone.
  return /^Timestamp.*isAdjustedToUTC=1.*NANOS=(?!<null>)/.test(said) ? 'nanoseconds' : undefined
}

/** Where the nanoseconds of a field stand. */
export const nanosOf = (field: string) => `n${field.slice(1)}`

/**
 * SQL of a moment's text with all nine digits where they count. `n…` has the nanoseconds, those of INT96 less some 2^64:
 * DuckDB has its microseconds, and together they are all of it.
 */
function momentText(field: string, name: string, kind: 'nanoseconds' | 'int96', zoned: boolean): string {
  const nanos = `${nanosOf(field)}::HUGEINT`
  const rest =
    kind === 'int96'
      ? `((${nanos} - epoch_us(${field})::HUGEINT * 1000) % 18446744073709551616 + 18446744073709551616) % 18446744073709551616`
      : `((${nanos} % 1000) + 1000) % 1000`
  const micros = kind === 'int96' ? `epoch_us(${field})` : `((${nanos} - ${rest}) // 1000)::BIGINT`
  const moment = `make_timestamp(${micros})`
  const digits = `strftime(${moment}, '%Y-%m-%d %H:%M:%S.%f') || lpad((${rest})::VARCHAR, 3, '0')`
  const zone = zoned ? ` || '+00'` : ''
  return `CASE WHEN ${field} IS NULL THEN NULL WHEN ${rest} = 0 THEN ${moment}::VARCHAR${zone}
    WHEN ${rest} < 1000 THEN ${digits}${zone} ELSE error(${quote(`column ${name} holds a moment (INT96) that is out of range`)}) END`
}
