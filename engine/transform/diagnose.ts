import { EngineError } from '../errors.ts'
import { counted } from '../plural.ts'
import { type Duck, quote, quoteName, SqlError } from '../sql/duckdb.ts'
import { faultText } from '../sql/faults.ts'
import { characterOf, faultOf, inFile } from '../sql/locate.ts'
import type { SqlGraph } from '../sql/model.ts'
import { type SqlFile, type SqlNode, treeOf } from '../sql/parse.ts'
import { bytesIn, stripped } from '../sql/text.ts'

/** A query of a job: of a model or a check. */
export type Source = SqlFile & { reads: string[] }

/** Does what a query's text is part of; a failure is told as of the file, the line and the row where it is. */
export type InQuery = <T>(source: Source, act: () => Promise<T>) => Promise<T>

/** Kinds of failures that the values of rows make. */
const OF_VALUES = ['Conversion', 'Invalid Input', 'Out of Range', 'Constraint']

/** `keys`: columns by which people know rows. */
export function diagnosing(duck: Duck, graph: SqlGraph, keys: string[]): InQuery {
  return async (source, act) => {
    try {
      return await inFile(source, act)
    } catch (error) {
      const cause = (error as EngineError).cause
      if (!(cause instanceof SqlError) || !OF_VALUES.includes(cause.type)) throw error
      const [guilty, failure] = await culprit(duck, graph, source, cause)
      const fault = faultOf(guilty, failure)
      const row = await rowsAtFault(duck, guilty, failure, keys).catch(() => undefined)
      const message = faultText({ ...fault, ...(row && { message: row.message }) }, true)
      throw new EngineError(failure.code, message, { cause, hint: row?.hint ?? fault.hint })
    }
  }
}

/** The query whose own values fail it: the one that was run, or a view that it reads; and how it fails by itself. */
async function culprit(
  duck: Duck,
  { models }: SqlGraph,
  source: Source,
  error: SqlError,
): Promise<[Source, SqlError]> {
  const read = new Set<string>(source.reads)
  for (const { name, reads, inline } of models.toReversed())
    if (inline && read.has(name)) for (const table of reads) read.add(table)
  for (const view of models.filter(({ name, inline }) => inline && read.has(name)))
    try {
      await duck.run(`CREATE OR REPLACE TEMP TABLE _nf_tried AS ${stripped(view.sql)}`)
      await duck.run('DROP TABLE _nf_tried')
    } catch (failure) {
      if (failure instanceof SqlError && OF_VALUES.includes(failure.type)) return [view, failure]
      throw failure
    }
  return [source, error]
}

/** The first of the rows that a cast fails on, and how many there are; undefined where the query does not show it. */
async function rowsAtFault(
  duck: Duck,
  source: Source,
  error: SqlError,
  keys: string[],
): Promise<{ message: string; hint: string } | undefined> {
  const at = characterOf(source.sql, error)
  const parsed = await treeOf(duck, source.sql)
  if (at === undefined || 'message' in parsed) return undefined
  const found = castAt(parsed.tree, bytesIn(source.sql, at), [])
  if (!found) return undefined
  const { cast, selects } = found
  const select = selects.at(-1)!
  const value = cast.child as SqlNode
  // Where the cast is part of the condition, no row can be told from another by that.
  const condition = castAt(select.where_clause, cast.query_location!, []) ? null : select.where_clause
  const query = (list: unknown[]) =>
    textOf(duck, {
      ...select,
      ...BARE,
      where_clause: condition,
      cte_map: { map: selects.flatMap(({ cte_map }) => cte_map?.map ?? []) },
      select_list: list,
    })
  const rows = await query([
    STAR,
    { ...value, alias: '_nf_value' },
    { ...cast, try_cast: true, alias: '_nf_cast' },
  ])
  const columns = (await duck.rows(`DESCRIBE ${rows}`)).map(({ column_name }) => String(column_name))
  const known = columns.filter(name => keys.some(key => key.toLowerCase() === name.toLowerCase()))
  const key = (known.length > 0 ? known : columns.slice(0, 1)).filter(name => !name.startsWith('_nf_'))
  const subject = key.map(name => `${quote(`${name} = `)} || coalesce(${quoteName(name)}::VARCHAR, 'NULL')`)
  const order = [...key.map(quoteName), '_nf_value'].join(', ')
  const [first] = await duck.rows(
    `SELECT concat_ws(', ', ${subject.join(', ')}) AS subject, _nf_value::VARCHAR AS value, count(*) OVER () AS rows
     FROM (${rows}) WHERE _nf_value IS NOT NULL AND _nf_cast IS NULL ORDER BY ${order} LIMIT 1`,
  )
  if (!first) return undefined
  const bare = { ...select, ...BARE, ...NOWHERE, select_list: [{ ...cast, alias: '' }] }
  const text = (await textOf(duck, bare)).replace(/^SELECT /, '')
  const type = / AS ((?:[^()]|\([^()]*\))+)\)$/.exec(text)?.[1]
  const own = type && (await failureOf(duck, `SELECT CAST(${quote(String(first.value))} AS ${type})`))
  const column = value.type === 'COLUMN_REF' ? ` (column ${value.column_names!.at(-1)})` : ''
  const more = Number(first.rows) - 1
  return {
    message: `${own ?? faultOf(source, error).message}${column}: ${first.subject}${more > 0 ? `, and ${counted(more, 'more row')}` : ''}`,
    hint: `TRY_${text} gives NULL instead; a check in checks/${source.reads[0] ?? '<table>'}/ can reject such rows before.`,
  }
}

async function failureOf(duck: Duck, sql: string): Promise<string | undefined> {
  try {
    await duck.rows(sql)
    return undefined
  } catch (error) {
    return error instanceof SqlError ? error.text.split('\n')[0] : undefined
  }
}

const BARE = {
  modifiers: [],
  group_expressions: [],
  group_sets: [],
  aggregate_handling: 'STANDARD_HANDLING',
  having: null,
  sample: null,
  qualify: null,
}

const NOWHERE = {
  cte_map: { map: [] },
  where_clause: null,
  from_table: { type: 'EMPTY', alias: '', sample: null },
}

const STAR = {
  class: 'STAR',
  type: 'STAR',
  alias: '',
  relation_name: '',
  exclude_list: [],
  replace_list: [],
  columns: false,
  expr: null,
  qualified_exclude_list: [],
  rename_list: [],
}

/** The SQL of a SELECT's tree. */
async function textOf(duck: Duck, node: object): Promise<string> {
  const tree = JSON.stringify({ error: false, statements: [{ node, named_param_map: [] }] })
  // Nowhere, which JSON has as a number too large for JavaScript.
  const exact = tree.replaceAll('18446744073709552000', '18446744073709551615')
  const [row] = await duck.rows(`SELECT json_deserialize_sql(${quote(exact)}) AS text`)
  return String(row!.text)
}

/** The cast at a position, with the queries that it stands in, outermost first. */
function castAt(
  node: unknown,
  position: number,
  selects: SqlNode[],
): { cast: SqlNode; selects: SqlNode[] } | undefined {
  if (node === null || typeof node !== 'object') return undefined
  const own = node as SqlNode
  if (own.type === 'OPERATOR_CAST' && own.query_location === position && !own.try_cast)
    return { cast: own, selects }
  const within = own.type === 'SELECT_NODE' ? [...selects, own] : selects
  for (const child of Object.values(own)) {
    const found = castAt(child, position, within)
    if (found) return found
  }
  return undefined
}
