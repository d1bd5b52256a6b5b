import { foreign } from './dialect.ts'
import { type Duck, quote } from './duckdb.ts'
import { refuse } from './faults.ts'
import { RUN_AT } from './ownVariables.ts'
import { syntaxHint } from './syntax.ts'
import { charactersIn, placeOf, statementsOf, tokensOf } from './text.ts'

/** A file of SQL; `file` is for messages: `checks/members_clean/email.sql`. */
export interface SqlFile {
  file: string
  sql: string
  /** The whole file, where `sql` is a statement of it, and at which character that begins. */
  whole?: { sql: string; start: number }
}

/**
 * Whether a query was made from settings (`job.yaml:7: checks.orders.id.unique`) or a table of values: its text is nobody's,
 * and is not shown.
 */
export const isGenerated = (file: string): boolean => /^seeds\/|:(\d+:)? (checks|enrich)\./.test(file)

/** A name that a query mentions, and where: a character of its file. */
export interface Mention {
  name: string
  at?: number
}

/** What a query mentions; tables in order, without the CTEs it defines. */
export interface Query {
  tables: Mention[]
  functions: Mention[]
  tableFunctions: Mention[]
  /** What gives another answer each time, beside functions: `current_date`, a sample. */
  volatile: Mention[]
  /** Columns that it names itself, in small letters, and the texts that each is given, as far as they stand there. */
  values: Map<string, { text: string | null; at?: number }[]>
  /** Columns that it names itself, with the functions and moments that each is made with. */
  outputs: { name: string; mentions: string[] }[]
  /** As DuckDB parsed it. */
  tree: SqlNode
}

/** Keywords that are functions without brackets. */
const MOMENTS = ['current_date', 'current_time', 'current_timestamp', 'localtime', 'localtimestamp']

const NOW = ['now', 'today', 'get_current_timestamp', 'transaction_timestamp']

/**
 * Parses a file of one SELECT by DuckDB's own parser (`json_serialize_sql`), which does not bind: tables and functions need
 * not exist yet. `what` it is: a model, a check. Fails with MODEL_INVALID.
 */
export async function parseQuery(duck: Duck, file: SqlFile, what: string): Promise<Query> {
  return queryIn(file, await treeOf(duck, file.sql), what)
}

/** The same of a file whose text is parsed. */
export function queryIn({ file, sql }: SqlFile, parsed: Parsed, what: string): Query {
  const fault = (message: string, at?: number, hint?: string): never => {
    refuse([{ file, message, ...(at !== undefined && { place: placeOf(sql, at) }), ...(hint && { hint }) }])
    throw new Error('unreachable')
  }
  const statements = statementsOf(sql)
  if (statements.length === 0) return fault(`is empty; ${what} is one SELECT`)
  const other = foreign(file, sql)
  if (other) refuse([other])
  if ('message' in parsed) {
    const at = statements.length > 1 ? statements[0]!.start : (parsed.at ?? statements[0]!.start)
    if (!/Only SELECT/.test(parsed.message))
      return fault(
        parsed.message,
        parsed.at ?? statements[0]!.start,
        parsed.at === undefined ? undefined : syntaxHint(sql, parsed.at),
      )
    const pivot = /^\s*(WITH|PIVOT|FROM|SELECT)\b/i.test(statements[0]!.text)
    return fault(
      `${what} is one SELECT, and nothing else`,
      at,
      pivot ? 'A PIVOT needs its values listed: PIVOT … ON column IN (…).' : undefined,
    )
  }
  const [, second] = statements
  if (second) return fault(`${what} is one SELECT; a second statement begins here`, second.start)
  const [{ named_param_map: parameters }] = parsed.tree.statements as [{ named_param_map?: unknown[] }]
  // The tree does not say where they stand.
  if (parameters && parameters.length > 0)
    return fault(
      'nobody gives a parameter a value',
      [...tokensOf(sql)].find(({ text }) => text === '?' || text === '$')?.start,
      "Write the value itself; or vars: { NAME: value } in job.yaml, and getvariable('NAME') here.",
    )
  return queryOf(sql, parsed.tree)
}

/** A query's tree; or what is wrong with it, and at which character. */
export type Parsed = { tree: SqlNode } | { message: string; at?: number }

