import { EngineError } from '../errors.ts'
import { didYouMean } from '../nearest.ts'
import type { Described } from './checkColumns.ts'
import { givenHint, ownType, ownWord, typesHint, windowHint } from './dialect.ts'
import { SqlError } from './duckdb.ts'
import { type Fault, faultText } from './faults.ts'
import { isGenerated, type Query, type SqlFile } from './parse.ts'
import { tablesAt } from './selects.ts'
import { charactersIn, placeOf, stripped, tokensOf } from './text.ts'

/** What is wrong with a file, by the failure of a statement that its text is part of; `back` gives a character of the file for one of that text. */
export function faultOf(
  { file, sql, whole = { sql, start: 0 } }: SqlFile,
  error: SqlError,
  back = (at: number) => at,
): Fault {
  const at = isGenerated(file)
    ? undefined
    : (aliasInWhere(sql, error) ?? characterOf(sql, error) ?? guessed(sql, error))
  const said = wording(error)
  const { missing } = error
  // A name in double quotes that is not there was meant to be a text.
  const isText = at !== undefined && sql[at] === '"' && missing?.kind === 'column' && said.hint
  return {
    file,
    ...(at !== undefined && { place: placeOf(whole.sql, whole.start + back(at)) }),
    ...said,
    ...(isText && { hint: `A text stands in single quotes: '${missing.name}'. ${said.hint}` }),
  }
}

/** The same of a query whose tables' columns are known: of a column that is not there, all that it could have been. */
export function whollyWorded(
  {
    source,
    sql,
    back,
    query,
    columns,
  }: {
    source: SqlFile
    sql: string
    back: (at: number) => number
    query: Query
    columns: ReadonlyMap<string, Described[]>
  },
  error: SqlError,
): Fault {
  const fault = faultOf({ ...source, sql, whole: { sql: source.sql, start: 0 } }, error, back)
  const ungrouped = /^column (\S+) must appear in the GROUP BY/.exec(error.text)?.[1]?.replaceAll('"', '')
  if (ungrouped !== undefined && query.tables.every(table => columns.has(table.name))) {
    const all = query.tables.flatMap(table => columns.get(table.name)!.map(column => column.name))
    const names = [...all, ...query.outputs.map(output => output.name)]
    if (!names.some(name => name.toLowerCase() === ungrouped.toLowerCase()))
      return {
        ...fault,
        message: `there is no column ${ungrouped}${didYouMean(ungrouped, names)}`,
        hint: `There are: ${[...new Set(names)].join(', ')}.`,
      }
  }
  const at = characterOf(sql, error)
  const { message, name } = wanted(error) ?? {}
  const sides = name !== undefined && at !== undefined && tablesAt(query.tree, source.sql, back(at), columns)
  if (name === undefined || !sides) return fault
  const alias = /^(?:Table|Values list) "(.+?)" does not/.exec(error.text)?.[1]?.toLowerCase()
  const meant = sides.filter(side => alias === undefined || side.alias === alias)
  const isTable = /^Referenced table/.test(error.text)
  const names = isTable
    ? sides.map(side => side.alias)
    : meant.flatMap(({ table }) => columns.get(table)!.map(column => column.name))
  const lists = isTable
    ? [`FROM has ${names.join(', ')}`]
    : meant.map(
        ({ table }) =>
          `${table} has ${columns
            .get(table)!
            .map(column => column.name)
            .join(', ')}`,
      )
  const given = isTable ? undefined : givenHint(sql, at as number, name)
  if (given) return { ...fault, message: message!, hint: given }
  const near = didYouMean(name, names)
  const isText = sql[at as number] === '"' && !isTable
  const hint = `${isText ? `A text stands in single quotes: '${name}'. ` : ''}${lists.join('; ')}.`
  const { hint: _, ...rest } = fault
  return { ...rest, message: message + near, ...((!near || isText) && names.length > 0 && { hint }) }
}

/** What an error says is not there, without what it suggests. */
function wanted({ missing, text }: SqlError): { message: string; name: string } | undefined {
  const message = text
    .split('\n')[0]!
    .replace(/!$/, '')
    .replace(/^Values list /, 'Table ')
  if (missing?.kind === 'column') return { message, name: missing.name }
  const name =
    /does not have a column named "(.+?)"/.exec(text)?.[1] ?? /^Referenced table "(.+?)"/.exec(text)?.[1]
  return name === undefined ? undefined : { message, name }
}

