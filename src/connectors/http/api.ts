import { setTimeout as sleep } from 'node:timers/promises'
import type { Response } from 'undici'
import { EngineError, type ErrorCode } from '../../../engine/errors.ts'
import { HttpClient } from '../../util/httpClient.ts'
import { formsOf, redact } from '../../util/redact.ts'
import type { Access } from './access.ts'
import { Auth } from './auth.ts'
import { bodyOf, startOf, textOf } from './body.ts'
import { givenUp, lost } from './failure.ts'
import { askedPause, backoff, isLimited, Pace } from './pace.ts'

export interface Answer {
  /** Where it came from, after redirects. */
  url: URL
  status: number
  type: string
  /** The Link header. */
  link: string | null
  text: string
}

/** What was asked for is not answered, by the status. */
export class Refusal extends EngineError {
  readonly status: number
  /** What was answered, not made fit to be shown. */
  readonly text: string

  constructor(
    code: ErrorCode,
    message: string,
    { status, text, hint }: { status: number; text: string; hint?: string },
  ) {
    super(code, message, { hint })
    this.status = status
    this.text = text
  }
}

/** A server that asks for a longer pause is better met by the job's own retry. */
const LONGEST_PAUSE_MS = 60_000
const REDIRECTS = [301, 302, 303, 307, 308]
const MOST_REDIRECTS = 5
/** An answer. Another 2xx tells of what was or will be made, or of several things. */
const ANSWERED = [200, 203, 204, 206]
/** Not there yet, locked, or tried too early, besides what is the server's own fault (5xx): another attempt may do. */
const TRANSIENT = [202, 408, 423, 425, 429]
/** A shorter secret hides nothing in a URL that is kept. */
const SHORTEST = 4
/** Bytes of an error's body that are read for its message. */
const SHOWN = 4096

/** GET requests to one API, with its credentials, budget, time limit and retries. Messages show paths, never a query. */
export class Api {
  private readonly access: Access
  private readonly base: URL
  private readonly client: HttpClient
  private readonly auth: Auth
  private readonly pace: Pace

  constructor(access: Access) {
    this.access = access
    this.base = new URL(access.url)
    // fetch refuses a URL with credentials.
    this.base.username = ''
    this.base.password = ''
    this.client = new HttpClient(access.tls)
    this.auth = new Auth(access, this.client)
    this.pace = new Pace(access.perMinute)
  }

