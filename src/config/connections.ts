import { z } from 'zod'
import { EngineError } from '../../engine/errors.ts'
import { ownValue } from '../../engine/ownValue.ts'
import type { ConnectionContext, Connector, Timeouts } from '../connectors/declare/define.ts'
import { connectorFor } from '../connectors/index.ts'
import type { JobConnection } from '../spec/job.ts'
import type { Document } from './document.ts'
import type { JobYaml } from './schema.ts'
import { secretsIn } from './secrets.ts'
import { validate } from './validate.ts'

/**
 * Finds each connection's connector by its URL and parses its settings; problems go to the document. Its paths start at
 * the folder of the included file that says its URL, or at `folder`. `at`: where they stand in the document.
 */
export function readConnections(
  document: Document,
  connections: JobYaml['connections'],
  folder: string,
  registry: readonly Connector[],
  timeouts: { every: Timeouts; connect: Record<string, number> },
  compress: boolean,
  at: string[] = ['connections'],
): Record<string, JobConnection> {
  const read: Record<string, JobConnection> = {}
  for (const [name, value] of Object.entries(connections)) {
    const settings = typeof value === 'string' ? { url: value } : value
    const path = [...at, name]
    const urlPath = typeof value === 'string' ? path : [...path, 'url']
    if (typeof settings.url !== 'string') {
      document.problem(urlPath, `${path.join('.')} needs "url": a string`)
      continue
    }
    const encoding = encodingProblem(settings.url)
    if (encoding !== undefined) {
      document.problem(
        urlPath,
        `${urlPath.join('.')}: ${encoding}; a password with any character goes into password: beside the url`,
      )
      continue
    }
    const connector = find(document, urlPath, settings.url, registry)
    if (!connector) continue
    const { config: schema } = connector
    const before = document.count
    const config = validate(
      document,
      path,
      schema instanceof z.ZodObject ? schema.strict() : schema,
      settings,
    )
    if (document.count > before) continue
    const secrets = [...new Set([...secretsIn(settings), ...secretsIn(config)])]
    const connect = ownValue(timeouts.connect, name)
    const context = {
      name,
      baseDir: document.folderOf(urlPath) ?? folder,
      timeouts: { ...timeouts.every, ...(connect !== undefined && { connect }) },
      ...(compress && { compress }),
      secrets: [...new Set([...document.secrets, ...secrets])],
    }
    const problem = settingsProblem(connector, config, context)
    if (problem !== undefined) document.problem(path, problem, 'key')
    else read[name] = { name, connector, config, context, secrets }
  }
  return read
}

/** What is wrong with how the user and the password of a URL are encoded. */
export function encodingProblem(url: string): string | undefined {
  const [, credentials = ''] = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)@/i.exec(url) ?? []
  return /%(?![0-9a-f]{2})/i.test(credentials) ? 'expected %25 for a % in user or password' : undefined
}

/** Why a connection's settings cannot work, though each is well-formed; undefined where nothing is known against them. */
function settingsProblem(
  connector: Connector,
  config: unknown,
  context: ConnectionContext,
): string | undefined {
  try {
    connector.check?.(config, context)
    return undefined
  } catch (error) {
    if (!(error instanceof EngineError)) throw error
    return error.hint === undefined ? error.message : `${error.message}. ${error.hint}`
  }
}

function find(document: Document, path: string[], url: string, registry: readonly Connector[]) {
  try {
    return connectorFor(url, registry)
  } catch (error) {
    if (!(error instanceof EngineError)) throw error
    document.problem(path, `${path.join('.')}: ${error.message}${error.hint ? `. ${error.hint}` : ''}`)
    return undefined
  }
}
