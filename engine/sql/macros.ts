import type { Duck } from './duckdb.ts'
import { type Fault, SqlInvalid } from './faults.ts'
import { type Mention, type Query, queryOf, type SqlFile, treeOf } from './parse.ts'
import { type Place, placeOf, statementsOf, tokensOf } from './text.ts'

/** One CREATE MACRO, and what its body mentions. */
export interface Macro extends SqlFile {
  name: string
  place: Place
  mentions: Pick<Query, 'tables' | 'functions' | 'tableFunctions' | 'volatile'>
}

const HEAD =
  /^CREATE\s+(?:OR\s+REPLACE\s+)?(?:TEMP(?:ORARY)?\s+)?(?:MACRO|FUNCTION)\s+(?:IF\s+NOT\s+EXISTS\s+)?("(?:[^"]|"")*"|[^\s(".]+)\s*\(/iu

/** The macros of a file. Fails with MODEL_INVALID and every statement that is none, or not DuckDB's SQL. */
export async function macrosOf(duck: Duck, { file, sql }: SqlFile): Promise<Macro[]> {
  const faults: Fault[] = []
  const macros: Macro[] = []
  for (const { start, text } of statementsOf(sql)) {
    const head = HEAD.exec(text)
    if (!head) {
      const message = 'a file of macros holds CREATE MACRO statements only'
      faults.push({ file, place: placeOf(sql, start), message })
      continue
    }
    const name = head[1]!.startsWith('"') ? head[1]!.slice(1, -1).replaceAll('""', '"') : head[1]!
    const macro: Macro = {
      name,
      file,
      sql: text,
      whole: { sql, start },
      place: placeOf(sql, start),
      mentions: { tables: [], functions: [], tableFunctions: [], volatile: [] },
    }
    for (const body of bodiesOf(text)) {
      const prefix = body.table ? '' : 'SELECT '
      const parsed = await treeOf(duck, prefix + body.text)
      const from = start + body.start - prefix.length
      if ('message' in parsed) {
        const at = parsed.at === undefined ? start : Math.min(from + parsed.at, start + text.length)
        const ends = sql[start + text.length] === ';' ? 'at or near ";"' : 'at end of input'
        const message = parsed.message.replace('at end of input', ends)
        faults.push({ file, place: placeOf(sql, at), message })
        continue
      }
      const query = queryOf(prefix + body.text, parsed.tree)
      for (const kind of ['tables', 'functions', 'tableFunctions', 'volatile'] as const)
        macro.mentions[kind].push(...query[kind].map(mention => moved(mention, from)))
    }
    macros.push(macro)
  }
  if (faults.length > 0) throw new SqlInvalid(faults)
  return macros
}

const moved = ({ name, at }: Mention, from: number): Mention => ({
  name,
  ...(at !== undefined && { at: at + from }),
})

/** The bodies of a macro's overloads: `(x) AS x + 1, (x, y) AS x + y`; `table` for a query. */
function bodiesOf(statement: string): { start: number; text: string; table: boolean }[] {
  const tokens = [...tokensOf(statement)]
  const word = (index: number) => tokens[index]?.text.toUpperCase()
  /** The token after the bracket that closes the one at `index`. */
  const past = (index: number) => {
    let depth = 0
    for (let at = index; at < tokens.length; at++) {
      if (word(at) === '(') depth++
      if (word(at) === ')' && --depth === 0) return at + 1
    }
    return tokens.length
  }
  const bodies: { start: number; text: string; table: boolean }[] = []
  let open = tokens.findIndex(({ text }) => text === '(')
  while (open >= 0 && open < tokens.length) {
    const as = past(open)
    const table = word(as + 1) === 'TABLE'
    const first = as + (table ? 2 : 1)
    let end = first
    for (let depth = 0; end < tokens.length; end++) {
      if ('([{'.includes(word(end)!)) depth++
      else if (')]}'.includes(word(end)!)) depth--
      else if (depth === 0 && word(end) === ',' && word(end + 1) === '(') {
        const next = past(end + 1)
        if (word(next) === 'AS' && (!table || word(next + 1) === 'TABLE')) break
      }
    }
    const from = tokens[first]?.start ?? statement.length
    bodies.push({ start: from, text: statement.slice(from, tokens[end]?.start), table })
    open = end < tokens.length ? end + 1 : -1
  }
  return bodies
}
