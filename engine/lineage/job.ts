import type { Described } from '../sql/checkColumns.ts'
import type { Duck } from '../sql/duckdb.ts'
import type { OrderedCheck, OrderedModel, SqlGraph } from '../sql/model.ts'
import { isGenerated, nodeOf, type Query, type SqlFile } from '../sql/parse.ts'
import { charactersIn, type Place, placeOf } from '../sql/text.ts'
import { REJECT } from '../sql/words.ts'
import { type Known, NotFollowed, type QueryLineage } from './known.ts'
import { QueryReader } from './query.ts'
import { ALL, type Mentions, none, type Ref, type Refs, ref, union } from './refs.ts'
import type { LineageColumn } from './scope.ts'

/** Where a query says a thing; the file alone where it says it through a macro, or nobody has written it. */
export interface Mentioned {
  file: string
  place?: Place
}

export interface MadeColumn {
  name: string
  /** DuckDB's, where it is known. */
  type?: string
  /** The columns that its values are made of. */
  from: Refs
  place?: Place
}

/** A table of a job, and what its columns are made of. */
export interface TableLineage {
  name: string
  /** `orders.sql`; of an extract `extract orders`. */
  file: string
  isExtract: boolean
  columns: MadeColumn[]
  /** Columns that decide which rows it has: by conditions, joins, groupings, and the checks that reject rows of it. */
  rows: Refs
  /** All that its query names, used or not: without one of them it fails. */
  mentions: ReadonlyMap<Ref, Mentioned>
  /** Why its columns may be made of less than is said. */
  unsure?: string
}

/** A check, and the columns that it looks at. */
export interface CheckLineage {
  file: string
  /** The tables that it judges: the one whose rows it marks, or all that a set check reads. */
  judges: string[]
  /** It leaves rows out. */
  rejects: boolean
  mentions: ReadonlyMap<Ref, Mentioned>
}

export interface JobLineage {
  tables: Map<string, TableLineage>
  checks: CheckLineage[]
}

/**
 * What each column of a job's tables is made of, from DuckDB's parse trees and the columns that binding found. Where both
 * do not agree, a table's columns are said to be made of all that it reads, and why.
 */
export async function lineageOf(
  duck: Duck,
  graph: SqlGraph,
  extracts: string[],
  columns: ReadonlyMap<string, Described[]>,
): Promise<JobLineage> {
  const aggregates = await duck.rows(
    "SELECT DISTINCT lower(function_name) AS name FROM duckdb_functions() WHERE function_type = 'aggregate'",
  )
  const names = new Set(aggregates.map(({ name }) => String(name)))
  const tables = [...extracts, ...graph.models.filter(({ extract }) => !extract).map(({ name }) => name)]
  const byName = new Map(tables.map(name => [name.toLowerCase(), name]))
  const macros = new Map(graph.macros.map(({ name, bodies }) => [name.toLowerCase(), bodies]))
  const known: Known = {
    table: name => {
      const own = byName.get(name.toLowerCase())
      const found = own === undefined ? undefined : columns.get(own)?.map(column => column.name)
      return own === undefined ? undefined : { name: own, ...(found && { columns: found }) }
    },
    macro: name => macros.get(name),
    isAggregate: name => names.has(name),
  }
  const found: JobLineage = { tables: new Map(), checks: [] }
  for (const name of extracts)
    found.tables.set(name, {
      name,
      file: `extract ${name}`,
      isExtract: true,
      columns: (columns.get(name) ?? []).map(column => ({ ...column, from: none })),
      rows: none,
      mentions: new Map(),
    })
  for (const model of graph.models)
    if (!model.extract) found.tables.set(model.name, tableOf(model, graph, known, columns))
  for (const check of graph.checks) {
    const lineage = checkOf(check, graph, known)
    found.checks.push(lineage)
    const judged = check.model === undefined ? undefined : found.tables.get(check.model)
    if (judged && lineage.rejects) judged.rows = union(judged.rows, new Set(lineage.mentions.keys()))
  }
  return found
}

