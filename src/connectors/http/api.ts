import { setTimeout as sleep } from 'node:timers/promises'
import { EngineError } from '../../../engine/errors.ts'
import type { Access } from './access.ts'
import { Auth } from './auth.ts'
import { bodyOf, startOf, textOf } from './body.ts'
import { givenUp, lost } from './failure.ts'
import { backoff, Pace, retryAfter } from './pace.ts'

export interface Answer {
  /** Where it came from, after redirects. */
  url: URL
  status: number
  type: string
  /** The Link header. */
  link: string | null
  text: string
}

/** A server that asks for a longer pause is better met by the job's own retry. */
const LONGEST_PAUSE_MS = 60_000
const REDIRECTS = [301, 302, 303, 307, 308]
const MOST_REDIRECTS = 5
/** Bytes of an error's body that are read for its message. */
const SHOWN = 4096

/** GET requests to one API, with its credentials, budget, time limit and retries. Messages show paths, never a query. */
export class Api {
  private readonly access: Access
  private readonly base: URL
  private readonly auth: Auth
  private readonly pace: Pace

  constructor(access: Access) {
    this.access = access
    this.base = new URL(access.url)
    // fetch refuses a URL with credentials.
    this.base.username = ''
    this.base.password = ''
    this.auth = new Auth(access)
    this.pace = new Pace(access.perMinute)
  }

  /** The URL of a path below the API's own; `path` may carry a query, which `query` overrides. */
  url(path: string, query: Record<string, string>): URL {
    const [pathname, search = ''] = path.split('?', 2)
    const url = new URL(this.base)
    url.pathname = this.base.pathname.replace(/\/$/, '') + pathname
    for (const [name, value] of new URLSearchParams(search)) url.searchParams.append(name, value)
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
    return url
  }

  /**
   * The URL that an answer leads to, `from` being its own. Fails with RESPONSE_INVALID where that is of an origin that
   * the connection does not allow.
   */
  follow(link: string, from: URL, where: string): URL {
    const url = URL.canParse(link, from) ? new URL(link, from) : undefined
    if (!url || !/^https?:$/.test(url.protocol))
      throw new EngineError('RESPONSE_INVALID', `${where}: ${this.excerpt(link)} is no URL to go on with`)
    if (url.origin !== this.base.origin && !this.access.origins.includes(url.origin))
      throw new EngineError(
        'RESPONSE_INVALID',
        `${where}: the answer leads to ${url.origin}, another than ${this.base.origin}`,
        {
          hint: `Nothing was sent there. If it is right, name it in origins of the connection ${this.access.name} (it is asked without credentials), or correct the url.`,
        },
      )
    url.username = ''
    url.password = ''
    url.hash = ''
    return url
  }

  /**
   * A URL as text that may be kept: of the API's own origin without the origin, and without what the connection's URL
   * itself asks with, since that may be a secret.
   */
  kept(url: URL): string {
    if (url.origin !== this.base.origin) return url.href
    const own = new URL(url)
    for (const name of this.base.searchParams.keys()) own.searchParams.delete(name)
    return own.pathname + own.search
  }

  /** The inverse of {@link kept}. */
  restored(text: string): URL {
    const url = new URL(text, this.base)
    if (url.origin === this.base.origin)
      for (const [name, value] of this.base.searchParams)
        if (!url.searchParams.has(name)) url.searchParams.append(name, value)
    return url
  }

  /** The answer to one request. Fails with AUTH_FAILED, CONNECTION_FAILED, CONNECTION_LOST, TIMEOUT or RESPONSE_INVALID. */
  async get(url: URL, signal: AbortSignal): Promise<Answer> {
    const { name, attempts } = this.access
    const where = `${name} ${url.origin === this.base.origin ? '' : url.origin}${url.pathname}`
    let renewed = false
    for (let attempt = 1; ; attempt++) {
      await this.pace.turn(signal)
      const { answer, failure, pause, limited, refused } = await this.once(url, where, signal)
      if (answer) return answer
      if (refused) {
        if (renewed || !this.auth.renewable) throw failure
        renewed = true
        await this.auth.refused(refused)
        attempt--
        continue
      }
      if (attempt === attempts) throw givenUp(failure, attempts)
      if (pause !== undefined) this.pace.hold(pause)
      else await sleep(backoff(attempt, limited === true), undefined, { signal })
    }
  }

