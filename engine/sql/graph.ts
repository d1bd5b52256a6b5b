import { didYouMean } from '../nearest.ts'
import { bucketFaults, lateLast } from './bucketed.ts'
import { type Duck, quoteName } from './duckdb.ts'
import { type Fault, refuse, SqlInvalid } from './faults.ts'
import { type Macro, macrosOf } from './macros.ts'
import type { OrderedCheck, OrderedModel, SqlGraph, SqlSources } from './model.ts'
import { orderMacros, orderNodes, usedMacros } from './order.ts'
import { emptyQuery, isGenerated, type Mention, type Query, queryIn, type SqlFile, treesOf } from './parse.ts'
import { forbidden, isVolatile, ownFunctions } from './rules.ts'
import { placeOf } from './text.ts'
import { variableFaults } from './variables.ts'
import { valueFaults } from './words.ts'

/** Parses and orders a job's SQL. Fails with MODEL_INVALID and all that is wrong, in all files. */
export async function graphOf(duck: Duck, sources: SqlSources): Promise<SqlGraph> {
  const { graph, faults } = await parseJob(duck, sources)
  refuse(faults)
  return graph
}

/** The same with what is wrong; of a file at fault, the graph has what could be read of it. */
export async function parseJob(
  duck: Duck,
  sources: SqlSources,
): Promise<{ graph: SqlGraph; faults: Fault[] }> {
  const faults: Fault[] = []
  const parse = async <T>(act: () => T | Promise<T>): Promise<T | undefined> => {
    try {
      return await act()
    } catch (error) {
      if (!(error instanceof SqlInvalid)) throw error
      faults.push(...error.faults)
      return undefined
    }
  }
  const queries = new Map<string, Query>()
  const files = [...sources.models, ...sources.checks]
  const trees = await treesOf(
    duck,
    files.map(({ sql }) => sql),
  )
  for (const [index, file] of files.entries()) {
    const what = index < sources.models.length ? 'a model' : 'a check'
    const query = await parse(() => queryIn(file, trees[index]!, what))
    if (query) queries.set(file.file, query)
  }
  faults.push(...variableFaults(sources))
  const parsed: Macro[] = []
  for (const file of sources.macros) parsed.push(...((await parse(() => macrosOf(duck, file))) ?? []))

  // DuckDB takes longer to list them than a small table to load.
  const own = queries.size + parsed.length > 0 ? await ownFunctions(duck) : new Map<string, boolean>()
  const tables = new Map(
    [...sources.extracts, ...sources.models].map(({ name }) => [name.toLowerCase(), name] as const),
  )
  const texts = new Map(
    [...sources.models, ...sources.checks, ...sources.macros].map(({ file, sql }) => [file, sql]),
  )
  const placed = (file: string, { at }: Mention) =>
    at === undefined || isGenerated(file) ? {} : { place: placeOf(texts.get(file)!, at) }
  const tablesIn = (file: string, mentions: Mention[]): string[] => {
    const found = new Set<string>()
    for (const mention of mentions) {
      const table = tables.get(mention.name.toLowerCase())
      if (table !== undefined || sources.partial) found.add(table ?? mention.name)
      else
        faults.push({ file, ...placed(file, mention), ...unknownTable(mention.name, [...tables.values()]) })
    }
    return [...found]
  }
  const macroNames = new Map<string, Macro>()
  for (const macro of parsed) {
    const name = macro.name.toLowerCase()
    const other = macroNames.get(name)
    const { file, place } = macro
    if (other)
      faults.push({
        file,
        place,
        message: `${other.file}:${other.place.line} has a macro ${macro.name}, too`,
      })
    else if (own.has(name))
      faults.push({
        file,
        place,
        message: `${macro.name} is a function of DuckDB's, and a macro would change it everywhere`,
        hint: 'Give the macro another name.',
      })
    macroNames.set(name, macro)
  }
  const check = (file: string, mentions: Macro['mentions']) => {
    for (const found of forbidden(mentions, name => macroNames.has(name)))
      faults.push({ file, ...placed(file, found.mention), message: found.message })
  }
  const macros = orderMacros(parsed, macroNames, faults).map(macro => {
    check(macro.file, macro.mentions)
    return { ...macro, reads: tablesIn(macro.file, macro.mentions.tables) }
  })
  for (const macro of macros)
    macro.reads = [
      ...new Set([...macro.reads, ...usedMacros(macro.mentions, macros).flatMap(({ reads }) => reads)]),
    ]

  const none = emptyQuery()
  const readsOf = ({ file }: SqlFile) => {
    const query = queries.get(file) ?? none
    check(file, query)
    const used = usedMacros(query, macros)
    return {
      query,
      used,
      reads: [...new Set([...tablesIn(file, query.tables), ...used.flatMap(({ reads }) => reads)])],
    }
  }
  const checks: OrderedCheck[] = sources.checks.map(check => {
    const { query, reads } = readsOf(check)
    faults.push(...valueFaults(check, query, mention => placed(check.file, mention)))
    return { ...check, reads }
  })
  const awaited = (name: string) => [
    ...new Set(
      checks
        .filter(({ model }) => model === name)
        .flatMap(({ reads }) => reads.filter(table => table !== name)),
    ),
  ]
  const staged = sources.extracts.filter(
    ({ name }) =>
      sources.loads.some(({ from }) => from === name) || checks.some(({ model }) => model === name),
  )
  const mentions = new Map<string, number>()
  const nodes: OrderedModel[] = [
    ...staged.map(({ name }) => ({
      name,
      file: `extract ${name}`,
      sql: `FROM ${quoteName(name)}`,
      reads: [],
      awaits: awaited(name),
      extract: true as const,
      volatile: [],
    })),
    ...sources.models.map(model => {
      const { query, reads, used } = readsOf(model)
      const changing = ({ functions, volatile }: Macro['mentions']) => [
        ...functions.filter(({ name }) => isVolatile(name, own)),
        ...volatile,
      ]
      const inMacros = used.flatMap(macro => changing(macro.mentions).map(({ name }) => ({ name })))
      const volatile = [...changing(query), ...inMacros]
      return { ...model, reads, awaits: awaited(model.name), volatile }
    }),
  ]
  for (const query of [...queries.values(), ...macros.map(macro => macro.mentions)])
    for (const { name } of query.tables) {
      const table = tables.get(name.toLowerCase())
      if (table !== undefined) mentions.set(table, (mentions.get(table) ?? 0) + 1)
    }
  // The rows that they had in the last run are needed.
  const divided = new Set(
    nodes.flatMap(({ materialised }) => (materialised?.keys ?? []).map(({ table }) => table.toLowerCase())),
  )
  for (const node of nodes) {
    const kept = divided.has(node.name.toLowerCase())
      ? 'an incremental model is made of what changes in it'
      : whyKept(node, sources)
    const { kind, place } = node.materialised ?? {}
    if (kind === 'view' && kept)
      faults.push({
        file: node.file,
        place: place!,
        message: `${node.name} cannot be a view: ${kept}`,
        hint: 'Leave out @materialised, or write: -- @materialised table',
      })
    const isView = kind === 'view' || (kind === undefined && (mentions.get(node.name) ?? 0) < 2)
    if (isView && !node.extract && !kept) node.inline = true
  }
  const models = lateLast(orderNodes(nodes, checks, faults))
  faults.push(...(await bucketFaults(duck, models, queries, macros)))
  return { graph: { models, checks, macros, queries, vars: sources.vars ?? {} }, faults }
}

