import { dirname, join } from 'node:path'
import { EngineError } from '../../engine/errors.ts'
import type { SecretContext } from '../secrets/provider.ts'
import { isMapping } from '../util/mapping.ts'
import { Document } from './document.ts'
import { sharedSchema } from './schema.ts'
import { validate } from './validate.ts'
import { keysBelow } from './yaml.ts'

/** Connections that the jobs of a project share. */
export interface Shared {
  document: Document
  connections: Record<string, string | Record<string, unknown>>
  /** All that there are, also those that the job does not use. */
  names: string[]
}

/** Names of the connections in a connections.yaml; none where there is no such file, or it cannot be read. */
export const connectionNames = (text: string | undefined): string[] =>
  text === undefined ? [] : keysBelow(text, 'connections')

/** Reads connections.yaml beside a job's folder, of its connections those in `used`; undefined where there is none. */
export async function readShared(
  text: string | undefined,
  context: SecretContext & { folder: string },
  used: ReadonlySet<string>,
): Promise<Shared | undefined> {
  if (text === undefined) return undefined
  const folder = dirname(context.folder)
  // What others refer to need not be there.
  const isUsed = (name: unknown) => used.has(String(name))
  const document = await Document.open(
    join(folder, 'connections.yaml'),
    text,
    { ...context, folder },
    path => path[0] !== 'connections' || path.length < 2 || isUsed(path[1]),
  )
  const yaml = validate(document, [], sharedSchema, withUsed(document.value, isUsed))
  document.throwIfAny()
  if (!yaml) throw new EngineError('CONFIG_INVALID', `${document.file} is not valid`)
  return { document, connections: yaml.connections, names: connectionNames(text) }
}

function withUsed(content: unknown, isUsed: (name: string) => boolean): unknown {
  if (!isMapping(content) || !isMapping(content.connections)) return content ?? {}
  const used = Object.entries(content.connections).filter(([name]) => isUsed(name))
  return { ...content, connections: Object.fromEntries(used) }
}
