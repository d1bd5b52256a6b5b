import { EngineError } from '../../engine/errors.ts'
import { nearest } from '../../engine/nearest.ts'
import type { Connector } from './declare/define.ts'
import { duckdb } from './duckdb/index.ts'
import { http } from './http/index.ts'
import { job } from './job/index.ts'
import { lake } from './lake/index.ts'
import { local } from './local/index.ts'
import { mysql } from './mysql/index.ts'
import { postgres } from './postgres/index.ts'
import { s3 } from './s3/index.ts'
import { sftp } from './sftp/index.ts'

/** Every connector there is. A new one adds its import and its place in this list. */
export const connectors: readonly Connector[] = [duckdb, http, job, lake, local, mysql, postgres, s3, sftp]

/**
 * The connector that a URL's scheme selects. Messages never show the URL, which may hold a password.
 * Fails with CONFIG_INVALID where the URL has no scheme or one that no connector declares.
 */
export function connectorFor(url: string, among: readonly Connector[] = connectors): Connector {
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase()
  const schemes = among.flatMap(connector => connector.schemes)
  const found = among.find(connector => scheme !== undefined && connector.schemes.includes(scheme))
  if (found) return found
  const list = `known schemes: ${schemes.join(', ')}`
  if (scheme === undefined)
    throw new EngineError('CONFIG_INVALID', `a connection's URL must begin with a scheme; ${list}`, {
      ...(/^["']/.test(url) && {
        hint: 'It begins with a quote, which is no part of it: the file of docker --env-file has values without quotes.',
      }),
    })
  const near = nearest(scheme, schemes)
  throw new EngineError(
    'CONFIG_INVALID',
    `no connector for scheme "${scheme}"${near ? `; did you mean "${near}"?` : ''}; ${list}`,
  )
}
