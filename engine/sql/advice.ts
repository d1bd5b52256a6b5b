import { fanOuts, type Known } from './fanOut.ts'
import type { Fault } from './faults.ts'
import type { OrderedCheck, SqlGraph } from './model.ts'
import { firstPlace, isGenerated, outputName, type Query, type SqlNode, topOf } from './parse.ts'
import { withPassingCtes } from './passedOn.ts'
import type { Pitfall } from './pitfalls.ts'
import { Select } from './selectAdvice.ts'
import { selectsIn } from './selects.ts'
import { crossedColumns } from './setOperations.ts'
import { charactersIn, placeOf, tokensOf } from './text.ts'

/** What a query does that is allowed, and often gives other rows than were meant. */
export function adviceOf({ models, checks, queries }: SqlGraph, known: Known): Fault[] {
  const found: Fault[] = []
  const byTable = new Map(
    models.flatMap(({ name, file }) => (queries.has(file) ? [[name, queries.get(file)!] as const] : [])),
  )
  for (const source of [...models, ...checks]) {
    const { name, file, sql } = source
    const query = queries.get(file)
    const top = topOf(query?.tree)
    if (!top || isGenerated(file)) continue
    const advise = (node: SqlNode, message: string, hint: string) => {
      const own = node.query_location
      const at = own !== undefined && own <= sql.length * 4 ? own : firstPlace(node)
      found.push({
        file,
        ...(at !== undefined && { place: placeOf(sql, charactersIn(sql, at)) }),
        message,
        hint,
      })
    }
    const isModel = models.some(model => model.file === file)
    const loaded = isModel ? known.loads.filter(({ from }) => from === name) : []
    const star = ((top.select_list as SqlNode[] | undefined) ?? []).find(
      ({ type, columns }) => type === 'STAR' && columns === false,
    )
    if (loaded.length > 0 && star)
      advise(
        star,
        `* hands every column of what it reads to load.${loaded[0]!.table}: a new one in the source is a new one in the table`,
        'List the columns that the table is to have.',
      )
    for (const output of isModel ? ((top.select_list as SqlNode[] | undefined) ?? []) : [])
      if (!output.alias && !['STAR', 'COLUMN_REF'].includes(output.type!))
        advise(
          output,
          'a column without a name has its text for one',
          output.type === 'VALUE_CONSTANT'
            ? 'Write … AS name; was a decimal point meant, in place of a comma?'
            : 'Write … AS name.',
        )
    for (const output of isModel ? textsForColumns(top, known) : [])
      advise(
        output,
        `'${output.alias}' is a text, the same in every row, and not the column ${output.alias}`,
        `Write ${output.alias} without quotes.`,
      )
    for (const [name, at] of unreadCtes(top))
      advise(at, `nobody reads ${name}`, `Take ${name} out of WITH, or read it.`)
    const brackets = distinctBrackets(sql)
    if (brackets !== undefined)
      found.push({
        file,
        place: placeOf(sql, brackets),
        message: 'DISTINCT is of whole rows: its brackets say nothing',
        hint: 'Write DISTINCT ON (…) … ORDER BY …, for one row of each of these values.',
      })
    for (const each of crossedColumns(top)) advise(each.node, each.message, each.hint)
    if (!isModel) for (const each of levelPitfalls(top, query!)) advise(each.node, each.message, each.hint)
    const part = isModel ? undefined : partOfKey(top, (source as OrderedCheck).model, known)
    if (part) advise(part.node, part.message, part.hint)
    const { known: within, passing } = withPassingCtes(top, known)
    for (const select of selectsIn(top)) {
      const judged = isModel ? undefined : (source as OrderedCheck).model
      const follows = !isModel && select.node === top ? 'this check can never fail' : 'no row is found'
      const own = { ...select, known, queries: byTable, sql, judged, follows }
      new Select(own, advise).look()
      const hidden = new Set([...select.ctes].filter(name => !passing.has(name)))
      for (const each of fanOuts(select.node, hidden, within, select.node === top))
        advise(each.node, each.message, each.hint)
    }
  }
  return found
}

