import { ownWord } from './dialect.ts'
import { quoteName, type SqlError } from './duckdb.ts'
import { characterOf } from './locate.ts'
import { tokensOf } from './text.ts'

/** A query in which what is not there was put aside, so that what else is not there can be found. */
export interface Repaired {
  sql: string
  /** What was put aside: `nte` of `o.nte`. */
  name: string
  /** The character of the text before that one of this text stands for. */
  back(at: number): number
}

const NAME = /^(?:[\p{L}_][\p{L}\p{N}_$]*|"(?:[^"]|"")+")$/u
/** What belongs to a call, behind its brackets. */
const CALLED = /^(OVER|FILTER|WITHIN|IGNORE|RESPECT)$/i

/** The query with NULL in place of a column or a function's call that is not there; undefined where it is something else that is wrong. */
export function withoutMissing(sql: string, error: SqlError): Repaired | undefined {
  const place = characterOf(sql, error)
  const tokens = [...tokensOf(sql)]
  const at = tokens.findIndex(({ start }) => start === place)
  if (at < 0 || !NAME.test(tokens[at]!.text)) return undefined
  const edits = /function/.test(error.missing?.kind ?? '')
    ? callEdits(tokens, at)
    : isColumn(error)
      ? columnEdits(tokens, at)
      : undefined
  return edits && edited(sql, edits)
}

const isColumn = ({ missing, text }: SqlError) =>
  missing?.kind === 'column' || /^Referenced table .* not found|does not have a column named/.test(text)

interface Edit {
  start: number
  end: number
  text: string
  name?: string
}
type Tokens = { start: number; text: string }[]

const endOf = ({ start, text }: Tokens[number]) => start + text.length

function columnEdits(tokens: Tokens, at: number): Edit[] | undefined {
  const isPart = (index: number) => NAME.test(tokens[index]?.text ?? '')
  let [from, to] = [at, at]
  while (tokens[from - 1]?.text === '.' && isPart(from - 2)) from -= 2
  while (tokens[to + 1]?.text === '.' && isPart(to + 2)) to += 2
  const [before, after] = [tokens[from - 1]?.text ?? '', tokens[to + 1]?.text ?? '']
  if (after === '.' || after === '(') return undefined
  const name = tokens[to]!.text.replace(/^"(.*)"$/s, '$1').replaceAll('""', '"')
  // A column of the result goes on having its name.
  const isOutput = /^(SELECT|DISTINCT|,)$/i.test(before) && /^(,|FROM|\)|;|)$/i.test(after)
  const text = isOutput ? `NULL AS ${quoteName(name)}` : 'NULL'
  return [{ start: tokens[from]!.start, end: endOf(tokens[to]!), text, name }]
}

/** What it is called with is bound all the same. */
function callEdits(tokens: Tokens, at: number): Edit[] | undefined {
  let depth = 0
  const close = tokens.findIndex(({ text }, index) => {
    if (index <= at) return false
    if (text === '(') depth++
    return text === ')' && --depth === 0
  })
  if (close < 0 || tokens[at + 1]?.text !== '(' || CALLED.test(tokens[close + 1]?.text ?? ''))
    return undefined
  const [{ start, text: name }, open, end] = [tokens[at]!, tokens[at + 1]!, tokens[close]!]
  // Another database's function has what is a type or a unit there for an argument.
  if (close === at + 2 || ownWord(name)) return [{ start, end: endOf(end), text: 'NULL', name }]
  return [
    { start, end: open.start, text: '(CASE WHEN row', name },
    { start: endOf(end), end: endOf(end), text: ' IS NULL THEN NULL END)' },
  ]
}

function edited(sql: string, edits: Edit[]): Repaired {
  let text = sql
  for (const { start, end, text: own } of edits.toReversed())
    text = text.slice(0, start) + own + text.slice(end)
  const back = (at: number) => {
    let shift = 0
    for (const { start, end, text: own } of edits) {
      if (at < start + shift) break
      if (at < start + shift + own.length) return start
      shift += own.length - (end - start)
    }
    return at - shift
  }
  return { sql: text, name: edits[0]!.name!, back }
}
