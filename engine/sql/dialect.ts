import { ownValue } from '../ownValue.ts'
import type { Fault } from './faults.ts'
import { placeOf, type StatementText, tokensOf } from './text.ts'

/** What other databases call a function, and how DuckDB's SQL says it. */
const FUNCTIONS: Record<string, string> = {
  nvl: 'coalesce(a, b)',
  isnull: 'coalesce(a, b), or a IS NULL',
  getdate: "getvariable('run_at')",
  sysdate: "getvariable('run_at')",
  to_date: "strptime(text, '%Y-%m-%d')::DATE",
  str_to_date: 'strptime(text, format)',
  to_char: 'strftime(time, format)',
  date_format: 'strftime(time, format)',
  dateadd: 'time + INTERVAL 1 DAY',
  to_number: 'TRY_CAST(text AS DECIMAL(18,2))',
  safe_cast: 'TRY_CAST(a AS type)',
  convert: 'CAST(a AS type)',
  decode: 'CASE a WHEN b THEN c ELSE d END',
  iif: 'if(condition, a, b)',
  charindex: 'strpos(text, part)',
  substring_index: 'split_part(text, separator, index)',
  datalength: 'octet_length(a)',
  newid: 'md5(…) of columns that identify the row',
  parse_date: 'strptime(text, format)::DATE',
  json_value: "json ->> '$.key'",
  parse_json: 'CAST(text AS JSON)',
  iff: 'if(condition, a, b)',
  nvl2: 'if(a IS NOT NULL, b, c)',
  zeroifnull: 'coalesce(a, 0)',
  ifnan: 'if(isnan(a), b, a)',
  eomonth: 'last_day(date)',
  getutcdate: "getvariable('run_at')",
  sysdatetime: "getvariable('run_at')",
  sysutcdatetime: "getvariable('run_at')",
  curdate: "getvariable('run_at')::DATE",
  try_convert: 'TRY_CAST(a AS type)',
  try_to_number: 'TRY_CAST(text AS DECIMAL(18,2))',
  try_to_date: "try_strptime(text, '%Y-%m-%d')::DATE",
  to_varchar: 'CAST(a AS VARCHAR), or strftime(time, format)',
  to_timestamp_ntz: "strptime(text, '%Y-%m-%d %H:%M:%S')",
  format_date: "strftime(time, '%Y-%m-%d')",
  format_timestamp: "strftime(time, '%Y-%m-%d')",
  parse_timestamp: 'strptime(text, format)',
  timestamp_trunc: "date_trunc('month', time)",
  timestampdiff: "date_diff('day', from, until)",
  timestamp_diff: "date_diff('day', from, until)",
  adddate: 'time + INTERVAL 1 DAY',
  subdate: 'time - INTERVAL 1 DAY',
  add_months: 'time + INTERVAL 1 MONTH',
  safe_divide: 'a / nullif(b, 0)',
  div0: 'coalesce(a / nullif(b, 0), 0)',
  countif: 'count_if(condition)',
  sumif: 'sum(a) FILTER (WHERE condition)',
  countifs: 'count(*) FILTER (WHERE condition)',
  averageif: 'avg(a) FILTER (WHERE condition)',
  iferror: 'TRY(a), or coalesce(TRY(a), b)',
  vlookup: 'LEFT JOIN other USING (key)',
  xlookup: 'LEFT JOIN other USING (key)',
  stuff: 'substr(text, …) || …',
  replicate: 'repeat(text, count)',
  regexp_like: 'regexp_matches(text, pattern)',
  regexp_contains: 'regexp_matches(text, pattern)',
  regexp_substr: 'regexp_extract(text, pattern)',
  rlike: 'regexp_matches(text, pattern)',
  generate_date_array: "generate_series(DATE '2026-01-01', DATE '2026-12-31', INTERVAL 1 DAY)",
  object_construct: "json_object('key', a)",
  array_size: 'len(list)',
  farm_fingerprint: 'hash(a)',
  sha2: 'sha256(text)',
  generate_uuid: 'md5(…) of columns that identify the row',
  rand: 'hash(key), for an order that is the same each time',
  unix_timestamp: 'epoch(time)',
  to_unix_timestamp: 'epoch(time)',
  from_unixtime: 'to_timestamp(seconds)',
  struct: "{'a': a, 'b': b}",
  datefromparts: 'make_date(year, month, day)',
  find_in_set: "list_position(split(text, ','), value)",
  uuid_string: 'md5(…) of columns that identify the row',
}