  /** The first 80 characters of a body, on one line and without our own secrets. */
  excerpt(text: string): string {
    for (const secret of this.auth.secrets) text = text.replaceAll(secret, '***')
    return JSON.stringify(text.slice(0, 80))
  }

  // An answer, or a failure that a retry may cure; every other failure is thrown.
  private async once(url: URL, where: string, signal: AbortSignal): Promise<Outcome> {
    const { name, timeout, maxResponse } = this.access
    let headers: Record<string, string>
    try {
      headers = await this.auth.headers()
    } catch (failure) {
      if (failure instanceof EngineError && failure.retryable) return { failure }
      throw failure
    }
    const limit = AbortSignal.timeout(timeout * 1000)
    const until = AbortSignal.any([signal, limit])
    let response: Response | undefined
    try {
      for (let hop = 0; ; hop++) {
        response = await this.send(url, headers, until)
        const location = response.headers.get('location')
        if (!REDIRECTS.includes(response.status) || location === null) break
        await response.body?.cancel()
        if (hop === MOST_REDIRECTS)
          throw new EngineError('RESPONSE_INVALID', `${where}: redirected over ${MOST_REDIRECTS} times`)
        url = this.follow(location, url, where)
        response = undefined
      }
      if (response.ok) {
        const { status } = response
        const type = typeOf(response)
        const link = response.headers.get('link')
        const text = textOf(await bodyOf(response, maxResponse, where), where)
        return { answer: { url, status, type, link, text } }
      }
      return this.refusal(response, await startOf(response, SHOWN), where, headers)
    } catch (cause) {
      if (cause instanceof EngineError) throw cause
      signal.throwIfAborted()
      if (limit.aborted)
        throw new EngineError('TIMEOUT', `${where}: no complete answer within ${timeout} s`, {
          hint: 'Raise timeout of the connection, or ask for smaller pages with limit.',
        })
      return { failure: lost({ where, host: url.host, name, cause, begun: response !== undefined }) }
    }
  }

  private send(url: URL, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
    const accept = { accept: 'application/json' }
    const own = url.origin === this.base.origin ? headers : {}
    return fetch(url, { headers: { ...accept, ...own }, redirect: 'manual', signal })
  }

  private refusal(response: Response, text: string, where: string, headers: Record<string, string>): Outcome {
    const { status } = response
    const message = `${where}: status ${status}, ${typeOf(response)}: ${this.excerpt(text)}`
    if (status === 401 || status === 403) {
      const failure = new EngineError('AUTH_FAILED', message, {
        hint: `Check ${this.auth.kind} of the connection ${this.access.name}: it may be wrong, expired, or not allowed to read this path.`,
      })
      if (status === 401) return { failure, refused: headers }
      throw failure
    }
    if (status === 429 || status >= 500) {
      const pause = retryAfter(response.headers.get('retry-after'))
      if (pause !== undefined && pause > LONGEST_PAUSE_MS)
        throw new EngineError('CONNECTION_FAILED', message, {
          hint: `The server asks for a pause of ${Math.ceil(pause / 1000)} s: resume the run after it, and the pages read so far stay read.`,
        })
      return { failure: new EngineError('CONNECTION_FAILED', message), pause, limited: status === 429 }
    }
    throw new EngineError('RESPONSE_INVALID', message, {
      hint: 'Check path (of a connection: health) and the parameters. A page that a resumed run goes on from may have expired: a new run begins at the first.',
    })
  }
}

type Outcome =
  | { answer: Answer; failure?: undefined; pause?: undefined; limited?: undefined; refused?: undefined }
  | {
      answer?: undefined
      failure: EngineError
      /** Milliseconds that the server asks to wait. */
      pause?: number
      /** The server says that we ask too often. */
      limited?: boolean
      /** Headers whose credentials were refused. */
      refused?: Record<string, string>
    }

const typeOf = (response: Response) => response.headers.get('content-type') ?? 'no content type'
