import type { JobConnection } from '../spec/job.ts'

const SECRET_KEY = /pass(word|wd)?$|token|secret|authorization|api[_-]?key|private[_-]?key|credential/i

/** The strings of a job's connections that no log, report or message may show. */
export function secretsOf(connections: Record<string, JobConnection>): string[] {
  return [...new Set(Object.values(connections).flatMap(connection => connection.secrets))]
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
