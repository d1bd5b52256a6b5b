import type { Enrichment } from '../../engine/contracts/enrichment.ts'
import { didYouMean } from '../../engine/nearest.ts'
import { quoteName } from '../../engine/sql/duckdb.ts'
import type { Fault } from '../../engine/sql/faults.ts'
import { enrichments } from '../enrich/index.ts'
import type { Model } from '../spec/job.ts'
import type { Document } from './document.ts'
import { ENRICH, type JobFolder } from './folder.ts'
import { IDENTIFIER, type JobYaml } from './schema.ts'

/** The tables of `enrich`, as models over the tables that they are made from, and what is wrong with their functions. */
export async function readEnrichments(
  document: Document,
  yaml: JobYaml,
  folder: Pick<JobFolder, 'models'>,
  home: string,
): Promise<{ models: Model[]; faults: Fault[]; loads: Set<string> }> {
  const tables = [...Object.keys(yaml.extract), ...folder.models.map(({ name }) => name)]
  const files = Object.values(yaml.enrich).flatMap(({ file }) => file ?? [])
  // Worker threads take longer to load than most folders to read.
  const { functions, faults } =
    files.length > 0
      ? await (await import('./ownFunctions.ts')).readFunctions(home, files)
      : { functions: new Map<string, Enrichment>(), faults: [] }
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
      if (!kind) {
        const enrich = functions.get(file!)
        return { ...at, sql: `SELECT * FROM ${quoteName(from)}`, ...(enrich && { enrich }) }
      }
      const text = (column: string | undefined) =>
        `${column === undefined ? 'NULL' : quoteName(column)}::VARCHAR`
      const sql = `SELECT DISTINCT ${text(value)} AS value, ${text(country)} AS country FROM ${quoteName(from)} WHERE ${quoteName(value)} IS NOT NULL ORDER BY ALL`
      return { ...at, sql, enrich: enrichments[kind] }
    },
  )
  const loads = [...functions.values()].flatMap(({ own }) =>
    Object.keys(own!.loads).map(url => `${ENRICH}/${decodeURIComponent(url.slice(own!.folder.length))}`),
  )
  return { models, faults, loads: new Set(loads) }
}
