import type { Fault } from './faults.ts'
import { placeOf, tokensOf } from './text.ts'

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
export const ownWord = (name: string): string | undefined => FUNCTIONS[name.toLowerCase()]

const SIGNS: [sign: RegExp, message: string, hint: string][] = [
  [/^`$/, 'names are not quoted with `', 'Write "name" in double quotes, or without any.'],
  [/^[–—−]/, 'a dash of a word processor is no minus', 'Write -; a comment begins with --.'],
  [/^[“”„‘’]/, 'typographic quotes are no quotes of SQL', `Write 'text' or "name".`],
]

/** What is of another language: template signs, quotes of other databases or of word processors. */
export function foreign(file: string, sql: string): Fault | undefined {
  const tokens = [...tokensOf(sql)]
  for (const [index, { start, text }] of tokens.entries()) {
    const at = { file, place: placeOf(sql, start) }
    const sign = SIGNS.find(([pattern]) => pattern.test(text))
    if (sign) return { ...at, message: sign[1], hint: sign[2] }
    const next = tokens[index + 1]
    if (text === '{' && (next?.text === '{' || next?.text === '%') && next.start === start + 1)
      return {
        ...at,
        message: 'a model is plain SQL, without templates',
        hint: 'Write the name of the table itself; its place in the order follows from that.',
      }
    const [, skipped, most] = /^LIMIT\s+(\d+)\s*,\s*(\d+)/i.exec(sql.slice(start)) ?? []
    if (skipped !== undefined)
      return { ...at, message: 'LIMIT takes one number', hint: `Write LIMIT ${most} OFFSET ${skipped}.` }
    if (
      /^top$/i.test(text) &&
      /^select$/i.test(tokens[index - 1]?.text ?? '') &&
      /^\d/.test(next?.text ?? '')
    )
      return { ...at, message: "TOP is no word of DuckDB's", hint: 'Write ORDER BY … LIMIT … at the end.' }
  }
  return undefined
}
