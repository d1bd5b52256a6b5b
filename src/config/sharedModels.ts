import { isMapping } from '../util/mapping.ts'
import type { Document } from './document.ts'

/** A model of another job: its name, and that of the job. */
export interface SharedModel {
  job: string
  model: string
}

const SHORT = /^([A-Za-z_]\w*)\.([A-Za-z_]\w*)$/

/**
 * The job's content with `from: shop.customers` of an extract spelled out: a connection `shop` to `job:shop`, and `model:
 * customers`. A connection of that name to something else is a problem of the document.
 */
export function withSharedModels(document: Document, content: unknown): unknown {
  if (!isMapping(content) || !isMapping(content.extract)) return content
  const connections = isMapping(content.connections) ? { ...content.connections } : {}
  const extract = { ...content.extract }
  for (const [name, keys] of Object.entries(extract)) {
    if (!isMapping(keys) || typeof keys.from !== 'string' || Object.hasOwn(connections, keys.from)) continue
    const [, job, model] = SHORT.exec(keys.from) ?? []
    if (job === undefined || model === undefined) continue
    const path = ['extract', name, 'from']
    if (isNamed(content, job) || (Object.hasOwn(connections, job) && connections[job] !== `job:${job}`))
      document.problem(
        path,
        `extract.${name}.from: ${job} is a connection here, too; name the job's own: connections: { ${job}_job: "job:${job}" }, and here from: ${job}_job, model: ${model}`,
      )
    connections[job] ??= `job:${job}`
    document.derive(['connections', job], path)
    extract[name] = { ...keys, from: job, model: keys.model ?? model }
  }
  return { ...content, extract, ...(Object.keys(connections).length > 0 && { connections }) }
}

/** Whether a job takes a connection of a name, which it may share with others. */
const isNamed = ({ extract, load }: Record<string, unknown>, name: string): boolean =>
  [extract, load]
    .filter(isMapping)
    .flatMap(part => Object.values(part))
    .some(
      keys => isMapping(keys) && (keys.from === name || keys.to === name) && !Object.hasOwn(keys, 'model'),
    )

/** The model that an extract reads, where its connection is another job. */
export function sharedModelOf(
  name: string,
  keys: Record<string, unknown>,
  connections: Record<string, unknown>,
): SharedModel | undefined {
  const settings = connections[String(keys.from)]
  const url = isMapping(settings) ? settings.url : settings
  const [, job] = typeof url === 'string' ? (/^job:(\w+)$/i.exec(url) ?? []) : []
  return job === undefined ? undefined : { job, model: typeof keys.model === 'string' ? keys.model : name }
}