/** Why a model's rows are the same for all that read them, kept in a file; undefined where they may be computed anew. */
function whyKept(
  { name, enrich, buckets, volatile }: OrderedModel,
  { checks, loads }: SqlSources,
): string | undefined {
  if (buckets) return 'it is made in buckets'
  if (enrich) return 'its values are made by more than SQL'
  if (volatile.length > 0) return `${volatile[0]!.name} gives another answer each time`
  if (checks.some(({ model }) => model === name)) return 'its rows are checked'
  return loads.some(({ from }) => from === name) ? 'its rows are loaded' : undefined
}

function unknownTable(name: string, known: string[]): { message: string; hint: string } {
  if (/[/\\*:]|\.(csv|tsv|txt|parquet|json|ndjson|jsonl|xlsx|arrow|db|duckdb)(\.\w+)?$/i.test(name))
    return {
      message: 'reads a file; models see extracts and models only',
      hint: 'Declare it as an extract of the job, so that it is staged, checked and dated like the rest.',
    }
  return {
    message: `reads ${name}, which nobody provides${didYouMean(name, known)}`,
    hint: `Known tables: ${known.toSorted().join(', ')}.`,
  }
}

/** The extracts that a model, or an extract itself, is made from. */
export function extractsOf(
  name: string,
  models: Pick<OrderedModel, 'name' | 'reads' | 'extract'>[],
): string[] {
  const byName = new Map(models.filter(({ extract }) => !extract).map(model => [model.name, model]))
  // Many paths may lead to one table: each is gone once.
  const seen = new Set<string>()
  const visit = (table: string) => {
    if (seen.has(table)) return
    seen.add(table)
    byName.get(table)?.reads.forEach(visit)
  }
  visit(name)
  return [...seen].filter(table => !byName.has(table))
}