/** Parses one text. */
export const treeOf = async (duck: Duck, sql: string): Promise<Parsed> => (await treesOf(duck, [sql]))[0]!

/** Parses texts, all by one statement: each has its own cost, which is more than that of most texts. */
export async function treesOf(duck: Duck, texts: string[]): Promise<Parsed[]> {
  if (texts.length === 0) return []
  const rows = await duck.rows(
    `SELECT json_serialize_sql(text) AS tree FROM (SELECT unnest([${texts.map(quote).join(', ')}]) AS text)`,
  )
  return rows.map(({ tree }, index) => parsedOf(texts[index]!, String(tree)))
}

function parsedOf(sql: string, json: string): Parsed {
  const parsed = JSON.parse(json) as SqlNode & {
    error?: boolean
    error_message?: string
    position?: string
  }
  if (!parsed.error) return { tree: parsed }
  const message = parsed.error_message ?? 'not a SELECT'
  return parsed.position === undefined
    ? { message }
    : { message, at: charactersIn(sql, Number(parsed.position)) }
}

/** A node of a query's tree, as far as anything is asked of it. */
export interface SqlNode {
  class?: string
  type?: string
  alias?: string
  query_location?: number
  table_name?: string
  schema_name?: string
  catalog_name?: string
  function_name?: string
  column_names?: string[]
  sample?: { seed: number } | null
  cte_map?: { map?: { key: string; value: { query?: { node?: SqlNode } } }[] }
  [key: string]: unknown
}

/** A query that mentions nothing. */
export const emptyQuery = (tree: SqlNode = {}): Query => ({
  tables: [],
  functions: [],
  tableFunctions: [],
  volatile: [],
  values: new Map(),
  outputs: [],
  tree,
})

/** The node of a tree's one query; undefined of a tree without one. */
export const topOf = (tree: SqlNode | undefined): SqlNode | undefined =>
  (tree?.statements as { node?: SqlNode }[] | undefined)?.[0]?.node

/** The node of a tree that has one query. */
export const nodeOf = (tree: SqlNode): SqlNode => topOf(tree)!

/** What a column of a query's result is called; undefined of an expression without a name. */
export const outputName = ({ alias, column_names: names }: SqlNode): string | undefined =>
  alias || names?.at(-1)

/** Where an expression begins, as far as its parts say: some operators do not. */
export function firstPlace(node: unknown): number | undefined {
  if (node === null || typeof node !== 'object') return undefined
  const { query_location: own } = node as SqlNode
  if (own !== undefined && own <= Number.MAX_SAFE_INTEGER) return own
  const below = Object.values(node)
    .map(firstPlace)
    .filter(at => at !== undefined)
  return below.length > 0 ? Math.min(...below) : undefined
}

/** The conditions that all hold where one does. */
export function conjuncts(node: SqlNode | null | undefined): SqlNode[] {
  if (!node) return []
  return node.type === 'CONJUNCTION_AND' ? (node.children as SqlNode[]).flatMap(conjuncts) : [node]
}

/** What a tree mentions. */
export function queryOf(sql: string, tree: SqlNode): Query {
  const query = emptyQuery(tree)
  collect(tree, new Set(), query)
  const located = (mention: { at?: number }): void => {
    if (mention.at !== undefined) mention.at = charactersIn(sql, mention.at)
  }
  const top = topOf(tree)
  for (const output of (top?.select_list as SqlNode[] | undefined) ?? []) {
    const name = outputName(output)
    if (!name) continue
    query.values.set(name.toLowerCase(), valuesOf(output))
    const own: Query = { ...query, tables: [], functions: [], tableFunctions: [], volatile: [] }
    collect(output, new Set(), own)
    query.outputs.push({ name, mentions: [...own.functions, ...own.volatile].map(mention => mention.name) })
  }
  const { tables, functions, tableFunctions, volatile, values } = query
  for (const list of [tables, functions, tableFunctions, volatile, ...values.values()]) list.forEach(located)
  return query
}

/** How many arguments a function is given: `born.age()` has one, which DuckDB takes for a schema. */
const argumentsOf = ({ children, schema }: SqlNode) =>
  (children as unknown[]).length + (schema && !['main', 'pg_catalog'].includes(String(schema)) ? 1 : 0)

