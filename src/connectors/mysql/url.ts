import { readFileSync } from 'node:fs'
import { connect as connectSocket, isIP } from 'node:net'
import { resolve } from 'node:path'
import type { ConnectionOptions, SslOptions } from 'mysql2'
import { EngineError } from '../../../engine/errors.ts'
import type { TlsParameters } from '../wire/settings.ts'
import { steadySocket } from '../wire/steadySocket.ts'

// MySQL's words without PREFERRED, which would fall back to plain text unasked.
const MODES = ['DISABLED', 'REQUIRED', 'VERIFY_CA', 'VERIFY_IDENTITY']

export const TLS: TlsParameters = {
  mode: 'ssl-mode',
  verified: 'VERIFY_IDENTITY',
  ca: 'ssl-ca',
  cert: 'ssl-cert',
  key: 'ssl-key',
}
const FILES = [TLS.ca, TLS.cert, TLS.key]

/**
 * What a URL says of a connection: `mysql://user:password@host:3306/database?ssl-mode=VERIFY_IDENTITY&ssl-ca=path`,
 * in MySQL's own words. Without ssl-mode: plain text; `ssl-ca` alone asks for REQUIRED, which verifies the
 * certificate's issuer where ssl-ca is given, as MySQL's clients do. VERIFY_* without ssl-ca trust the public
 * authorities. Fails with CONFIG_INVALID; `name` is the connection's.
 */
export function connectionOptions(name: string, url: string): ConnectionOptions {
  const invalid = (what: string, hint: string) =>
    new EngineError('CONFIG_INVALID', `${name}: ${what}`, { hint })
  const plain = url.replace(/^mariadb:/i, 'mysql:')
  if (!URL.canParse(plain))
    throw invalid(
      "the connection's url is not a URL",
      'Write mysql://user:password@host:3306/database, with special characters percent-encoded.',
    )
  const { hostname, port, pathname, username, password, searchParams } = new URL(plain)
  for (const key of searchParams.keys())
    if (key !== TLS.mode && !FILES.includes(key))
      throw invalid(
        `the connection's url has an unknown parameter ${key}`,
        'It may have ssl-mode, ssl-ca, ssl-cert and ssl-key.',
      )
  const ca = searchParams.get('ssl-ca')
  const mode = (searchParams.get('ssl-mode') ?? (ca === null ? 'DISABLED' : 'REQUIRED')).toUpperCase()
  if (!MODES.includes(mode))
    throw invalid(`ssl-mode ${mode} in the connection's url is unknown`, `Take ${MODES.join(', ')}.`)
  const host = decodeURIComponent(hostname.replace(/^\[(.*)\]$/, '$1')) || 'localhost'
  const options: ConnectionOptions = {
    host,
    port: Number(port) || 3306,
    database: decodeURIComponent(pathname.slice(1)),
    user: decodeURIComponent(username),
    password: decodeURIComponent(password),
  }
  if (mode === 'DISABLED') {
    options.stream = () => steadySocket().connect(options.port!, host).setNoDelay().setKeepAlive(true)
    return options
  }
  const ssl: SslOptions = { rejectUnauthorized: ca !== null || mode !== 'REQUIRED' }
  for (const key of ['ca', 'cert', 'key'] as const) {
    const file = searchParams.get(TLS[key])
    if (file === null) continue
    try {
      ssl[key] = readFileSync(file)
    } catch (cause) {
      throw new EngineError('CONFIG_INVALID', `${name}: cannot read ${TLS[key]} ${file}`, { cause })
    }
  }
  if (mode === 'VERIFY_IDENTITY') {
    ssl.verifyIdentity = true
    // The driver leaves an address out of the TLS handshake, and Node then expects a certificate for `localhost`
    // unless the socket says whom it was opened to.
    if (isIP(host))
      options.stream = () =>
        Object.assign(connectSocket(options.port!, host).setNoDelay().setKeepAlive(true), { _host: host })
  }
  return { ...options, ssl }
}

/** The same URL with its files from `baseDir`. What is no URL stays as it is. */
export function withAbsoluteFiles(url: string, baseDir: string): string {
  if (!URL.canParse(url)) return url
  const parsed = new URL(url)
  const named = FILES.filter(name => parsed.searchParams.has(name))
  if (named.length === 0) return url
  for (const name of named) parsed.searchParams.set(name, resolve(baseDir, parsed.searchParams.get(name)!))
  return parsed.href
}