/** Names that DuckDB suggests for one that is not there. */
export const candidatesOf = ({ missing, text }: SqlError): string[] => {
  const listed = /\nCandidate (?:tables|bindings): :? ?(.*)/s.exec(text)?.[1] ?? ''
  const names = missing?.candidates ?? [...listed.matchAll(/"([^"]+)"/g)].map(match => match[1]!)
  return names.map(name => name.replace(/^.*\./, '').replaceAll('"', ''))
}

/** Where WHERE names what the SELECT computes, which is where DuckDB sees the failure. */
function aliasInWhere(sql: string, error: SqlError): number | undefined {
  const at = /^WHERE clause cannot contain/.test(error.text) ? characterOf(sql, error) : undefined
  const tokens = [...tokensOf(sql)]
  const from = tokens.findIndex(({ start }) => at !== undefined && start >= at)
  const where = tokens.findIndex(({ text }, index) => index > from && /^WHERE$/i.test(text))
  if (at === undefined || from < 0 || where < 0) return undefined
  const names = tokens.slice(from, where).map(({ text }) => text.toLowerCase())
  return tokens
    .slice(where + 1)
    .find(({ text }) => names.includes(text.toLowerCase()) && /^[\p{L}_]/u.test(text))?.start
}

/** Where a failure is that says no place: at the literal that it quotes, or the second of two queries that do not go together. */
function guessed(sql: string, { statement, text }: SqlError): number | undefined {
  if (!statement.includes(stripped(sql))) return undefined
  const tokens = [...tokensOf(sql)]
  const quoted = tokens.find(token => {
    const inside = /^'(..+)'$/s.exec(token.text)?.[1]
    return inside !== undefined && (text.includes(`"${inside}"`) || text.endsWith(inside))
  })
  if (quoted) return quoted.start
  const keyword = KEYWORDS.find(([pattern]) => pattern.test(text))?.[1]
  if (keyword) return tokens.find(token => keyword.test(token.text))?.start
  const name = NAMED.exec(text)?.slice(1).find(Boolean)
  const named = tokens.filter(
    token => token.text.replace(/^"(.*)"$/s, '$1').toLowerCase() === name?.toLowerCase(),
  )
  // Of several, the last: what is wrong with a clause stands behind what is selected.
  return named.at(-1)?.start ?? tokens[0]?.start
}

/** What a message without a place is about. */
const KEYWORDS: [message: RegExp, word: RegExp][] = [
  [/^Set operations/, /^(UNION|EXCEPT|INTERSECT)$/i],
  [/^GROUP BY/, /^GROUP$/i],
  [/^ORDER/, /^ORDER$/i],
  [/^DECIMAL/, /^(DECIMAL|NUMERIC)$/i],
]
const NAMED = /"([^"]+)"|'([^']+)'|^column (\S+) must/

/** Where in a file's text a statement failed that holds it; undefined where it failed elsewhere, or nowhere. */
export function characterOf(sql: string, { statement, position }: SqlError): number | undefined {
  const text = stripped(sql)
  const start = statement.indexOf(text)
  if (start < 0 || position === undefined) return undefined
  const at = charactersIn(statement, position) - start
  return at >= 0 && at < text.length ? at : undefined
}

/** Types that are tried for one that is not there and has none near that DuckDB names. */
const TYPES =
  'BIGINT BOOLEAN DATE DECIMAL DOUBLE FLOAT HUGEINT INTEGER INTERVAL NUMERIC SMALLINT TEXT TIME TIMESTAMP TIMESTAMPTZ UUID VARCHAR'.split(
    ' ',
  )

/** DuckDB's names of operators, as they are written. */
const OPERATORS: Record<string, string> = {
  '~~': 'LIKE',
  '!~~': 'NOT LIKE',
  '~~*': 'ILIKE',
  '!~~*': 'NOT ILIKE',
}

/** Of what DuckDB names: it names a few of them only. */
const among = (names: string[]) => `Among others, there are: ${names.join(', ')}.`

