import { join } from 'node:path'
import { didYouMean } from '../../engine/nearest.ts'
import type { Fault } from '../../engine/sql/faults.ts'
import { readDeclaredChecks } from './declaredChecks.ts'
import type { Document } from './document.ts'
import { readEnrichments } from './enrichments.ts'
import type { JobFolder } from './folder.ts'
import { ConfigInvalid } from './invalid.ts'
import { IDENTIFIER, type JobYaml } from './schema.ts'
import { readSeeds } from './seeds.ts'

/** The folder with the models and checks, too, that job.yaml and seeds make. Problems go to the document. */
export async function withDeclared(
  document: Document,
  yaml: JobYaml,
  found: JobFolder,
  folder: string,
): Promise<JobFolder> {
  const seeds = await readSeeds(document, yaml, found.seeds)
  const own = { ...found, models: [...found.models, ...seeds.models] }
  const enriched = await readEnrichments(document, yaml, own, folder)
  const { models } = enriched
  const checks = [...found.checks, ...readDeclaredChecks(document, yaml, models)]
  const problems = [...found.problems, ...seeds.faults, ...enriched.faults]
  // What a function that cannot be loaded imports is not known.
  const unused = enriched.faults.length > 0 ? [] : found.functions.filter(file => !enriched.loads.has(file))
  const passedOver = [
    ...found.passedOver,
    ...unused.map(file => ({
      file,
      message: 'is not loaded: no model and nothing in job.yaml names it, or a file that imports it',
      hint: `Write -- @enrich ${file} before the query of a model, or remove the file.`,
    })),
  ]
  return { ...found, models, checks, problems, passedOver }
}

/** Fails with CONFIG_INVALID where files of a job's folder cannot be what their names say. */
export function refuseFiles(folder: string, yaml: Pick<JobYaml, 'extract'>, files: JobFolder): void {
  const faults = fileFaults(folder, yaml, files)
  if (faults.length > 0) throw new ConfigInvalid(faults)
}

/** What is wrong with them. */
export const fileFaults = (folder: string, yaml: Pick<JobYaml, 'extract'>, files: JobFolder): Fault[] =>
  problemsOf(yaml, files).map(fault => ({ ...fault, file: join(folder, fault.file) }))

/** Problems of the SQL files' names: models that clash, checks on models that do not exist. */
function problemsOf(yaml: Pick<JobYaml, 'extract'>, folder: JobFolder): Fault[] {
  const problems = [...folder.problems]
  // DuckDB's names ignore case.
  const taken = new Map(Object.keys(yaml.extract).map(name => [name.toLowerCase(), `extract "${name}"`]))
  if (taken.size < Object.keys(yaml.extract).length)
    problems.push({ file: 'job.yaml', message: 'two extracts have names that differ in case only' })
  for (const { name, file } of folder.models) {
    const other = taken.get(name.toLowerCase())
    if (other) problems.push({ file, message: `model "${name}" has the name of ${other}` })
    if (!IDENTIFIER.test(name))
      problems.push({ file, message: "a model's name is letters, digits and _, not a digit first" })
    taken.set(name.toLowerCase(), file)
  }
  const tables = [...Object.keys(yaml.extract), ...folder.models.map(model => model.name)]
  for (const { model, file } of folder.checks)
    if (model !== undefined && !tables.includes(model))
      problems.push({ file, message: `no model or extract "${model}" to check${didYouMean(model, tables)}` })
  // Names that settings make stand behind those of files.
  for (const [index, { name, model, file }] of folder.checks.entries()) {
    const other = folder.checks.slice(index + 1).find(each => each.name === name && each.model === model)
    if (other)
      problems.push({ file, message: `is called ${name}, as ${other.file} is: give the file another name` })
  }
  return problems
}
