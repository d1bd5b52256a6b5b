import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { EngineError } from '../../../engine/errors.ts'

/** What a server's key must be: one of these fingerprints, or what a known_hosts file says of it. */
export interface HostKeys {
  fingerprints: string[]
  /** Text of a known_hosts file. */
  knownHosts?: string
}

/** A key's fingerprint as OpenSSH writes it: `SHA256:…`. */
export function fingerprint(key: Buffer): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`
}

/** Types of the keys that a known_hosts file has for a server, so that one of those is asked for. */
export function knownTypes(text: string, host: string, port: number): string[] {
  return [...new Set(entriesFor(text, host, port).map(({ type }) => type))]
}

/** Why a server's key is refused, with what to do; undefined where it is the right one. There is no key that is trusted unseen. */
export function refusal(
  name: string,
  { fingerprints, knownHosts }: HostKeys,
  host: string,
  port: number,
  key: Buffer,
): EngineError | undefined {
  const offered = fingerprint(key)
  const where = `${name}: ${host}:${port}`
  if (fingerprints.length === 0 && knownHosts === undefined)
    return new EngineError(
      'TLS_FAILED',
      `${where} shows the host key ${offered}, and the connection names none`,
      {
        hint: `Ask the server's owner whether that is its key. If so, write into connections.${name}: host_key: "${offered}"`,
      },
    )
  if (fingerprints.some(known => known.replace(/=+$/, '') === offered)) return undefined
  const entries = knownHosts === undefined ? [] : entriesFor(knownHosts, host, port)
  const same = entries.filter(entry => entry.key.length === key.length && timingSafeEqual(entry.key, key))
  if (same.length > 0 && !same.some(({ revoked }) => revoked)) return undefined
  const known = [
    ...fingerprints,
    ...entries.filter(({ revoked }) => !revoked).map(entry => fingerprint(entry.key)),
  ]
  const said =
    same.length > 0
      ? 'known_hosts has revoked it'
      : known.length > 0
        ? `known: ${known.join(', ')}`
        : 'known_hosts has no key of it'
  return new EngineError(
    'TLS_FAILED',
    `${where} shows the host key ${offered}, which is not the known one (${said})`,
    {
      hint: `Someone may be listening in. Only when the server's owner says that the key was changed, write host_key: "${offered}".`,
    },
  )
}

/** The lines of known_hosts for a server; the format is sshd(8)'s, SSH_KNOWN_HOSTS FILE FORMAT. */
function entriesFor(text: string, host: string, port: number) {
  const named = port === 22 ? [host] : [`[${host}]:${port}`]
  return text.split(/\r?\n/).flatMap(line => {
    const fields = line.trim().split(/\s+/)
    if (fields[0] === '' || fields[0]!.startsWith('#')) return []
    const marker = fields[0]!.startsWith('@') ? fields.shift() : undefined
    const [hosts, type, key] = fields
    if (marker === '@cert-authority' || !hosts || !type || !key) return []
    if (!named.some(name => isFor(hosts, name))) return []
    return [{ type, key: Buffer.from(key, 'base64'), revoked: marker === '@revoked' }]
  })
}

function isFor(hosts: string, name: string): boolean {
  if (hosts.startsWith('|1|')) {
    const [, , salt, hash] = hosts.split('|')
    return createHmac('sha1', Buffer.from(salt!, 'base64')).update(name).digest('base64') === hash
  }
  const patterns = hosts.split(',')
  const hits = (pattern: string) =>
    new RegExp(
      `^${pattern
        .replace(/[.+^${}()|[\]\\]/g, '\\$&')
        .replace(/\*/g, '.*')
        .replace(/\?/g, '.')}$`,
      'i',
    ).test(name)
  if (patterns.some(pattern => pattern.startsWith('!') && hits(pattern.slice(1)))) return false
  return patterns.some(pattern => hits(pattern))
}
