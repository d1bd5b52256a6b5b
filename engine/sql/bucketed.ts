import { NotBucketed, requireBucketed } from './bucketRules.ts'
import type { Duck } from './duckdb.ts'
import type { Fault } from './faults.ts'
import type { OrderedMacro, OrderedModel, SqlGraph, TableKey } from './model.ts'
import { usedMacros } from './order.ts'
import { LAST_VALUES, RUN_AT } from './ownVariables.ts'
import type { SqlNode } from './parse.ts'
import { charactersIn, type Place, placeOf } from './text.ts'
import { variablesIn } from './variables.ts'

/**
 * Models in their order, those last that are made in buckets or after one that is: so buckets are made when all else that
 * they may read is there.
 */
export function lateLast(models: OrderedModel[]): OrderedModel[] {
  const late = new Set<string>()
  for (const model of models)
    if (model.buckets || [...model.reads, ...model.awaits].some(name => late.has(name))) {
      model.late = true
      late.add(model.name)
    }
  return [...models.filter(each => !each.late), ...models.filter(each => each.late)]
}

/** What a model asks for that only works where its rows can be made key by key. */
interface Asked {
  model: OrderedModel
  keys: TableKey[]
  place: Place
  cannot: string
  tag: string
}

const askedOf = (model: OrderedModel): Asked[] => {
  const { buckets, materialised, name } = model
  const { keys, place } = materialised ?? {}
  return [
    ...(buckets ? [{ model, ...buckets, cannot: `${name} cannot be made in buckets`, tag: '@buckets' }] : []),
    ...(keys && place
      ? [{ model, keys, place, cannot: `${name} cannot be incremental`, tag: '@materialised' }]
      : []),
  ]
}

/** Models that are to be made in buckets, or incrementally, and cannot: with the reason. Notes which column of the latter holds the key. */
export async function bucketFaults(
  duck: Duck,
  models: OrderedModel[],
  queries: SqlGraph['queries'],
  macros: OrderedMacro[],
): Promise<Fault[]> {
  const asked = models.flatMap(askedOf)
  if (asked.length === 0) return []
  const aggregates = await duck.rows(
    "SELECT DISTINCT lower(function_name) AS name FROM duckdb_functions() WHERE function_type = 'aggregate'",
  )
  const known = new Set(aggregates.map(({ name }) => String(name)))
  const isOpaque = (macro: OrderedMacro) =>
    [macro, ...usedMacros(macro.mentions, macros)].some(each => !isPlain(each, known))
  const opaque = new Set(macros.filter(isOpaque).map(({ name }) => name.toLowerCase()))
  return asked.flatMap(({ model, keys, place, cannot, tag }): Fault[] => {
    const { file, sql, enrich, reads, buckets, materialised } = model
    const isIncremental = tag === '@materialised'
    const fault = (message: string, hint: string, at = place): Fault[] => [{ file, place: at, message, hint }]
    if (enrich)
      return fault(
        `${cannot}: its values are made by more than SQL`,
        `Leave out ${tag}, or put what SQL does into a model before it.`,
      )
    if (isIncremental) {
      const other = otherEachRun(model, queries, macros)
      if (buckets) return fault(`${cannot}: it is made in buckets`, 'Leave out one of the two.')
      if (other !== undefined)
        return fault(
          `${cannot}: ${other}`,
          'What has not changed would be of another run: leave it out, or write: -- @materialised table',
        )
    }
    const late = isIncremental
      ? undefined
      : reads.find(table => models.some(each => each.name === table && each.late))
    if (late !== undefined)
      return fault(
        `${cannot}: ${late}, which it reads, is made in buckets or after such a model`,
        'Write both as one query, or leave out @buckets of one of them.',
      )
    const unread = keys.find(({ table }) => !reads.some(each => each.toLowerCase() === table.toLowerCase()))
    if (unread) return fault(`${cannot}: it does not read ${unread.table}`, `It reads: ${reads.join(', ')}.`)
    const query = queries.get(file)
    if (!query) return []
    try {
      const [keyed] = requireBucketed(query.tree, {
        keys,
        isAggregate: each => known.has(each),
        isOpaque: each => opaque.has(each),
      })
      if (isIncremental && keyed === undefined)
        return fault(
          `${cannot}: none of its columns is known to be the key of its row`,
          `Select ${keys.map(({ table, column }) => `${table}.${column}`).join(' or ')} as it is, by its name.`,
        )
      if (materialised?.kind === 'incremental' && keyed !== undefined) model.keyed = keyed
      return []
    } catch (error) {
      if (!(error instanceof NotBucketed)) throw error
      const at = error.at === undefined ? place : placeOf(sql, charactersIn(sql, error.at))
      return fault(
        `${cannot}: ${error.message}`,
        `Divide other tables, change the query so that the key is there, or ${isIncremental ? 'write: -- @materialised table' : `leave out ${tag}.`}`,
        at,
      )
    }
  })
}

/** Why a query gives other values in each run, of rows that are the same; undefined where it does not. */
function otherEachRun(
  { sql, file, volatile }: OrderedModel,
  queries: SqlGraph['queries'],
  macros: OrderedMacro[],
) {
  if (volatile.length > 0) return `${volatile[0]!.name} gives another answer each time`
  const query = queries.get(file)
  const used = query ? usedMacros(query, macros) : []
  const names = variablesIn([sql, ...used.map(macro => macro.sql)])
  if (!names) return 'it works out the name of a variable'
  const own = names.find(name => name === RUN_AT || name === LAST_VALUES)
  return own && `${own} is another in each run`
}

/** Whether a macro is an expression of its arguments alone: without rows, groups or windows of its own. */
function isPlain({ reads, bodies, mentions }: OrderedMacro, aggregates: ReadonlySet<string>): boolean {
  const isWithin = (node: unknown): boolean =>
    Array.isArray(node)
      ? node.some(isWithin)
      : node !== null &&
        typeof node === 'object' &&
        (['WINDOW', 'SUBQUERY'].includes(String((node as SqlNode).class)) ||
          Object.values(node).some(isWithin))
  return (
    reads.length === 0 &&
    mentions.tables.length === 0 &&
    !mentions.functions.some(({ name }) => aggregates.has(name)) &&
    !bodies.some(
      ({ node }) =>
        isWithin(node) || Boolean((node.from_table as SqlNode | null)?.type?.replace('EMPTY', '')),
    )
  )
}