/** What a row check names its rows by, where that is of many rows, and it looks at one. */
function partOfKey(top: SqlNode, model: string | undefined, { keys }: Known): Pitfall | undefined {
  const key = keys.get(model ?? '')
  const from = top.from_table as SqlNode | undefined
  const outputs = (top.select_list as SqlNode[] | undefined) ?? []
  const isRowByRow =
    from?.type === 'BASE_TABLE' &&
    from.table_name?.toLowerCase() === model?.toLowerCase() &&
    (top.group_expressions as unknown[]).length === 0 &&
    !top.qualify
  if (!key || !isRowByRow || outputs.some(({ type }) => type === 'STAR')) return undefined
  const names = outputs.map(output => outputName(output)?.toLowerCase())
  const missing = key.filter(name => !names.includes(name.toLowerCase()))
  if (missing.length === 0) return undefined
  return {
    node: outputs[0]!,
    message: `every row of ${model} with the same values as one that is found is meant: ${missing.join(', ')} of its key ${missing.length === 1 ? 'is' : 'are'} not returned`,
    hint: `Return ${key.join(', ')} and reason.`,
  }
}

/** Outputs that are a text with the name of a column of what is read, and called like it. */
function textsForColumns(top: SqlNode, known: Known): SqlNode[] {
  const { table_name: table = '' } = (top.from_table as SqlNode | undefined) ?? {}
  const [, columns = []] =
    [...known.columns].find(([name]) => name.toLowerCase() === table.toLowerCase()) ?? []
  return ((top.select_list as SqlNode[] | undefined) ?? []).filter(({ type, value, alias }) => {
    const text = type === 'VALUE_CONSTANT' ? (value as { value?: unknown }).value : undefined
    return text !== undefined && text === alias && columns.some(({ name }) => name === text)
  })
}

/** CTEs that no FROM names: DuckDB does not even bind them. */
function unreadCtes(top: SqlNode): [string, SqlNode][] {
  const own = new Map<string, SqlNode>()
  const read = new Set<string>()
  const visit = (node: unknown): void => {
    if (node === null || typeof node !== 'object') return
    const each = node as SqlNode
    for (const { key, value } of each.cte_map?.map ?? []) own.set(key, value.query?.node ?? {})
    if (each.type === 'BASE_TABLE') read.add((each.table_name ?? '').toLowerCase())
    for (const child of Object.values(each)) visit(child)
  }
  visit(top)
  return [...own]
    .filter(([name]) => !read.has(name.toLowerCase()))
    .map(([name, node]) => {
      const at = firstPlace(node)
      return [name, at === undefined ? {} : { query_location: at }]
    })
}

/** Where SELECT DISTINCT (a), b has the bracket that is to tell rows apart by a alone. */
function distinctBrackets(sql: string): number | undefined {
  if (!/distinct\s*\(/i.test(sql)) return undefined
  const tokens = [...tokensOf(sql)]
  const is = (index: number, word: RegExp) => word.test(tokens[index]?.text ?? '')
  for (const [index, { start }] of tokens.entries()) {
    if (!is(index, /^\($/) || !is(index - 1, /^distinct$/i) || !is(index - 2, /^select$/i)) continue
    let depth = 0
    const end = tokens.findIndex(({ text }, at) => {
      if (at >= index) depth += text === '(' ? 1 : text === ')' ? -1 : 0
      return at >= index && depth === 0
    })
    if (is(end + 1, /^,$/)) return start
  }
  return undefined
}

/** A set check's level that is `pass` whatever the rows, or NULL for some of them. */
function levelPitfalls(top: SqlNode, { values }: Query): Pitfall[] {
  const level = ((top.select_list as SqlNode[] | undefined) ?? []).find(
    ({ alias }) => alias?.toLowerCase() === 'level',
  )
  if (!level) return []
  const texts = values.get('level') ?? []
  // What only measures something has a value for the next night to compare with.
  if (texts.length > 0 && texts.every(({ text }) => text === 'pass') && !values.has('value'))
    return [
      {
        node: level,
        message: "level is 'pass' in any case: this check can never fail",
        hint: "Write CASE WHEN … THEN 'stop' ELSE 'pass' END AS level.",
      },
    ]
  // A WHERE may leave only such rows as a WHEN is true of.
  const isAll = !top.where_clause && !top.having && !top.qualify
  const other = isAll && level.type === 'CASE_EXPR' ? (level.else_expr as SqlNode) : undefined
  return other?.type === 'VALUE_CONSTANT' && (other.value as { is_null: boolean }).is_null
    ? [
        {
          node: level,
          message: 'level is NULL where no WHEN is true, which fails the run',
          hint: "Write ELSE 'pass' before END.",
        },
      ]
    : []
}