function wording({ text, missing, hint: means }: SqlError): { message: string; hint?: string } {
  const [first = '', ...more] = text.split('\n').filter(line => line.trim() !== '' && !line.includes('SET '))
  const message = first
    .replace(/!$/, '')
    .replace(/^Values list (?=")/, 'Table ')
    .replace(' when casting from source column ', ' in column ')
    .replace(/(?<=')!?~~\*?(?=\()/, operator => OPERATORS[operator]!)
  if (means) return { message, hint: means }
  if (missing) {
    const own = missing.kind === 'type' ? ownType(missing.name) : ownWord(missing.name)
    const windowed = missing.kind === 'type' ? undefined : windowHint(missing.name)
    if (windowed) return { message, hint: windowed }
    if (typeof own === 'string') return { message, hint: `DuckDB's SQL says ${own}.` }
    const given = missing.candidates.map(name => name.replace(/^.*\./, '').replaceAll('"', ''))
    const names = missing.kind === 'type' ? [...given, ...TYPES] : given
    const near = didYouMean(missing.name, names)
    if (!near && missing.kind === 'type')
      return { message, hint: `There are: ${TYPES.join(', ')} and others.` }
    return near || given.length === 0 || missing.kind !== 'column'
      ? { message: message + near }
      : { message, hint: among(missing.candidates) }
  }
  const [, name, listed] = /"([^"]+)"[^"]*\nCandidate (?:tables|bindings): :? ?(.*)/s.exec(text) ?? []
  if (name !== undefined) {
    const wanted = /named "([^"]+)"/.exec(first)?.[1] ?? name
    const names = [...listed!.matchAll(/"([^"]+)"/g)].map(match => match[1]!.replace(/^.*\./, ''))
    const near = didYouMean(wanted, names)
    return near ? { message: message + near } : { message, hint: among(names) }
  }
  const clause = /^WHERE clause cannot contain (aggregates|window functions)/.exec(first)?.[1]
  if (clause === 'aggregates')
    return {
      message,
      hint: 'WHERE looks at rows before they are grouped: write the condition in HAVING, behind GROUP BY.',
    }
  if (clause)
    return {
      message,
      hint: 'WHERE looks at rows before windows are computed: write the condition in QUALIFY, behind FROM … WHERE.',
    }
  const instead = typesHint(first)
  if (instead) return { message, hint: instead }
  if (more.length === 0) return { message }
  const caret = more.findIndex(line => line.trim() === '^')
  if (caret > 0) {
    const at = more[caret]!.indexOf('^') - more[caret - 1]!.search(/\S/) + 1
    return { message, hint: `The text is of another form from its character ${at} on.` }
  }
  const [, macro] = /^Macro (\w+)\(.*does not support the supplied arguments/.exec(first) ?? []
  if (macro) {
    const forms = more.map(line => line.trim()).filter(line => line.startsWith(`${macro}(`))
    return {
      message: `${macro} is called with other arguments than it takes`,
      hint: `It takes: ${forms.join('; ')}.`,
    }
  }
  const lines = more
    .map(line => line.trim().replace(/^!?~~\*?(?=\()/, operator => OPERATORS[operator]!))
    .filter(line => line !== 'Candidate functions:')
  const takes = lines.length < more.length ? 'It takes: ' : ''
  if (takes && lines.length > 1 && /\bVARCHAR\b/.test(first) && !lines.some(line => line.includes('VARCHAR')))
    return {
      message,
      hint: lines.every(line => /DATE|TIME|INTERVAL/.test(line))
        ? 'A text is no date: TRY_CAST(… AS DATE), or strptime(text, format), makes one of it.'
        : 'A text is no number: TRY_CAST(… AS DECIMAL(18,2)) makes one of it, or NULL.',
    }
  const hint = takes + lines.slice(0, MAX_HINT_LINES).join('; ')
  return { message, hint: lines.length > MAX_HINT_LINES ? `${hint}; …` : hint }
}

const MAX_HINT_LINES = 5

/** Does what a file's text is part of; a failure names the file, and its line where it has one. */
export async function inFile<T>(source: SqlFile, act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (cause) {
    if (cause instanceof SqlError) {
      const fault = faultOf(source, cause)
      throw new EngineError(cause.code, faultText(fault, true), { cause, hint: fault.hint })
    }
    if (!(cause instanceof EngineError) || cause.message.startsWith(source.file)) throw cause
    throw new EngineError(cause.code, `${source.file}: ${cause.message}`, { cause, hint: cause.hint })
  }
}
