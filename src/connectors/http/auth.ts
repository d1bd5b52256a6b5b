import type { Response } from 'undici'
import { EngineError } from '../../../engine/errors.ts'
import type { HttpClient } from '../../util/httpClient.ts'
import type { Access, OAuth } from './access.ts'
import { startOf } from './body.ts'
import { lost } from './failure.ts'

/** Bytes of a token endpoint's answer. */
const MAX_TOKEN_BYTES = 64 * 1024
/** A token is renewed so many seconds (or a tenth of its life) before it ends: it must not end on the way. */
const EARLY = 30

/** The headers that authenticate us, with an access token where they need one; and what no message may show. */
export class Auth {
  /** Grows by each access token. */
  readonly secrets = new Set<string>()
  private readonly access: Access
  private readonly client: HttpClient
  private readonly fixed: Record<string, string>
  private current: { token: Promise<string>; until: number } | undefined

  constructor(access: Access, client: HttpClient) {
    this.access = access
    this.client = client
    const { token, tokenHeader, basic } = access.credentials
    this.fixed = { ...access.headers }
    if (token !== undefined)
      this.fixed[tokenHeader ?? 'authorization'] = tokenHeader ? token : `Bearer ${token}`
    if (basic) this.fixed.authorization = basicOf(basic.user, basic.password)
    // In this order, which places of pages that are kept go by.
    for (const secret of access.secrets) this.secrets.add(secret)
    if (basic) this.secrets.add(this.fixed.authorization!.slice('Basic '.length))
  }

  /** Whether another access token can be had. */
  get renewable(): boolean {
    return this.access.credentials.oauth !== undefined
  }

  /** The settings that authenticate us, for messages. */
  get kind(): string {
    const { token, basic, oauth } = this.access.credentials
    return token !== undefined ? 'token' : basic ? 'user and password' : oauth ? 'oauth' : 'the credentials'
  }

  /** Fails with AUTH_FAILED, TIMEOUT or CONNECTION_FAILED where no access token is to be had. */
  async headers(): Promise<Record<string, string>> {
    const { oauth } = this.access.credentials
    if (!oauth) return this.fixed
    if (!this.current || performance.now() >= this.current.until) this.renew(oauth)
    return { ...this.fixed, authorization: `Bearer ${await this.current!.token}` }
  }

  /** The server refused these headers: where they carried the current access token, another is fetched for the next. */
  async refused(headers: Record<string, string>): Promise<void> {
    const { current } = this
    const token = await current?.token.catch(() => undefined)
    if (this.current === current && headers.authorization === `Bearer ${token}`) this.current = undefined
  }

  private renew(oauth: OAuth): void {
    const token = this.ask(oauth)
    const current = { token: token.then(({ value }) => value), until: Number.POSITIVE_INFINITY }
    this.current = current
    token.then(
      ({ lifetime }) => {
        if (lifetime !== undefined)
          current.until = performance.now() + (lifetime - Math.min(EARLY, lifetime / 10)) * 1000
      },
      () => {
        if (this.current === current) this.current = undefined
      },
    )
  }

  // Not ended with the request that happened to need it first: others wait for it, too.
  private async ask(oauth: OAuth): Promise<{ value: string; lifetime?: number }> {
    const { name, timeout } = this.access
    const url = new URL(oauth.tokenUrl)
    const where = `${name}: token_url ${url.host}${url.pathname}`
    const form = new URLSearchParams({ grant_type: 'client_credentials' })
    if (oauth.scope !== undefined) form.set('scope', oauth.scope)
    const headers: Record<string, string> = { accept: 'application/json' }
    if (oauth.send === 'header')
      // RFC 6749, 2.3.1: both are form-encoded before they are joined.
      headers.authorization = basicOf(formText(oauth.clientId), formText(oauth.clientSecret))
    else {
      form.set('client_id', oauth.clientId)
      form.set('client_secret', oauth.clientSecret)
    }
    const limit = AbortSignal.timeout(timeout * 1000)
    let response: Response | undefined
    let text: string
    try {
      const request = { method: 'POST', headers, body: form, redirect: 'manual' } as const
      response = await this.client.fetch(url, { ...request, signal: limit })
      text = await startOf(response, MAX_TOKEN_BYTES)
    } catch (cause) {
      if (limit.aborted) throw new EngineError('TIMEOUT', `${where}: no complete answer within ${timeout} s`)
      throw lost({ where, host: url.host, name, cause, begun: response !== undefined })
    }
    const given = objectOf(text)
    const refusal = () => {
      const reason =
        typeof given.error === 'string' ? `, error ${JSON.stringify(given.error.slice(0, 80))}` : ''
      return `${where}: status ${response.status}${reason}`
    }
    if (response.status === 429 || response.status >= 500)
      throw new EngineError('CONNECTION_FAILED', `${refusal()}: no access token`)
    if (!response.ok)
      throw new EngineError('AUTH_FAILED', `${refusal()}: no access token`, {
        hint: `Check token_url, client_id, client_secret and scope in oauth of the connection ${name}.`,
      })
    const { access_token: value, expires_in } = given
    if (typeof value !== 'string' || value === '')
      throw new EngineError('AUTH_FAILED', `${where}: the answer holds no access_token`, {
        hint: 'It must be JSON as RFC 6749, 5.1 has it. Check token_url.',
      })
    this.secrets.add(value)
    const lifetime = Number(expires_in ?? Number.NaN)
    return { value, ...(lifetime >= 0 && { lifetime }) }
  }
}

const basicOf = (user: string, password: string) =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`

const formText = (text: string) => new URLSearchParams({ v: text }).toString().slice(2)

function objectOf(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}
