import type { PlannedLoad } from '../../../engine/contracts/load.ts'
import { EngineError } from '../../../engine/errors.ts'
import { quote, quoteName } from '../../../engine/sql/duckdb.ts'
import { nameIn } from '../../../engine/sql/text.ts'
import { seenSql, seenType, stagedType } from '../../../engine/types/duckType.ts'
import { type Column, columnNamed, typeFromName, typeName } from '../../../engine/types/logical.ts'
import { fieldsOf, sameType } from '../../../engine/types/nestedType.ts'
import { widens } from '../../../engine/types/widen.ts'
import { type Dialect, duckdbDiffers, standard } from '../sql/dialect.ts'
import { nameParts } from '../sql/names.ts'

// How a load's columns and those of its table go together.

/** The type that a column has in a table that we make: that whose text it is, else as it is staged. */
export const madeType = (column: Needed) => seenType(column as Column)

/** What is known of a column that a load brings, or keeps itself. */
export type Needed = Pick<Column, 'name' | 'type' | 'duck' | 'written'>

/** What {@link LoadTables} say of a table's columns; `folds`: its texts may have a collation. */
export function expressions(load: PlannedLoad, columns: Column[], folds: boolean) {
  const native = (name: string) => columnNamed(columns, name)!.native
  const folded = (name: string) => folds && typeFromName(native(name))?.kind === 'text'
  return {
    cast(name: string, expression: string) {
      const column = columnNamed(load.columns, name)!
      if (sameType(native(name), column.duck)) return seenSql(column, expression)
      return sameType(native(name), typeName(column.type))
        ? expression
        : `CAST(${expression} AS ${native(name)})`
    },
    differs(name: string, target: string, staged: string) {
      const type = typeFromName(native(name))
      // What DuckDB takes for equal may be different: an interval of 1 day and of 24 hours.
      if (!type) return `CAST(${target} AS VARCHAR) IS DISTINCT FROM CAST(${staged} AS VARCHAR)`
      if (folded(name)) return `encode(${target}) IS DISTINCT FROM encode(${staged})`
      // A table may keep minus zero as zero, which it equals.
      return type.kind === 'float'
        ? `${target} IS DISTINCT FROM ${staged}`
        : duckdbDiffers(type, target, staged)
    },
    identical: (name: string, target: string, staged: string) =>
      folded(name) ? `encode(${target}) = encode(${staged})` : undefined,
    order: (name: string, expression: string) => (folded(name) ? `encode(${expression})` : expression),
  }
}

/**
 * DuckDB's dialect for a table: its UPDATE leaves a value that it takes for equal to the new one, so that 1 day would stay where
 * 24 hours are to be, and in a struct zero where minus zero is; such a value is made another one first.
 */
export function dialectOf(columns: Column[]): Dialect {
  const update: Dialect['update'] = (target, set, where, from) => {
    const twins = set.flatMap(({ column, value }) => {
      const { native } = columnNamed(columns, column)!
      const ours = `_nf_t.${quoteName(column)}`
      const isTwin = isFloat(native) ? undefined : twinOf(native, ours, value)
      return isTwin === undefined ? [] : [{ column, native, ours, isTwin }]
    })
    const all = STANDARD.update(target, set, where, from)
    if (twins.length === 0) return all
    const away = twins.map(({ column, native, ours, isTwin }) => ({
      column,
      value: `CASE WHEN ${isTwin} THEN ${otherValue(native, ours)} ELSE ${ours} END`,
    }))
    const isAny = twins.map(({ isTwin }) => isTwin).join(' OR ')
    return `${STANDARD.update(target, away, `${where} AND (${isAny})`, from)}; ${all}`
  }
  return { ...STANDARD, update }
}

const isFloat = (native: string) => native === 'FLOAT' || native === 'DOUBLE'

/** SQL of whether a value equals another and is not the same, or a field of it does; undefined of types that have no such. */
function twinOf(native: string, ours: string, theirs: string): string | undefined {
  if (native === 'INTERVAL')
    return `(${ours} = ${theirs} AND CAST(${ours} AS VARCHAR) <> CAST(${theirs} AS VARCHAR))`
  if (isFloat(native)) return `(${ours} = 0 AND ${theirs} = 0 AND signbit(${ours}) <> signbit(${theirs}))`
  const fields = (fieldsOf(native) ?? []).flatMap(({ quoted, type }) => {
    const name = quote(nameIn(quoted))
    return twinOf(type, `struct_extract(${ours}, ${name})`, `struct_extract(${theirs}, ${name})`) ?? []
  })
  return fields.length === 0 ? undefined : `(${fields.join(' OR ')})`
}

/**
 * Beside a value that has a twin one that has none, and that conditions of the table take as they take it: a microsecond less,
 * the least that is more than zero. (NULL would not do: under it the old value stays.)
 */
function otherValue(native: string, ours: string): string {
  if (native === 'INTERVAL') return `${ours} - INTERVAL '1 microsecond'`
  if (isFloat(native)) return native === 'FLOAT' ? '1e-45::FLOAT' : '5e-324::DOUBLE'
  const fields = fieldsOf(native)!.map(({ quoted, type }) => {
    const field = `struct_extract(${ours}, ${quote(nameIn(quoted))})`
    return `${quoted} := ${twinOf(type, 'a', 'b') === undefined ? field : otherValue(type, field)}`
  })
  return `struct_pack(${fields.join(', ')})`
}

const STANDARD = standard(quoteName, typeName)

/** Whether DuckDB's own assignment holds every value exactly, or raises where one does not fit, or {@link exactSql} tells: it rounds silently. */
export function fits(column: Needed, native: string): boolean {
  const { type } = column
  if (sameType(native, madeType(column))) return true
  const into = typeFromName(native)
  // A type that none of ours is (UUID, ENUM, INTEGER[] …) is parsed from text, and raises or rounds.
  if (!into) return type.kind === 'text' || stagedType(native) === typeName(type)
  if (into.kind === 'text' || typeName(into) === typeName(type) || widens(type, into)) return true
  const scale = type.kind === 'decimal' ? type.scale : type.kind === 'int' ? 0 : Infinity
  return into.kind === 'int' ? scale === 0 : into.kind === 'decimal' && into.scale >= scale
}

/** Schema and name of a table. Fails with CONFIG_INVALID where there are more than these. */
export function split(table: string): [string, string] {
  const [first, second, ...more] = nameParts(table)
  if (more.length > 0)
    throw new EngineError(
      'CONFIG_INVALID',
      `load.${table}: a table of DuckDB has a schema and a name, and this has ${2 + more.length} parts`,
      { hint: `Quote a part that has a dot: load: { '${first}."${[second, ...more].join('.')}"': … }.` },
    )
  if (second === undefined) return ['main', first!]
  if (['temp', 'system'].includes(first!.toLowerCase()))
    throw new EngineError(
      'CONFIG_INVALID',
      `load.${table}: DuckDB has a catalog ${first} of its own, and no statement could mean a schema of that name`,
      { hint: 'Take another schema: raw, staging, mart.' },
    )
  return [first!, second]
}

/** SQL that is true of a table's lines in DuckDB's catalog: names that differ in their letters' case are one. */
export function ofTable(table: string): string {
  const [schema, name] = split(table).map(part => quote(part.toLowerCase()))
  return `lower(schema_name) = ${schema} AND lower(table_name) = ${name}`
}

export function qualified(table: string): string {
  return split(table).map(quoteName).join('.')
}