/** What other databases call a type, and how DuckDB does. */
const TYPES: Record<string, string> = {
  number: 'DECIMAL(18,2)',
  money: 'DECIMAL(19,4)',
  smallmoney: 'DECIMAL(10,4)',
  bignumeric: 'DECIMAL(38,9)',
  datetime2: 'TIMESTAMP',
  smalldatetime: 'TIMESTAMP',
  datetimeoffset: 'TIMESTAMPTZ',
  timestamp_ntz: 'TIMESTAMP',
  timestamp_ltz: 'TIMESTAMPTZ',
  timestamp_tz: 'TIMESTAMPTZ',
  float64: 'DOUBLE',
  varchar2: 'VARCHAR',
  nvarchar2: 'VARCHAR',
  ntext: 'VARCHAR',
  clob: 'VARCHAR',
  variant: 'JSON',
  object: 'JSON',
  uniqueidentifier: 'UUID',
  unsigned: 'UBIGINT',
  signed: 'BIGINT',
}

/** Functions that are there with OVER only. */
const WINDOWED =
  'cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number'.split(
    ' ',
  )

/** What to write in place of an operator or a function that takes other types; of the message of DuckDB. */
export function typesHint(message: string): string | undefined {
  const [, name, types = ''] = /types '(.+?)\((.*)\)'/.exec(message) ?? []
  const ofTexts = types.split(', ').every(type => /^(VARCHAR|STRING_LITERAL)$/.test(type))
  if (name === '+' && ofTexts) return 'Texts are joined by ||.'
  if (/^[+-]$/.test(name ?? '') && /^TIMESTAMP.*, (\w*INT|INTEGER_LITERAL)/.test(types))
    return 'A time takes an INTERVAL: + INTERVAL 1 DAY.'
  if (/^(invalid|date field|timestamp field).*(date|timestamp)/.test(message))
    return "A date is written '2024-12-31'; one in another form is strptime(text, '%d/%m/%Y')."
  if (/Cannot compare values of type (DATE|TIMESTAMP).* and type (DOUBLE|INTEGER)/.test(message))
    return "A date stands in quotes: DATE '2024-12-31'."
  const sign = { date_sub: '-', date_add: '+' }[name ?? '']
  if (sign && types.includes('INTERVAL')) return `Write time ${sign} INTERVAL 1 DAY.`
  if (name === 'format' && /^(DATE|TIMESTAMP)/.test(types))
    return "A time is written by strftime(time, '%Y-%m')."
  if (/^(LIKE|~~)$/.test(name ?? '') && /^(DATE|TIMESTAMP)/.test(types))
    return "A time is no text: write year(time) = 2026, or time >= '2026-01-01' AND time < '2027-01-01'."
  if (/^Wrong number of arguments to IF/.test(message)) return 'Write if(condition, a, b).'
  if (name === '<=>') return "DuckDB's SQL says IS NOT DISTINCT FROM."
  if (/^SELECT INTO/.test(message)) return "A model's table has the name of its file: take INTO out."
  if (name === '&&' && types.includes('BOOLEAN')) return "DuckDB's SQL says AND."
  if (name === 'datediff' || name === 'date_diff')
    return "It takes a unit first: date_diff('day', from, until)."
  return undefined
}

/** How a function that is there with OVER only is called. */
export const windowHint = (name: string): string | undefined =>
  WINDOWED.includes(name.toLowerCase())
    ? `It is a window function: ${name.toLowerCase()}(…) OVER (ORDER BY …).`
    : undefined

/** How DuckDB's SQL says what a function of another database does. */
export const ownWord = (name: string): string | undefined => ownValue(FUNCTIONS, name.toLowerCase())

/** What a type of another database is to DuckDB. */
export const ownType = (name: string): string | undefined => ownValue(TYPES, name.toLowerCase())

