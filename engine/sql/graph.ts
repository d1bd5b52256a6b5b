import type { Enrichment } from '../contracts/enrichment.ts'
import { EngineError } from '../errors.ts'
import { type Duck, quote } from './duckdb.ts'

/** A `.sql` file of a job: one SELECT in plain DuckDB SQL. */
export interface Model {
  name: string
  /** For messages: `queries/members/members_clean.sql`. */
  file: string
  sql: string
  /** The table is what this makes of the query's rows. */
  enrich?: Enrichment
}

/**
 * Tables that a query reads, in order of first mention, without the CTEs it defines. Parsed by DuckDB itself
 * (`json_serialize_sql`), which does not bind: tables and functions need not exist yet.
 */
export async function tablesOf(duck: Duck, model: Model): Promise<string[]> {
  const [row] = await duck.rows(`SELECT json_serialize_sql(${quote(model.sql)}) AS tree`)
  const parsed = JSON.parse(String(row!.tree)) as {
    error?: boolean
    error_message?: string
    position?: string
  }
  if (parsed.error)
    throw syntaxError(model, parsed.error_message ?? 'not a SELECT', Number(parsed.position ?? 0))
  const tables = new Set<string>()
  collect(parsed, new Set(), tables)
  for (const table of tables)
    if (/[/\\.*:]/.test(table))
      throw new EngineError('MODEL_INVALID', `${model.file}: reads the file ${JSON.stringify(table)}`, {
        hint: 'Declare it as an extract of the job, so that it is staged, checked and dated like the rest.',
      })
  return [...tables]
}

function syntaxError(model: Model, message: string, position: number): EngineError {
  const line = model.sql.slice(0, position).split('\n').length
  const hint = /Only SELECT/.test(message)
    ? 'A model is one SELECT. A PIVOT needs its values listed: PIVOT … ON column IN (…).'
    : 'Run the file in the DuckDB shell to try it out.'
  return new EngineError('MODEL_INVALID', `${model.file}:${line}: ${message}`, { hint })
}

interface SqlNode {
  type?: string
  table_name?: string
  cte_map?: { map?: { key: string; value: unknown }[] }
}

// CTE names hold for the node that defines them and everything below it.
function collect(node: unknown, scope: Set<string>, tables: Set<string>): void {
  if (Array.isArray(node)) {
    for (const child of node) collect(child, scope, tables)
    return
  }
  if (node === null || typeof node !== 'object') return
  const { type, table_name, cte_map } = node as SqlNode
  const ctes = cte_map?.map?.map(entry => entry.key.toLowerCase()) ?? []
  const inner = ctes.length > 0 ? new Set([...scope, ...ctes]) : scope
  if (type === 'BASE_TABLE' && table_name && !scope.has(table_name.toLowerCase())) tables.add(table_name)
  for (const child of Object.values(node)) collect(child, inner, tables)
}

/** Models in an order in which each comes after those it reads, with what each reads. */
export async function orderModels(
  duck: Duck,
  models: Model[],
  extracts: string[],
): Promise<(Model & { reads: string[] })[]> {
  const parsed = await Promise.all(
    models.map(async model => ({ ...model, reads: await tablesOf(duck, model) })),
  )
  const byName = new Map(parsed.map(model => [model.name, model]))
  const known = new Set([...extracts, ...byName.keys()])
  for (const model of parsed)
    for (const table of model.reads)
      if (!known.has(table)) {
        const line = model.sql.slice(0, model.sql.search(new RegExp(`\\b${table}\\b`))).split('\n').length
        throw new EngineError(
          'MODEL_INVALID',
          `${model.file}:${line}: reads ${table}, which nobody provides`,
          {
            hint: `Known tables: ${[...known].sort().join(', ')}.`,
          },
        )
      }
  const ordered: (Model & { reads: string[] })[] = []
  const visit = (name: string, path: string[]) => {
    const model = byName.get(name)
    if (!model || ordered.includes(model)) return
    if (path.includes(name))
      throw new EngineError(
        'MODEL_INVALID',
        `${model.file}: models read each other: ${[...path, name].join(' → ')}`,
      )
    for (const table of model.reads) visit(table, [...path, name])
    ordered.push(model)
  }
  for (const model of parsed) visit(model.name, [])
  return ordered
}

/** The extracts that a model, or an extract itself, is made from. */
export function extractsOf(name: string, models: (Model & { reads: string[] })[]): string[] {
  const byName = new Map(models.map(model => [model.name, model]))
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
