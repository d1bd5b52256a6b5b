import { fieldsOf, itemOf } from './nestedType.ts'

// Lists as texts in braces and rows in parentheses, as Postgres writes them: {1,NULL,"a b"} and (1,,"a ""b""").

const QUOTED = String.raw`"(?:[^"\\]|\\.)*"`

/**
 * SQL of a DuckDB value of a text in this notation; NULL of NULL. It fails where the text is none of the type: a list of
 * more dimensions than it has, or whose first item is not number 1.
 */
export function fromBraces(text: string, type: string): string {
  const item = itemOf(type)
  const fields = fieldsOf(type)
  if (item !== undefined) return once(text, value => listOf(value, type))
  if (fields) return once(text, value => rowOf(value, fields, type))
  switch (type) {
    case 'VARCHAR':
      return text
    case 'BLOB':
      return `unhex(substr(${text}, 3))`
    case 'INTERVAL':
      // DuckDB knows no plus.
      return `CAST(replace(${text}, '+', '') AS INTERVAL)`
    case 'DATE':
    case 'TIMESTAMP':
    case 'TIMESTAMP WITH TIME ZONE':
      // DuckDB has infinities, too, which Parquet gives back as the last day that it knows.
      return once(
        text,
        value => `CASE WHEN ends_with(${value}, 'infinity') THEN ${refusal(value, type)}
          ELSE CAST(regexp_replace(${value}, '^(\\S+)(.*) BC$', '\\1 (BC)\\2') AS ${type}) END`,
      )
    default:
      return decimalOf(text, type) ?? `CAST(${text} AS ${type})`
  }
}

/**
 * A decimal beyond BIGINT with all digits of its scale: DuckDB casts its digits alone a hundred times faster than the text.
 * Undefined of other types.
 */
function decimalOf(text: string, type: string): string | undefined {
  const [precision, scale] = /^DECIMAL\((\d+),(\d+)\)$/.exec(type)?.slice(1).map(Number) ?? [0, 0]
  if (precision! <= 18 || !scale) return undefined
  return once(
    text,
    value => `CASE WHEN regexp_full_match(${value}, '-?\\d+[.]\\d{${scale}}')
      THEN CAST(CAST(CAST(replace(${value}, '.', '') AS HUGEINT) AS DECIMAL(38,0)) * CAST('0.${'1'.padStart(scale, '0')}' AS DECIMAL(${scale},${scale})) AS ${type})
      ELSE CAST(${value} AS ${type}) END`,
  )
}

let values = 0

/** A name that no lambda around has: nested ones would hide each other's. */
const freshName = () => `_nf_v${values++ % 1000}`

/** Computes a value once for an expression that names it several times. */
function once(text: string, of: (value: string) => string): string {
  const value = freshName()
  return `list_transform([${text}], lambda ${value}: ${of(value)})[1]`
}

const refusal = (value: string, type: string) =>
  `CAST(error(${value} || ' is no ${type.replaceAll("'", "''")}') AS ${type})`

function listOf(value: string, type: string): string {
  const item = itemOf(type)!
  const inner = itemOf(item) !== undefined
  const token = inner ? depthPattern(depthOf(item)) : `${QUOTED}|[^,"{}]*`
  const found = `regexp_extract_all(',' || ${value}[2:-2], ',(${token.replaceAll("'", "''")})', 1, 's')`
  const unquoted = (e: string) =>
    `CASE WHEN ${e} = 'NULL' THEN NULL WHEN ${e}[1] = '"' THEN regexp_replace(${e}[2:-2], '\\\\(.)', '\\1', 'gs') ELSE ${e} END`
  const each = freshName()
  const items = inner
    ? `list_transform(${found}, lambda ${each}: ${listOf(each, item)})`
    : `list_transform(list_transform(${found}, lambda ${each}: ${unquoted(each)}), lambda ${each}: ${fromBraces(each, item)})`
  const opens = '{'.repeat(depthOf(type))
  return `CASE WHEN ${value} IS NULL THEN NULL WHEN ${value} = '{}' THEN CAST([] AS ${type})
    WHEN starts_with(${value}, '${opens}') AND NOT starts_with(${value}, '${opens}{') THEN CAST(${items} AS ${type}) ELSE ${refusal(value, type)} END`
}

const depthOf = (type: string): number => {
  const item = itemOf(type)
  return item === undefined ? 0 : 1 + depthOf(item)
}

/** A list of lists, by its braces. */
const depthPattern = (depth: number): string =>
  depth === 1 ? String.raw`\{(?:[^{}"]|${QUOTED})*\}` : String.raw`\{(?:[^{}"]|${depthPattern(depth - 1)})*\}`

function rowOf(value: string, fields: { quoted: string; type: string }[], type: string): string {
  const each = freshName()
  const found = `regexp_extract_all(',' || ${value}[2:-2], ',("(?:[^"]|"")*"|[^,"]*)', 1, 's')`
  const texts = `list_transform(${found}, lambda ${each}: CASE WHEN ${each} = '' THEN NULL WHEN ${each}[1] = '"'
    THEN replace(replace(${each}[2:-2], '""', '"'), '\\\\', '\\') ELSE ${each} END)`
  const made = (row: string) =>
    fields.map((field, index) => `${field.quoted} := ${fromBraces(`${row}[${index + 1}]`, field.type)}`)
  const read = once(
    texts,
    row =>
      `CAST(CASE WHEN len(${row}) = ${fields.length} THEN struct_pack(${made(row).join(', ')}) ELSE ${refusal(value, type)} END AS ${type})`,
  )
  return `CASE WHEN ${value} IS NULL THEN NULL ELSE ${read} END`
}

/** SQL of a list of no lists as such a text; `type`: the list's. */
export function bracesText(list: string, type: string): string {
  const item = textOf('_nf_e', itemOf(type)!)
  const quoted = `'"' || replace(replace(${item}, '\\', '\\\\'), '"', '\\"') || '"'`
  const items = `list_transform(${list}, lambda _nf_e: CASE WHEN _nf_e IS NULL THEN 'NULL' ELSE ${quoted} END)`
  return `CASE WHEN ${list} IS NULL THEN NULL ELSE '{' || coalesce(list_aggregate(${items}, 'string_agg', ','), '') || '}' END`
}

function textOf(item: string, type: string): string {
  if (type === 'BLOB') return `'\\x' || hex(${item})`
  const text = `CAST(${item} AS VARCHAR)`
  return /^(DATE|TIMESTAMP)/.test(type)
    ? `regexp_replace(${text}, '^(\\S+) \\(BC\\)(.*)$', '\\1\\2 BC')`
    : text
}
