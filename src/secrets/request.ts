import { EngineError } from '../../engine/errors.ts'
import { HttpClient } from '../util/httpClient.ts'
import { isTlsFailure, TLS_HINT, type Tls } from '../util/tls.ts'

const TIMEOUT_MS = 15_000

export interface SecretRequest {
  method?: 'GET' | 'POST'
  headers?: Record<string, string>
  body?: string | URLSearchParams
}

/**
 * The JSON that a store of secrets answers. Nothing of an answer is ever quoted. Fails with AUTH_FAILED,
 * PERMISSION_DENIED, TLS_FAILED, CONFIG_INVALID (there is no such thing), or a code that a later try may cure.
 */
export async function askStore(
  url: string,
  request: SecretRequest,
  tls: Tls = {},
): Promise<Record<string, unknown>> {
  const { host } = new URL(url)
  const client = new HttpClient(tls)
  try {
    const response = await client.fetch(new URL(url), {
      ...request,
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    const { status } = response
    if (status === 401 || status === 400)
      throw new EngineError('AUTH_FAILED', `${host} refuses the credentials (status ${status})`)
    if (status === 403) throw new EngineError('PERMISSION_DENIED', `${host} does not allow it (status 403)`)
    if (status === 404) throw new EngineError('CONFIG_INVALID', `${host} has no such secret (status 404)`)
    if (!response.ok) throw new EngineError('CONNECTION_FAILED', `${host}: status ${status}`)
    return (await response.json()) as Record<string, unknown>
  } catch (cause) {
    if (cause instanceof EngineError) throw cause
    const inner = (cause as Error).cause ?? cause
    const { code = '', message, name } = inner as NodeJS.ErrnoException
    if (name === 'TimeoutError')
      throw new EngineError('TIMEOUT', `${host}: no answer within ${TIMEOUT_MS / 1000} s`)
    if (isTlsFailure(code)) throw new EngineError('TLS_FAILED', `${host}: ${message}`, { hint: TLS_HINT })
    throw new EngineError('CONNECTION_FAILED', `cannot reach ${host}: ${message || code}`, { cause })
  } finally {
    await client.close()
  }
}

/** The value of a variable that a store needs. Fails with CONFIG_INVALID. */
export function required(env: Record<string, string | undefined>, name: string): string {
  const value = env[name]
  if (value) return value
  throw new EngineError('CONFIG_INVALID', `environment variable ${name} is not set`)
}

/** `ADDRESS#KEY` as its two parts. */
export function withKey(address: string): { place: string; key?: string } {
  const at = address.lastIndexOf('#')
  return at < 0 ? { place: address } : { place: address.slice(0, at), key: address.slice(at + 1) }
}

/** A secret that is a text, or the member of one that is JSON. */
export function memberOf(text: string, key: string | undefined): string {
  if (key === undefined) return text
  let value: unknown
  try {
    value = (JSON.parse(text) as Record<string, unknown>)[key]
  } catch {
    throw new EngineError('CONFIG_INVALID', `the secret is no JSON, of which #${key} could be taken`)
  }
  return textOf(value, key)
}

/** A member as text. Fails with CONFIG_INVALID where there is none. */
export function textOf(value: unknown, key: string): string {
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  throw new EngineError('CONFIG_INVALID', `the secret has no text ${JSON.stringify(key)}`)
}
