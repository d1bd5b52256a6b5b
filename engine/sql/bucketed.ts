import { NotBucketed, requireBucketed } from './bucketRules.ts'
import type { Duck } from './duckdb.ts'
import type { Fault } from './faults.ts'
import type { OrderedMacro, OrderedModel, SqlGraph } from './model.ts'
import { usedMacros } from './order.ts'
import type { SqlNode } from './parse.ts'
import { charactersIn, placeOf } from './text.ts'

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

/** Models that are to be made in buckets, and cannot: with the reason. */
export async function bucketFaults(
  duck: Duck,
  models: OrderedModel[],
  queries: SqlGraph['queries'],
  macros: OrderedMacro[],
): Promise<Fault[]> {
  const asked = models.filter(({ buckets }) => buckets)
  if (asked.length === 0) return []
  const aggregates = await duck.rows(
    "SELECT DISTINCT lower(function_name) AS name FROM duckdb_functions() WHERE function_type = 'aggregate'",
  )
  const known = new Set(aggregates.map(({ name }) => String(name)))
  const isOpaque = (macro: OrderedMacro) =>
    [macro, ...usedMacros(macro.mentions, macros)].some(each => !isPlain(each, known))
  const opaque = new Set(macros.filter(isOpaque).map(({ name }) => name.toLowerCase()))
  return asked.flatMap(({ file, sql, name, enrich, reads, buckets }): Fault[] => {
    const { place, keys } = buckets!
    const fault = (message: string, hint: string, at = place): Fault[] => [{ file, place: at, message, hint }]
    if (enrich)
      return fault(
        `${name} cannot be made in buckets: its values are made by more than SQL`,
        'Leave out @buckets, or make a model before it in buckets.',
      )
    const late = reads.find(table => models.some(each => each.name === table && each.late))
    if (late !== undefined)
      return fault(
        `${name} cannot be made in buckets: ${late}, which it reads, is made in buckets or after such a model`,
        'Write both as one query, or leave out @buckets of one of them.',
      )
    const unread = keys.find(({ table }) => !reads.some(each => each.toLowerCase() === table.toLowerCase()))
    if (unread)
      return fault(
        `${name} cannot be made in buckets: it does not read ${unread.table}`,
        `It reads: ${reads.join(', ')}.`,
      )
    const query = queries.get(file)
    if (!query) return []
    try {
      requireBucketed(query.tree, {
        keys,
        isAggregate: each => known.has(each),
        isOpaque: each => opaque.has(each),
      })
      return []
    } catch (error) {
      if (!(error instanceof NotBucketed)) throw error
      const at = error.at === undefined ? place : placeOf(sql, charactersIn(sql, error.at))
      return fault(
        `${name} cannot be made in buckets: ${error.message}`,
        'Divide other tables, change the query so that the key is there, or leave out @buckets.',
        at,
      )
    }
  })
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
