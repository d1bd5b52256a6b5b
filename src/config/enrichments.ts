import { didYouMean } from '../../engine/nearest.ts'
import { quoteName } from '../../engine/sql/duckdb.ts'
import { enrichments } from '../enrich/index.ts'
import type { Model } from '../spec/job.ts'
import type { Document } from './document.ts'
import type { JobFolder } from './folder.ts'
import { IDENTIFIER, type JobYaml } from './schema.ts'

/** The tables of `enrich`, as models over the tables that they are made from. */
export function readEnrichments(document: Document, yaml: JobYaml, folder: JobFolder): Model[] {
  const tables = [...Object.keys(yaml.extract), ...folder.models.map(({ name }) => name)]
  return Object.entries(yaml.enrich).map(([name, { kind, from, value, country }]) => {
    const path = ['enrich', name]
    if (!IDENTIFIER.test(name))
      document.problem(path, `enrich "${name}": a name is letters, digits and _, not a digit first`, 'key')
    if (!tables.includes(from))
      document.problem(
        [...path, 'from'],
        `enrich.${name}.from: no model or extract "${from}"${didYouMean(from, tables)}`,
      )
    const column = country === undefined ? 'NULL' : quoteName(country)
    const sql = `SELECT ${quoteName(value)} AS value, ${column} AS country FROM ${quoteName(from)}`
    return { name, file: `job.yaml: enrich.${name}`, sql, enrich: enrichments[kind] }
  })
}
