import { dirname, join } from 'node:path'
import { parseDocument } from 'yaml'
import { EngineError } from '../../engine/errors.ts'
import type { SecretContext } from '../secrets/provider.ts'
import { Document } from './document.ts'
import { sharedSchema } from './schema.ts'
import { validate } from './validate.ts'

/** Connections that the jobs of a project share. */
export interface Shared {
  document: Document
  connections: Record<string, string | Record<string, unknown>>
  /** All that there are, also those that the job does not use. */
  names: string[]
}

/** Names of the connections in a connections.yaml; none where there is no such file, or it cannot be read. */
export function connectionNames(text: string | undefined): string[] {
  const yaml = text === undefined ? undefined : parseDocument(text).toJS()
  return Object.keys(yaml?.connections ?? {})
}

/** Reads connections.yaml beside a job's folder, of its connections those in `used`; undefined where there is none. */
export async function readShared(
  text: string | undefined,
  context: SecretContext & { folder: string },
  used: ReadonlySet<string>,
): Promise<Shared | undefined> {
  if (text === undefined) return undefined
  const folder = dirname(context.folder)
  const document = await Document.open(join(folder, 'connections.yaml'), text, { ...context, folder }, used)
  const yaml = validate(document, [], sharedSchema, document.value ?? {})
  document.throwIfAny()
  if (!yaml) throw new EngineError('CONFIG_INVALID', `${document.file} is not valid`)
  return { document, connections: yaml.connections, names: connectionNames(text) }
}
