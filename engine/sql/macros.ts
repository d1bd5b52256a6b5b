import type { Duck } from './duckdb.ts'
import { type Fault, SqlInvalid } from './faults.ts'
import { type Mention, nodeOf, type Query, queryOf, type SqlFile, type SqlNode, treeOf } from './parse.ts'
import { nameIn, type Place, placeOf, statementsOf, tokensOf } from './text.ts'

/** One of a macro's overloads. */
export interface MacroBody {
  parameters: { name: string; fallback?: SqlNode }[]
  /** The query's node; where the macro is an expression, of a SELECT of that alone. */
  node: SqlNode
}

/** One CREATE MACRO, and what its body mentions. */
export interface Macro extends SqlFile {
  name: string
  place: Place
  bodies: MacroBody[]
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
    const name = nameIn(head[1]!)
    const macro: Macro = {
      name,
      file,
      sql: text,
      whole: { sql, start },
      place: placeOf(sql, start),
      bodies: [],
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
      const { parameters, queries } = await parametersOf(duck, body.parameters)
      macro.bodies.push({ parameters, node: nodeOf(parsed.tree) })
      const query = queryOf(prefix + body.text, parsed.tree)
      for (const kind of ['tables', 'functions', 'tableFunctions', 'volatile'] as const) {
        macro.mentions[kind].push(...query[kind].map(mention => moved(mention, from)))
        // Where a default stands within its statement is not kept.
        macro.mentions[kind].push(...queries.flatMap(each => each[kind].map(({ name }) => ({ name }))))
      }
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

/** Parameters with what they are where no argument is given, and what that mentions: `a`, `b INTEGER := 1`. */
async function parametersOf(
  duck: Duck,
  texts: string[],
): Promise<{ parameters: MacroBody['parameters']; queries: Query[] }> {
  const queries: Query[] = []
  const parameters: MacroBody['parameters'] = []
  for (const text of texts) {
    const [name, ...rest] = tokensOf(text)
    const after = rest.findIndex(token => token.text === '=')
    const own = name!.text.replace(/^"|"$/g, '')
    const sql = after < 0 ? undefined : `SELECT ${text.slice(rest[after]!.start + 1)}`
    const parsed = sql && (await treeOf(duck, sql))
    if (sql && parsed && !('message' in parsed)) {
      parameters.push({ name: own, fallback: nodeOf(parsed.tree) })
      queries.push(queryOf(sql, parsed.tree))
    } else parameters.push({ name: own })
  }
  return { parameters, queries }
}

/** A macro's overload as it is written. */
interface BodyText {
  parameters: string[]
  start: number
  text: string
  /** It is a query. */
  table: boolean
}

/** The bodies of a macro's overloads: `(x) AS x + 1, (x, y) AS x + y`. */
function bodiesOf(statement: string): BodyText[] {
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
  /** What stands between the commas of the brackets from `open` to before `close`. */
  const listed = (open: number, close: number) => {
    const found: string[] = []
    let from = open + 1
    for (let at = from, depth = 0; at < close; at++) {
      if ('([{'.includes(word(at)!)) depth++
      const isLast = at === close - 1
      if (depth === 0 && (word(at) === ',' || isLast) && at > from)
        found.push(statement.slice(tokens[from]!.start, tokens[at]!.start))
      if (depth === 0 && word(at) === ',') from = at + 1
      if (')]}'.includes(word(at)!)) depth--
    }
    return found
  }
  const bodies: BodyText[] = []
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
    const text = statement.slice(from, tokens[end]?.start)
    bodies.push({ parameters: listed(open, as), start: from, text, table })
    open = end < tokens.length ? end + 1 : -1
  }
  return bodies
}
