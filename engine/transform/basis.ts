import { createHash } from 'node:crypto'
import type { PlannedRead } from '../plan/plan.ts'
import type { OrderedModel, SqlGraph } from '../sql/model.ts'
import { usedMacros } from '../sql/order.ts'
import { tokensOf } from '../sql/text.ts'
import { variablesIn } from '../sql/variables.ts'

/** What a model's rows are made of: as long as all of it is the same, so are they. */
export interface Basis {
  /** By what people call it (`its SQL`, `macro phone`, `variable country`): a hash of what it says. */
  query: Record<string, string>
  /** Tables whose rows it reads, itself or through views, by name: a hash of which rows these are. */
  tables: Record<string, string>
}

/** Raised where the engine stages the rows of a query in another way than before. */
const STAGED = '1'

/** What decides a model's rows beside the rows of others, and the tables that it reads, itself or through views. */
export function queryOf(
  model: OrderedModel,
  graph: SqlGraph,
  reads: PlannedRead[],
  variables: Record<string, unknown>,
  version: string,
): { query: Basis['query']; tables: string[] } {
  const query: Basis['query'] = { DuckDB: version, 'the way rows are staged': STAGED }
  const tables = new Set<string>()
  const texts: string[] = []
  const add = (what: string, { file, name, sql }: OrderedModel, from: string[]) => {
    texts.push(sql)
    query[what] = hashOf(wordsOf(sql))
    const parsed = graph.queries.get(file)
    for (const macro of parsed ? usedMacros(parsed, graph.macros) : []) {
      texts.push(macro.sql)
      query[`macro ${macro.name}`] = hashOf(wordsOf(macro.sql))
    }
    for (const table of from) {
      const view = graph.models.find(each => each.name === table && each.inline)
      if (view && table !== name && query[`view ${table}`] === undefined)
        add(`view ${table}`, view, view.reads)
      else if (!view) tables.add(table)
    }
  }
  add('its SQL', model, model.reads)
  for (const name of variablesIn(texts) ?? Object.keys(variables))
    query[`variable ${name}`] = hashOf(variables[name])
  for (const { extract, key, unique, incremental, accumulates } of reads)
    if (tables.has(extract))
      query[`settings of ${extract}`] = hashOf([key, unique, incremental?.column, accumulates])
  return { query, tables: [...tables] }
}

export const hashOf = (value: unknown): string =>
  createHash('sha256')
    .update(JSON.stringify([value]))
    .digest('hex')

const wordsOf = (sql: string): string[] => [...tokensOf(sql)].map(({ text }) => text)
