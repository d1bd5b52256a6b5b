import { quote } from '../../../engine/sql/duckdb.ts'
import { typeFromName, typeName } from '../../../engine/types/logical.ts'
import { fieldsOf, itemOf, sameType, split } from '../../../engine/types/nestedType.ts'
import type { Needed } from './columns.ts'

// DuckDB parses any text that begins as a value of a type does, rounds what the type has no digits for, and leaves out what it has no
// place for: the time of a date, the offset of a timestamp.

/** SQL of whether a column of type `native` holds a staged value exactly; undefined where it holds all that it takes. */
export function exactSql({ type, duck }: Needed, native: string, value: string): string | undefined {
  if (sameType(native, duck) || sameType(native, typeName(type)) || typeFromName(native)) return undefined
  if (type.kind === 'text') return textSql(native, value)
  return `TRY_CAST(TRY_CAST(${value} AS ${native}) AS ${typeName(type)}) IS NOT DISTINCT FROM ${value}`
}

/** SQL of whether a type holds what a text says; undefined where it says all of it or is refused. */
function textSql(type: string, text: string): string | undefined {
  if (parts(type).length === 0) return leafSql(type, text)
  return nestedSql(type, `TRY_CAST(${text} AS ${asTexts(type)})`, 1)
}

/** The same of a nested value whose texts are not parsed yet. */
function nestedSql(type: string, value: string, depth: number): string | undefined {
  const exact = parts(type).flatMap(({ type: inner, values, one }) => {
    const name = one ? value : `e${depth}`
    const part = one ? `${value}.${one}` : name
    const own = parts(inner).length === 0 ? leafSql(inner, part) : nestedSql(inner, part, depth + 1)
    if (!own) return []
    const each = `coalesce(${own}, true)`
    return one
      ? [each]
      : [`coalesce(list_bool_and(list_transform(${values!(value)}, lambda ${name}: ${each})), true)`]
  })
  return exact.length > 0 ? `(${exact.join(' AND ')})` : undefined
}

/** What a nested type has values of: `values`, all of a kind, or `one`, a field; of others nothing. */
function parts(type: string): { type: string; values?(nested: string): string; one?: string }[] {
  const item = itemOf(type)
  if (item !== undefined) return [{ type: item, values: nested => nested }]
  const [key, value] = mapOf(type)
  if (key !== undefined)
    return [
      { type: key, values: nested => `map_keys(${nested})` },
      { type: value!, values: nested => `map_values(${nested})` },
    ]
  return (fieldsOf(type) ?? []).map(field => ({ type: field.type, one: field.quoted }))
}

const mapOf = (type: string): string[] => {
  const [, inside] = /^MAP\((.*)\)$/s.exec(type) ?? []
  return inside === undefined ? [] : split(inside)
}

/** A nested type with texts for all values in it. */
function asTexts(type: string): string {
  const item = itemOf(type)
  if (item !== undefined) return `${asTexts(item)}${type.slice(item.length)}`
  const map = mapOf(type)
  if (map.length > 0) return `MAP(${map.map(asTexts).join(', ')})`
  const fields = fieldsOf(type)?.map(field => `${field.quoted} ${asTexts(field.type)}`)
  return fields ? `STRUCT(${fields.join(', ')})` : 'VARCHAR'
}

/** What a text may say of a type's values, by the type's name. */
const RULES: [RegExp, (text: string, digits: number) => string][] = [
  [/^(?:U?(?:TINY|SMALL|BIG|HUGE)?INT(?:EGER)?|BIGNUM)$/, text => number(text, 0)],
  [/^DECIMAL\(\d+,(\d+)\)$/, (text, scale) => number(text, scale)],
  [/^FLOAT$/, text => `(${double(text)} AND ${alike(text)})`],
  [/^DOUBLE$/, text => double(text)],
  [/^DATE$/, text => without(text, '[0-9][ T].*[1-9]')],
  [/^TIME(?:_NS)?$/, text => like(text, '[0-9]+:[0-9]+(:[0-9]+([.][0-9]*)?)?')],
  [/^TIMESTAMP(?:_S|_MS|_NS)?$/, text => without(text, ':.*([+-][0-9:]*[1-9]|[A-Za-z]/)')],
]
/** Digits of a second that a type has. */
const FRACTIONS: [RegExp, number][] = [
  [/^TIMESTAMP_S$/, 0],
  [/^TIMESTAMP_MS$/, 3],
  [/^TIME(?:STAMP)?_NS$/, 9],
  [/^(?:TIME|TIMESTAMP)(?: WITH TIME ZONE)?$|^INTERVAL$/, 6],
]

function leafSql(type: string, text: string): string | undefined {
  const rules = RULES.flatMap(([of, rule]) => {
    const found = of.exec(type)
    return found ? [rule(text, Number(found[1]))] : []
  })
  for (const [of, digits] of FRACTIONS)
    if (of.test(type)) rules.push(without(text, `[.][0-9]{${digits}}[0-9]*[1-9]`))
  return rules.length > 0 ? `(${rules.join(' AND ')})` : undefined
}

const like = (text: string, pattern: string) => `regexp_full_match(trim(${text}), ${quote(pattern)})`
const matches = (text: string, pattern: string) => `regexp_matches(${text}, ${quote(pattern)})`
const without = (text: string, pattern: string) => `NOT ${matches(text, pattern)}`
/** An exponent takes digits across the point. */
const number = (text: string, scale: number) => {
  const found = (pattern: string) => `regexp_extract(${text}, ${quote(pattern)}, 1)`
  const exponent = `coalesce(TRY_CAST(${found('[eE]([+-]?[0-9]+)')} AS DOUBLE), 0)`
  return `(${like(text, '[+-]?[0-9_]*([.][0-9]*)?([eE][+-]?[0-9]+)?')} AND length(${found('[.]([0-9]*?)0*(?:[eE ]|$)')}) <= ${scale} + ${exponent})`
}
/** No double has more than 17 digits that tell it from others; what it is too small or too large for becomes 0 or infinite. */
const double = (text: string) => {
  const value = `TRY_CAST(${text} AS DOUBLE)`
  const beyond = `isinf(${value}) AND ${matches(text, '[0-9]')} OR ${value} = 0 AND ${matches(text, '^[^eE]*[1-9]')}`
  return `${without(text, '[1-9]([.]?[0-9]){16,}[.]?[1-9]')} AND NOT coalesce(${beyond}, false)`
}
/** A float's shortest text, or that of the double that it is. */
const alike = (text: string) => {
  const float = `TRY_CAST(${text} AS FLOAT)`
  return `TRY_CAST(${text} AS DOUBLE) IN (${float}::VARCHAR::DOUBLE, ${float}::DOUBLE)`
}