// 2^64 - 1 stands for nowhere.
const at = ({ query_location }: SqlNode) =>
  query_location === undefined || query_location > Number.MAX_SAFE_INTEGER ? {} : { at: query_location }

function collect(node: unknown, scope: ReadonlySet<string>, query: Query): void {
  if (Array.isArray(node)) {
    for (const child of node) collect(child, scope, query)
    return
  }
  if (node === null || typeof node !== 'object') return
  const own = node as SqlNode
  let inner = scope
  // A CTE knows those before it and, where it is recursive, itself.
  for (const { key, value } of own.cte_map?.map ?? []) {
    const name = key.toLowerCase()
    const recursive = value.query?.node?.type === 'RECURSIVE_CTE_NODE'
    collect(value, recursive ? new Set([...inner, name]) : inner, query)
    inner = new Set([...inner, name])
  }
  if (own.sample && own.sample.seed < 0) query.volatile.push({ name: 'a sample without a seed', ...at(own) })
  switch (own.type) {
    case 'BASE_TABLE': {
      const { table_name: name = '', schema_name: schema, catalog_name: catalog } = own
      if (schema || catalog || !scope.has(name.toLowerCase()))
        query.tables.push({
          name: [catalog, schema === 'main' ? '' : schema, name].filter(Boolean).join('.'),
          ...at(own),
        })
      break
    }
    case 'SHOW_REF':
      if (own.query === null) query.tableFunctions.push({ name: 'show', ...at(own) })
      break
    case 'TABLE_FUNCTION': {
      const called = own.function as SqlNode
      query.tableFunctions.push({ name: String(called.function_name).toLowerCase(), ...at(called) })
      collect(called.children, inner, query)
      return
    }
    case 'FUNCTION':
    case 'WINDOW_AGGREGATE':
      query.functions.push({ name: String(own.function_name).toLowerCase(), ...at(own) })
      // Of one time, it is until today.
      if (own.function_name === 'age' && argumentsOf(own) === 1)
        query.volatile.push({ name: 'age', ...at(own) })
      break
    case 'OPERATOR_COALESCE': {
      const children = own.children as SqlNode[]
      if (!isRunAt(children[0]!)) break
      // The run's time, and another only where there is no run.
      const found: Query = { ...query, functions: [], volatile: [] }
      collect(children, inner, found)
      query.functions.push(...found.functions.filter(({ name }) => !NOW.includes(name)))
      return
    }
    case 'COLUMN_REF': {
      const [name, more] = own.column_names ?? []
      if (name && more === undefined && MOMENTS.includes(name.toLowerCase()))
        query.volatile.push({ name: name.toLowerCase(), ...at(own) })
    }
  }
  for (const [key, child] of Object.entries(own)) if (key !== 'cte_map') collect(child, inner, query)
}

/** Whether an expression is the run's time, of whatever type: every run has one. */
const isRunAt = (node: SqlNode): boolean =>
  node.type === 'OPERATOR_CAST' && !node.try_cast
    ? isRunAt(node.child as SqlNode)
    : node.function_name === 'getvariable' && valuesOf((node.children as SqlNode[])[0]!)[0]?.text === RUN_AT

/** The texts that stand for an expression's value; NULL only where it is that always. */
function valuesOf(node: SqlNode): { text: string | null; at?: number }[] {
  switch (node.type) {
    case 'VALUE_CONSTANT': {
      const { is_null, value } = node.value as { is_null: boolean; value?: unknown }
      return [{ text: is_null ? null : String(value), ...at(node) }]
    }
    case 'OPERATOR_CAST':
      return valuesOf(node.child as SqlNode)
    case 'CASE_EXPR': {
      const checks = node.case_checks as { then_expr: SqlNode }[]
      const all = [...checks.map(({ then_expr }) => then_expr), node.else_expr as SqlNode].flatMap(valuesOf)
      // An ELSE that is NULL may be none, and never reached.
      return all.some(({ text }) => text !== null) ? all.filter(({ text }) => text !== null) : all
    }
    default:
      return []
  }
}
