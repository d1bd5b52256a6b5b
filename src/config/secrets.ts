import { existsSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import type { Expansion } from './variables.ts'

/** What a reference gives that can be no secret: small numbers, flags, fingerprints, folders, places without credentials. */
function isPublic(value: string): boolean {
  if (/^(\d{0,5}|true|false|SHA256:[A-Za-z0-9+/]{43}=?)$/.test(value)) return true
  if (isAbsolute(value) && existsSync(value)) return true
  if (!URL.canParse(value) || !/^[a-z][a-z0-9+.-]*:\/\//i.test(value)) return false
  const { username, search, pathname } = new URL(value)
  // The address of a webhook is its key.
  return username === '' && search === '' && !/(?=[^/]*\d)[\w:-]{20,}/.test(pathname)
}

const SECRET_KEY =
  /pass(word|wd)?$|token|secret|authorization|api[_-]?key|private[_-]?key|credential|^headers$/i

/** Of what references in a file's `text` gave: all that may be secret, whatever the key is called that it was for. */
export function secretValues(text: string, expansions: ReadonlyMap<string, Expansion>): string[] {
  const found = new Set<string>()
  const words = new Set(text.replace(/\$\{[^}]*\}/g, ' ').match(/[\w.-]+/g))
  for (const { used } of expansions.values())
    for (const { value, given, place } of used) {
      for (const secret of secretsIn(value)) found.add(secret)
      if (given && !place && !words.has(value) && !isPublic(value)) found.add(value)
    }
  found.delete('')
  return [...found]
}

/** The secrets in one connection's settings: passwords and tokens in URLs, and values of keys that name a secret. */
export function secretsIn(settings: unknown): string[] {
  const found = new Set<string>()
  collect(settings, '', found)
  found.delete('')
  return [...found]
}

function collect(value: unknown, key: string, found: Set<string>): void {
  if (value instanceof URL) collect(value.href, key, found)
  else if (typeof value === 'string') {
    for (const secret of inUrl(value)) found.add(secret)
    if (!SECRET_KEY.test(key)) return
    found.add(value)
    // `Authorization: Bearer abc`: the part after the scheme is the secret.
    const credentials = /^(?:bearer|basic|token)\s+(.+)$/i.exec(value)?.[1]
    if (credentials) found.add(credentials)
  } else if (typeof value === 'object' && value !== null) {
    const inherited = SECRET_KEY.test(key) ? key : ''
    for (const [name, inner] of Object.entries(value)) collect(inner, inherited || name, found)
  }
}

function inUrl(text: string): string[] {
  if (!URL.canParse(text)) return []
  const url = new URL(text)
  const written = /^[^:]+:\/\/[^/?#]*?:([^/?#]*)@/.exec(text)?.[1] ?? ''
  const secrets = [written, url.password, decoded(url.password)]
  for (const [name, value] of url.searchParams)
    if (SECRET_KEY.test(name)) secrets.push(value, encodeURIComponent(value))
  return secrets
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