  /** The URL of a path below the API's own; `path` may carry a query, kept as it is written, which `query` overrides. */
  url(path: string, query: Record<string, string>): URL {
    const cut = path.indexOf('?')
    const url = new URL(this.base)
    url.pathname = this.base.pathname.replace(/\/$/, '') + (cut < 0 ? path : path.slice(0, cut))
    const written = [this.base.search.slice(1), cut < 0 ? '' : path.slice(cut + 1)]
      .flatMap(search => search.split('&'))
      .filter(pair => pair !== '' && !Object.hasOwn(query, nameOf(pair)))
    url.search = [...written, ...new URLSearchParams(query).toString().split('&')].filter(Boolean).join('&')
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
   * A URL as text that may be kept: of the API's own origin without the origin and without what the connection's URL
   * itself asks with; secrets are replaced by their numbers.
   */
  kept(url: URL): string {
    let text = url.href
    if (url.origin === this.base.origin) {
      const own = new URL(url)
      // With other values it asks for something else.
      for (const [name, values] of this.asked())
        if (url.searchParams.getAll(name).every(value => values.includes(value)))
          own.searchParams.delete(name)
      text = own.pathname + own.search
    }
    return replaced(text, this.marks())
  }

  /** The inverse of {@link kept}. */
  restored(text: string): URL {
    const marks = this.marks().map(([form, mark]): [string, string] => [mark, form])
    const url = new URL(replaced(text, marks), this.base)
    if (url.origin === this.base.origin)
      for (const [name, values] of this.asked())
        if (!url.searchParams.has(name)) for (const value of values) url.searchParams.append(name, value)
    return url
  }

  /** What the connection's URL itself asks with: the values of each name. */
  private asked(): Map<string, string[]> {
    const { searchParams } = this.base
    return new Map([...searchParams.keys()].map(name => [name, searchParams.getAll(name)]))
  }

  /** The answer to one request. Fails with AUTH_FAILED, CONNECTION_FAILED, CONNECTION_LOST, TIMEOUT or RESPONSE_INVALID. */
  async get(url: URL, signal: AbortSignal): Promise<Answer> {
    const { name, attempts } = this.access
    const shown = redact(url.pathname, [...this.auth.secrets])
    const where = `${name} ${url.origin === this.base.origin ? '' : url.origin}${shown}`
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

  /** Ends all connections. */
  close(): Promise<void> {
    return this.client.close()
  }

  /** The first 80 characters of a body, on one line and without our own secrets. */
  excerpt(text: string): string {
    return JSON.stringify(redact(text, [...this.auth.secrets]).slice(0, 80))
  }

  // Each way in which a secret may be written, longest first, and what stands for it where it must not be kept.
  private marks(): [string, string][] {
    return [...this.auth.secrets]
      .flatMap((secret, index) =>
        formsOf(secret).map((form, way): [string, string] => [form, `{secret:${index}.${way}}`]),
      )
      .filter(([form]) => form.length >= SHORTEST)
      .sort(([a], [b]) => b.length - a.length)
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
      if (ANSWERED.includes(response.status)) {
        const { status } = response
        const type = typeOf(response)
        const link = response.headers.get('link')
        const text = textOf(await bodyOf(response, maxResponse, where), type, where)
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
    return this.client.fetch(url, { headers: { ...accept, ...own }, redirect: 'manual', signal })
  }

  private refusal(response: Response, text: string, where: string, headers: Record<string, string>): Outcome {
    const { status } = response
    const message = `${where}: status ${status}, ${typeOf(response)}: ${this.excerpt(text)}`
    const limited = isLimited(status, response.headers)
    const refused = (code: ErrorCode, hint?: string) =>
      new Refusal(code, message, { status, text, ...(hint !== undefined && { hint }) })
    if (status === 401 || (status === 403 && !limited)) {
      const failure = refused(
        'AUTH_FAILED',
        `Check ${this.auth.kind} of the connection ${this.access.name}: it may be wrong, expired, or not allowed to read this path.`,
      )
      if (status === 401) return { failure, refused: headers }
      throw failure
    }
    if (limited || status >= 500 || TRANSIENT.includes(status)) {
      const pause = askedPause(response.headers)
      if (pause !== undefined && pause > LONGEST_PAUSE_MS)
        throw refused(
          'CONNECTION_FAILED',
          `The server asks for a pause of ${Math.ceil(pause / 1000)} s: resume the run after it, and the pages read so far stay read.`,
        )
      const hint =
        status === 202
          ? 'The server has taken the request, and has no answer yet: resume the run later, or raise attempts of the connection.'
          : undefined
      return { failure: refused('CONNECTION_FAILED', hint), pause, limited }
    }
    if (response.ok)
      throw refused(
        'RESPONSE_INVALID',
        `An answer has a status of ${ANSWERED.join(', ')}. Check path (of a connection: health), or ask who runs the API.`,
      )
    throw refused(
      'RESPONSE_INVALID',
      'Check path (of a connection: health) and the parameters. A page that a resumed run goes on from may have expired: a new run begins at the first.',
    )
  }
}

/** Each of the texts by its other, all at once. */
function replaced(text: string, pairs: readonly [string, string][]): string {
  for (const [index, [from]] of pairs.entries()) text = text.replaceAll(from, `\u0000${index}\u0000`)
  return text.replace(/\0(\d+)\0/g, (_all, index: string) => pairs[Number(index)]![1])
}

const nameOf = (pair: string) => [...new URLSearchParams(pair).keys()][0] ?? ''

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
