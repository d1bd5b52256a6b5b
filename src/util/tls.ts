import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import { z } from 'zod'
import { EngineError } from '../../engine/errors.ts'

const text = z.string().min(1)

/** What a connection over HTTPS may say of certificates and of the way. */
export const tlsOptions = {
  /** PEM files, from the job's folder: the authorities that the server's certificate must be of, and the client's own. */
  ca: text.optional(),
  cert: text.optional(),
  key: text.optional(),
  /** URL of an HTTP proxy, or `none`; default: HTTPS_PROXY, HTTP_PROXY and NO_PROXY. */
  proxy: z.union([z.literal('none'), z.url({ protocol: /^https?$/ })]).optional(),
}

/** The same as plain data, with what the files hold. */
export interface Tls {
  ca?: string
  cert?: string
  key?: string
  proxy?: string
}

type TlsSettings = { [name in keyof typeof tlsOptions]?: string | undefined }

/** Reads the files of settings. Fails with CONFIG_INVALID; `where` is the connection. */
export function readTls(where: string, settings: TlsSettings, baseDir: string): Tls {
  const { proxy, ca, cert, key } = settings
  const files = { ca, cert, key }
  const tls: Tls = proxy === undefined ? {} : { proxy }
  for (const name of ['ca', 'cert', 'key'] as const) {
    const file = files[name]
    if (file === undefined) continue
    const path = resolve(baseDir, file)
    try {
      tls[name] = readFileSync(path, 'utf8')
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException
      throw new EngineError('CONFIG_INVALID', `${where}.${name}: ${path} cannot be read (${code})`, { cause })
    }
  }
  if ((tls.cert === undefined) !== (tls.key === undefined))
    throw new EngineError(
      'CONFIG_INVALID',
      `${where}: cert and key belong together, and only one of them is set`,
    )
  for (const names of [['ca'], ['cert', 'key']] as const)
    try {
      createSecureContext(Object.fromEntries(names.map(name => [name, tls[name]])))
      // A context takes any text for authorities, and then trusts nobody.
      if (tls[names[0]] !== undefined) new X509Certificate(tls[names[0]]!)
    } catch (cause) {
      throw new EngineError(
        'CONFIG_INVALID',
        `${where}.${names[0]}: ${files[names[0]]} is no PEM file, or its key is another's`,
        { cause },
      )
    }
  return tls
}

/**
 * What a client trusts: the connection's own authorities, or else those that come with Node, the machine's own, and those
 * of SSL_CERT_FILE and NODE_EXTRA_CA_CERTS.
 */
export function secureContext({ ca, cert, key }: Tls): SecureContext {
  return createSecureContext({
    ca: ca ?? trusted(),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
  })
}

let known: string[] | undefined

function trusted(): string[] {
  if (known) return known
  const { SSL_CERT_FILE } = process.env
  let named: string[] = []
  if (SSL_CERT_FILE)
    try {
      named = [readFileSync(SSL_CERT_FILE, 'utf8')]
    } catch (cause) {
      throw new EngineError('CONFIG_INVALID', `SSL_CERT_FILE: ${SSL_CERT_FILE} cannot be read`, { cause })
    }
  known = [...new Set([...getCACertificates('default'), ...getCACertificates('system'), ...named])]
  return known
}

/** Codes of Node and OpenSSL that say that a certificate is refused, by us or by the server. */
export const isTlsFailure = (code: string) =>
  /^ERR_(TLS|SSL|OSSL)_|CERT|CRL|^(UNABLE_TO|INVALID_CA|PATH_LENGTH|HOSTNAME_MISMATCH|EPROTO)/.test(code)

/** What helps against {@link isTlsFailure}. */
export const TLS_HINT =
  'Write ca: FILE (PEM, the authority of the server’s certificate) into the connection, or set SSL_CERT_FILE; cert: and key: where the server asks for a certificate.'

/** The proxies of settings, as the environment would name them. */
export function proxyEnv({ proxy }: Tls): Record<string, string | undefined> {
  if (proxy === 'none') return {}
  if (proxy !== undefined) return { HTTP_PROXY: proxy, HTTPS_PROXY: proxy }
  return process.env
}
