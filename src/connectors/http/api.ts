import { setTimeout as sleep } from 'node:timers/promises'
import { EngineError } from '../../../engine/errors.ts'

/** How to reach an API: plain data, which holds a secret. */
export interface Access {
  /** The connection's name. */
  name: string
  url: string
  token?: string
  /** Seconds that one response may take. */
  timeout: number
}

export interface Answer {
  status: number
  type: string
  text: string
}

const RETRIES = 3
const BACKOFF_MS = 250
/** A server that asks for a longer pause is better met by the job's own retry. */
const LONGEST_PAUSE_MS = 60_000

// What fetch's cause carries where no connection came about (nothing where fetch itself refuses): a retry meets the same.
const UNREACHABLE =
  /^(ECONNREFUSED|ENOTFOUND|EHOSTUNREACH|ENETUNREACH|CERT_|ERR_TLS|DEPTH_ZERO|UNABLE_TO|SELF_SIGNED)/

/** GET requests to one API, with its credentials, time limit and retries. Messages show paths, never a query. */
export class Api {
  private readonly access: Access
  private readonly base: URL
  private readonly headers: Record<string, string> = { accept: 'application/json' }
  private readonly secrets: string[]

  constructor(access: Access) {
    this.access = access
    this.base = new URL(access.url)
    const { username, password } = this.base
    // fetch refuses a URL with credentials.
    this.base.username = ''
    this.base.password = ''
    const basic = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
    if (access.token) this.headers.authorization = `Bearer ${access.token}`
    else if (username) this.headers.authorization = `Basic ${Buffer.from(basic).toString('base64')}`
    this.secrets = [access.token, decodeURIComponent(password)].filter(secret => secret) as string[]
  }

  /** The answer to one request. Fails with AUTH_FAILED, CONNECTION_FAILED, CONNECTION_LOST, TIMEOUT or RESPONSE_INVALID. */
  async get(path: string, query: Record<string, string>, signal: AbortSignal): Promise<Answer> {
    const url = this.url(path, query)
    const where = `${this.access.name} ${url.pathname}`
    for (let attempt = 0; ; attempt++) {
      const { answer, failure, pause } = await this.once(url, where, signal)
      if (answer) return answer
      if (attempt === RETRIES) throw failure
      await sleep(pause ?? BACKOFF_MS * 2 ** attempt * (0.5 + Math.random() / 2), undefined, { signal })
    }
  }

  /** The first 80 characters of a body, on one line and without our own secrets. */
  excerpt(text: string): string {
    for (const secret of this.secrets) text = text.replaceAll(secret, '***')
    return JSON.stringify(text.slice(0, 80))
  }

  private url(path: string, query: Record<string, string>): URL {
    const [pathname, search = ''] = path.split('?', 2)
    const url = new URL(this.base)
    url.pathname = this.base.pathname.replace(/\/$/, '') + pathname
    for (const [name, value] of new URLSearchParams(search)) url.searchParams.append(name, value)
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
    return url
  }

  // An answer, or a failure that a retry may cure; every other failure is thrown.
  private async once(url: URL, where: string, signal: AbortSignal): Promise<Outcome> {
    const limit = AbortSignal.timeout(this.access.timeout * 1000)
    let response: Response | undefined
    let bytes: ArrayBuffer
    try {
      response = await fetch(url, { headers: this.headers, signal: AbortSignal.any([signal, limit]) })
      bytes = await response.arrayBuffer()
    } catch (cause) {
      signal.throwIfAborted()
      if (limit.aborted)
        throw new EngineError('TIMEOUT', `${where}: no complete answer within ${this.access.timeout} s`, {
          hint: 'Raise timeout of the connection, or ask for smaller pages with limit.',
        })
      const { code, message } = reason(cause)
      if (!response && (code === '' || UNREACHABLE.test(code)))
        throw new EngineError('CONNECTION_FAILED', `${where}: cannot reach ${this.base.host}: ${message}`, {
          hint: `Check the url of the connection ${this.access.name}, and that its server runs.`,
        })
      const what = response ? 'the answer broke off' : `no answer from ${this.base.host}`
      return {
        failure: new EngineError(
          response ? 'CONNECTION_LOST' : 'CONNECTION_FAILED',
          `${where}: ${what}: ${message}`,
        ),
      }
    }
    const { status } = response
    const type = response.headers.get('content-type') ?? 'no content type'
    if (response.ok) return { answer: { status, type, text: this.decode(where, bytes) } }
    const text = new TextDecoder().decode(bytes.slice(0, 4096))
    const message = `${where}: status ${status}, ${type}: ${this.excerpt(text)}`
    if (status === 401 || status === 403)
      throw new EngineError('AUTH_FAILED', message, {
        hint: `Check token of the connection ${this.access.name}: it may be wrong, expired, or not allowed to read this path.`,
      })
    if (status === 429 || status >= 500) {
      const pause = retryAfter(response.headers.get('retry-after'))
      const failure = new EngineError('CONNECTION_FAILED', message)
      if (pause !== undefined && pause > LONGEST_PAUSE_MS) throw failure
      return { failure, pause }
    }
    throw new EngineError('RESPONSE_INVALID', message)
  }

  private decode(where: string, bytes: ArrayBuffer): string {
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    } catch (cause) {
      throw new EngineError('RESPONSE_INVALID', `${where}: the answer is not UTF-8`, { cause })
    }
  }
}

type Outcome =
  | { answer: Answer; failure?: undefined; pause?: undefined }
  | { answer?: undefined; failure: EngineError; pause?: number }

/** Milliseconds of a Retry-After header (RFC 9110, 10.2.3): seconds or an HTTP date. */
function retryAfter(header: string | null): number | undefined {
  if (header === null) return undefined
  const pause = /^\d+$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - Date.now()
  return Number.isNaN(pause) ? undefined : Math.max(0, pause)
}

function reason(thrown: unknown): { code: string; message: string } {
  const inner = thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause : thrown
  const code = String((inner as { code?: unknown }).code ?? '')
  const message = inner instanceof Error && inner.message ? inner.message : code
  return { code, message }
}