const SIGNS: [sign: RegExp, message: string, hint: string][] = [
  [/^`$/, 'names are not quoted with `', 'Write "name" in double quotes, or without any.'],
  [/^[–—−]/, 'a dash of a word processor is no minus', 'Write -; a comment begins with --.'],
  [/^[“”„‘’]/, 'typographic quotes are no quotes of SQL', `Write 'text' or "name".`],
]

/** What an orchestrator's templates call the time of a run. */
const TIME =
  /^(ds|ts|ds_nodash|execution_date|logical_date|data_interval_(start|end)|run_started_at|run_date)$/

/** How a value from outside is written in place of a template's sign; `inner`: what stands in its brackets. */
export function givenAs(inner: string): string {
  const name =
    /^\w+$/.exec(inner)?.[0] ??
    /^(?:env_)?var\(\s*['"](\w+)['"]/.exec(inner)?.[1] ??
    /^params\.(\w+)$/.exec(inner)?.[1]
  if (name !== undefined && TIME.test(name)) return `Write getvariable('run_at'), the time of the run.`
  const own = name ?? 'name'
  return `Write getvariable('${own}') without quotes, with vars: { ${own}: … } in job.yaml.`
}

/** What was meant by a name that is no column: a value from outside, or the part of a time that a function is told. */
export function givenHint(sql: string, at: number, name: string): string | undefined {
  if (sql[at - 1] === '@') return givenAs(name)
  const [, called] =
    /\b(date_part|date_trunc|date_diff|datediff|date_sub)\s*\(\s*$/i.exec(sql.slice(0, at)) ?? []
  return called && `The part of a time stands in quotes: ${called}('${name}', …).`
}

/** What is written in place of a template's sign, of dbt's for the most part. */
function templateHint(rest: string): string {
  const [, inner = ''] = /^\{[{%]-?\s*(.*?)\s*-?[}%]\}/s.exec(rest) ?? []
  const [, named] = /^(?:ref|source)\((?:\s*['"]\w+['"]\s*,)?\s*['"](\w+)['"]\s*\)$/.exec(inner) ?? []
  if (named !== undefined) return `Write ${named}; its place in the order follows from that.`
  if (/^config\(/.test(inner))
    return 'Take it away; what SQL cannot say stands in a comment at the top: -- @materialised table'
  if (inner === 'this' || /is_incremental\(/.test(inner))
    return 'Write the whole query; -- @materialised incremental by TABLE.COLUMN computes what changed alone.'
  if (/^(var|env_var)\(|^params\.|^\w+$/.test(inner)) return givenAs(inner)
  return 'Write the SQL that it would give; a macro is CREATE MACRO in a file of ../macros.'
}

/** What is of another language: template signs, quotes of other databases or of word processors. */
export function foreign(file: string, sql: string): Fault | undefined {
  const tokens = [...tokensOf(sql)]
  for (const [index, { start }] of tokens.entries()) {
    const found = foreignAt(sql, tokens, index)
    if (found) return { file, place: placeOf(sql, start), ...found }
  }
  return undefined
}

/** What makes one token a word of another language, and what to write in its place. */
function foreignAt(
  sql: string,
  tokens: readonly StatementText[],
  index: number,
): Pick<Fault, 'message' | 'hint'> | undefined {
  const { start, text } = tokens[index]!
  const sign = SIGNS.find(([pattern]) => pattern.test(text))
  if (sign) return { message: sign[1], hint: sign[2] }
  const next = tokens[index + 1]
  if (text === '{' && (next?.text === '{' || next?.text === '%') && next.start === start + 1)
    return {
      message: 'a model is plain SQL, without templates',
      hint: templateHint(sql.slice(start)),
    }
  const [, given] = /^\$\{\s*(\w+)\s*\}/.exec(sql.slice(start, start + 100)) ?? []
  if (given !== undefined)
    return { message: `nothing is put in the place of \${${given}}`, hint: givenAs(given) }
  if (/^go$/i.test(text) && next === undefined && /\n\s*$/.test(sql.slice(0, start)))
    return {
      message: 'GO is no SQL: here it is a name',
      hint: 'Take it away: a file is one SELECT.',
    }
  if (index === 0 && /^(declare|set|use|go|exec|execute|begin)$/i.test(text))
    return {
      message: 'a file is one SELECT, and nothing else',
      hint: "A value from outside is getvariable('name'), with vars: { name: … } in job.yaml.",
    }
  if (/^except$/i.test(text) && tokens[index - 1]?.text === '*' && next?.text === '(')
    return {
      message: '* without some columns is * EXCLUDE (…)',
      hint: 'Write EXCLUDE in place of EXCEPT.',
    }
  if (/^minus$/i.test(text) && /^(select|all)$/i.test(next?.text ?? ''))
    return { message: "MINUS is no word of DuckDB's", hint: 'Write EXCEPT.' }
  const [, skipped, most] = /^LIMIT\s+(\d+)\s*,\s*(\d+)/i.exec(sql.slice(start)) ?? []
  if (skipped !== undefined)
    return { message: 'LIMIT takes one number', hint: `Write LIMIT ${most} OFFSET ${skipped}.` }
  if (/^top$/i.test(text) && /^select$/i.test(tokens[index - 1]?.text ?? '') && /^\d/.test(next?.text ?? ''))
    return { message: "TOP is no word of DuckDB's", hint: 'Write ORDER BY … LIMIT … at the end.' }
  return undefined
}
