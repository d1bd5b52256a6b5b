import type { Enrichment } from '../../engine/contracts/enrichment.ts'
import { didYouMean } from '../../engine/nearest.ts'
import { quoteName } from '../../engine/sql/duckdb.ts'
import type { Fault } from '../../engine/sql/faults.ts'
import { enrichments } from '../enrich/index.ts'
import type { Model } from '../spec/job.ts'
import type { Document } from './document.ts'
import { ENRICH, type JobFolder } from './folder.ts'
import { IDENTIFIER, type JobYaml } from './schema.ts'

/** The models, with the functions that they name, and the tables of `enrich`, as models over the tables that they are made from. */
export async function readEnrichments(
  document: Document,
  yaml: JobYaml,
  folder: Pick<JobFolder, 'models'>,
  home: string,
): Promise<{ models: Model[]; faults: Fault[]; loads: Set<string> }> {
  const tables = [...Object.keys(yaml.extract), ...folder.models.map(({ name }) => name)]
  const named = [...Object.values(yaml.enrich), ...folder.models.flatMap(each => each.function ?? [])]
  const files = named.flatMap(({ file }) => file ?? [])
  // Worker threads take longer to load than most folders to read.
  const { functions, faults } =
    files.length > 0
      ? await (await import('./ownFunctions.ts')).readFunctions(home, files)
      : { functions: new Map<string, Enrichment>(), faults: [] }
  const made = (file: string): Pick<Model, 'enrich' | 'partial'> => {
    const enrich = functions.get(file)
    return enrich ? { enrich } : { partial: true }
  }
  const own = folder.models.map((model): Model => {
    return model.function ? { ...model, ...made(model.function.file) } : model
  })
  const models = Object.entries(yaml.enrich).map(
    ([name, { kind, file, from, value = 'value', country }]): Model => {
      const path = ['enrich', name]
      if (!IDENTIFIER.test(name))
        document.problem(path, `enrich "${name}": a name is letters, digits and _, not a digit first`, 'key')
      if (!tables.includes(from))
        document.problem(
          [...path, 'from'],
          `enrich.${name}.from: no model or extract "${from}"${didYouMean(from, tables)}`,
        )
      const at = { name, file: `job.yaml: enrich.${name}` }
      if (!kind) return { ...at, sql: `SELECT * FROM ${quoteName(from)}`, ...made(file!) }
      const text = (column: string | undefined) =>
        `${column === undefined ? 'NULL' : quoteName(column)}::VARCHAR`
      const sql = `SELECT DISTINCT ${text(value)} AS value, ${text(country)} AS country FROM ${quoteName(from)} WHERE ${quoteName(value)} IS NOT NULL ORDER BY ALL`
      return { ...at, sql, enrich: enrichments[kind] }
    },
  )
  const loads = [...functions.values()].flatMap(({ own }) =>
    Object.keys(own!.loads).map(url => `${ENRICH}/${decodeURIComponent(url.slice(own!.folder.length))}`),
  )
  return { models: [...own, ...models], faults, loads: new Set(loads) }
}
