import type { LoadSpec } from '../../engine/ports.ts'
import type { Document } from './document.ts'
import type { JobFolder } from './folder.ts'
import type { JobConnection } from './job.ts'
import { didYouMean } from './nearest.ts'
import { IDENTIFIER, type JobYaml } from './schema.ts'

/** Checks each load against the connections, extracts and models it names. */
export function readLoads(
  document: Document,
  yaml: JobYaml,
  connections: Record<string, JobConnection>,
  folder: JobFolder,
): LoadSpec[] {
  const tables = [...Object.keys(yaml.extract), ...folder.models.map(model => model.name)]
  return Object.entries(yaml.load).map(([table, load]) => {
    const path = ['load', table]
    if (!Object.hasOwn(yaml.connections, load.to))
      document.problem(
        [...path, 'to'],
        `load.${table}.to: no connection "${load.to}"${didYouMean(load.to, Object.keys(yaml.connections))}`,
      )
    else if (connections[load.to]?.connector.capabilities.target === false)
      document.problem(
        [...path, 'to'],
        `load.${table}.to: ${connections[load.to]?.connector.name} cannot be loaded into`,
      )
    if (!tables.includes(load.from))
      document.problem(
        [...path, 'from'],
        `load.${table}.from: no model or extract "${load.from}"${didYouMean(load.from, tables)}`,
      )
    if (load.key.length === 0) document.problem([...path, 'key'], `load.${table}.key: a merge needs a key`)
    const { to, from, key, newer, stamp } = load
    return {
      table,
      to,
      from,
      key,
      insertOnly: load.insert_only,
      ...(newer !== undefined && { newer }),
      ...(stamp !== undefined && { stamp }),
    }
  })
}

/** Problems of the SQL files' names, each `file: message`: models that clash, checks on models that do not exist. */
export function fileProblems(yaml: JobYaml, folder: JobFolder): string[] {
  const problems: string[] = []
  // DuckDB's names ignore case.
  const taken = new Map(Object.keys(yaml.extract).map(name => [name.toLowerCase(), `extract "${name}"`]))
  if (taken.size < Object.keys(yaml.extract).length)
    problems.push('job.yaml: two extracts have names that differ in case only')
  for (const { name, file } of folder.models) {
    const other = taken.get(name.toLowerCase())
    if (other) problems.push(`${file}: model "${name}" has the name of ${other}`)
    if (!IDENTIFIER.test(name))
      problems.push(`${file}: a model's name is letters, digits and _, not a digit first`)
    taken.set(name.toLowerCase(), file)
  }
  const models = folder.models.map(model => model.name)
  for (const { model, file } of folder.checks)
    if (model !== undefined && !models.includes(model))
      problems.push(`${file}: no model "${model}" to check${didYouMean(model, models)}`)
  return problems
}