function tableOf(
  model: OrderedModel,
  graph: SqlGraph,
  known: Known,
  columns: ReadonlyMap<string, Described[]>,
): TableLineage {
  const { name, file, enrich } = model
  const gives = (enrich?.gives ?? []).map(each => each.name)
  const bound = columns.get(name)
  const own = bound?.slice(0, bound.length - gives.length)
  const query = graph.queries.get(file)
  const table: TableLineage = { name, file, isExtract: false, columns: [], rows: none, mentions: new Map() }
  if (!query) return { ...table, columns: unsureColumns(model, known, own), unsure: 'it cannot be read' }
  const reader = new QueryReader(known)
  const made = followed(reader, query)
  if (!made) return { ...table, columns: unsureColumns(model, known, own), unsure: NOT_FOLLOWED }
  const aligned = own
    ? align(
        made.columns,
        own.map(each => each.name),
      )
    : made.columns
  const types = new Map(bound?.map(each => [each.name, each.type]))
  const list: MadeColumn[] | undefined = aligned?.map(({ name, from, at }) => ({
    name,
    from,
    ...(types.has(name) && { type: types.get(name)! }),
    ...placeIn(model, at),
  }))
  table.columns = list ?? unsureColumns(model, known, own)
  if (!list)
    table.unsure =
      'which columns its stars stand for was not found out: each may be made of all that it reads'
  else if (!own) table.unsure = 'the columns of an extract that it reads are not known before the first run'
  const takes = new Set(enrich?.takes.map(take => take.name.toLowerCase()))
  const taken = table.columns.filter(column => takes.has(column.name.toLowerCase()) || column.name === ALL)
  const from = union(...taken.map(column => column.from))
  for (const each of gives) table.columns.push({ name: each, from })
  table.rows = made.rows
  table.mentions = placesOf(reader.mentions, model)
  return table
}

const NOT_FOLLOWED = 'it has a part that is not followed: each column may be made of all that it reads'

/** What a query gives; undefined where it has a part that is not followed. */
function followed(reader: QueryReader, { tree }: Query): QueryLineage | undefined {
  try {
    return reader.query(nodeOf(tree), undefined, true)
  } catch (error) {
    if (error instanceof NotFollowed) return undefined
    throw error
  }
}

const unsureColumns = (
  { reads }: Pick<OrderedModel, 'reads'>,
  known: Known,
  own: Described[] | undefined,
): MadeColumn[] => {
  const from = new Set(
    reads.flatMap(table => (known.table(table)?.columns ?? [ALL]).map(column => ref(table, column))),
  )
  return (own ?? [{ name: ALL }]).map(column => ({ ...column, from }))
}

/** Columns as binding named them; undefined where it cannot be told which is which. */
function align(made: LineageColumn[], names: string[]): LineageColumn[] | undefined {
  const isSpread = ({ spread }: LineageColumn) => spread === 'yes'
  if (made.length === names.length && !made.some(isSpread))
    return made.map((column, index) => ({ ...column, name: names[index]! }))
  const open = made.some(isSpread) ? made.filter(isSpread) : made.filter(({ spread }) => spread)
  const [one, second] = open
  const count = names.length - (made.length - 1)
  if (!one || second || count < 0) return undefined
  const before = made.indexOf(one)
  return names.map((name, index) => {
    if (index < before) return { ...made[index]!, name }
    if (index < before + count) return { ...one, name, from: one.byName?.(name) ?? one.from }
    return { ...made[index - count + 1]!, name }
  })
}

/** Whether rows that a check finds may leave its table: it may say so of none. */
function rejects({ file }: OrderedCheck, { queries }: SqlGraph): boolean {
  const said = queries.get(file)?.values.get('severity') ?? []
  return said.length === 0 || !said.every(({ text }) => text !== null && text !== REJECT)
}

function checkOf(check: OrderedCheck, graph: SqlGraph, known: Known): CheckLineage {
  const { file, model } = check
  const query = graph.queries.get(file)
  const reader = new QueryReader(known)
  const made = query && followed(reader, query)
  // Of one that is not followed: all that it reads.
  const used = made
    ? union(made.rows, ...made.columns.map(({ from }) => from))
    : new Set(unsureColumns(check, known, undefined).flatMap(({ from }) => [...from]))
  const mentions = new Map(placesOf(reader.mentions, check))
  for (const each of used) if (!mentions.has(each)) mentions.set(each, { file })
  const judges = model === undefined ? check.reads : [model]
  return { file, judges, rejects: model !== undefined && rejects(check, graph), mentions }
}

const placesOf = (mentions: Mentions, source: SqlFile): Map<Ref, Mentioned> =>
  new Map([...mentions].map(([each, at]) => [each, { file: source.file, ...placeIn(source, at) }]))

/** Where a byte of a query stands; nothing of what has no place in it. */
const placeIn = ({ file, sql }: SqlFile, at: number | undefined): Pick<Mentioned, 'place'> =>
  at === undefined || at > Number.MAX_SAFE_INTEGER || isGenerated(file)
    ? {}
    : { place: placeOf(sql, charactersIn(sql, at)) }
