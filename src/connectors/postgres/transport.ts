import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { type ConnectionOptions, getCACertificates } from 'node:tls'
import { EngineError } from '../../../engine/errors.ts'

/** How to reach a server: the URL as the driver may have it, and what was taken out of it. Never logged. */
export interface Transport {
  url: string
  /** TLS; false: none; undefined: whatever the driver reads from the URL. */
  ssl: ConnectionOptions | false | undefined
  /** Without TLS where the server has none (sslmode=prefer). */
  orPlain: boolean
  timeoutMillis: number
}

const MODES = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'] as const
type Mode = (typeof MODES)[number]

const OURS = ['sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'connect_timeout', 'uselibpqcompat'] as const

/**
 * Reads the TLS and time-out parameters of a connection URL as libpq documents them (PostgreSQL documentation, "SSL
 * Support" of libpq), which the driver does not; PGSSLMODE, PGSSLROOTCERT, PGSSLCERT, PGSSLKEY and PGCONNECT_TIMEOUT
 * stand in for parameters that are absent.
 *
 * | sslmode | TLS | the server's certificate |
 * |---|---|---|
 * | absent, `disable` | no | |
 * | `prefer` | where the server has it | not checked |
 * | `require` | yes | not checked; with `sslrootcert` as `verify-ca` |
 * | `verify-ca` | yes | signed by `sslrootcert` (~/.postgresql/root.crt; `system`: the machine's own) |
 * | `verify-full` | yes | the same, and made out to the host of the URL |
 *
 * Other than libpq: absent is `disable`, as for the driver, not `prefer`; there is no `allow`. Paths start from the
 * working directory. Fails with CONFIG_INVALID, without quoting the URL.
 */
export function transportOf(url: string, name: string): Transport {
  const cut = url.indexOf('?')
  const query = new URLSearchParams(cut < 0 ? '' : url.slice(cut + 1))
  const ask = (key: (typeof OURS)[number]) =>
    query.get(key) || process.env[`PG${key.toUpperCase()}`] || undefined
  const mode = ask('sslmode')
  const seconds = ask('connect_timeout') ?? '15'
  if (!/^\d{1,6}$/.test(seconds)) throw invalid(name, `connect_timeout=${seconds} is not a number of seconds`)
  const transport: Transport = {
    url,
    ssl: undefined,
    orPlain: mode === 'prefer',
    timeoutMillis: Number(seconds) * 1000,
  }
  if (mode !== undefined) {
    if (!MODES.includes(mode as Mode)) throw invalid(name, `sslmode=${mode} is none of ${MODES.join(', ')}`)
    transport.ssl = tlsOf(mode as Mode, name, ask)
  }
  if (OURS.some(key => query.has(key))) {
    for (const key of OURS) query.delete(key)
    transport.url = query.size > 0 ? `${url.slice(0, cut)}?${query}` : url.slice(0, cut)
  }
  return transport
}

function tlsOf(
  mode: Mode,
  name: string,
  ask: (key: 'sslrootcert' | 'sslcert' | 'sslkey') => string | undefined,
): ConnectionOptions | false {
  if (mode === 'disable') return false
  const named = ask('sslrootcert')
  const cert = ask('sslcert')
  const key = ask('sslkey')
  if ((cert === undefined) !== (key === undefined))
    throw invalid(name, 'sslcert and sslkey belong together, and only one of them is set')
  const client: ConnectionOptions = {
    ...(cert && { cert: read(name, 'sslcert', cert) }),
    ...(key && { key: read(name, 'sslkey', key) }),
  }
  if (mode === 'prefer' || (mode === 'require' && !named)) return { ...client, rejectUnauthorized: false }
  if (named === 'system') {
    // libpq refuses the same: anyone can have a certificate of a public CA for a host of his own.
    if (mode !== 'verify-full') throw invalid(name, 'sslrootcert=system needs sslmode=verify-full')
    return { ...client, ca: getCACertificates('system') }
  }
  const root = named ?? join(homedir(), '.postgresql', 'root.crt')
  if (!named && !existsSync(root))
    throw invalid(name, `sslmode=${mode} needs sslrootcert=, for there is no ${root}`)
  const verified = { ...client, ca: read(name, 'sslrootcert', root) }
  return mode === 'verify-full' ? verified : { ...verified, checkServerIdentity: () => undefined }
}

function read(name: string, key: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw invalid(name, `${key}=${path} cannot be read (${(cause as NodeJS.ErrnoException).code})`)
  }
}

const invalid = (name: string, problem: string) =>
  new EngineError('CONFIG_INVALID', `${name}: the connection's url: ${problem}`, {
    hint: 'Its TLS parameters are sslmode (prefer, require, verify-ca, verify-full), sslrootcert, sslcert and sslkey.',
  })
