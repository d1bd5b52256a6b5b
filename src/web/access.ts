import { createHash, timingSafeEqual } from 'node:crypto'
import type { Role, WebUsers } from '../metadata/webUsers.ts'
import type { OpenId } from './openId.ts'

/** Who asks. */
export interface Identity {
  name: string
  role: Role
}

export interface AccessOptions {
  users: WebUsers
  /** The address that is served. */
  host: string
  /** Secrets of programs and people without a name. */
  tokens: { token: string; role: Role }[]
  /** A proxy that has asked who it is, and says so in a header; believed when it comes from one of these addresses. */
  proxy?: { header: string; from: string[] }
  /** A provider that people log in by. */
  openId?: OpenId
  /** As people reach it: `https://nights.example`. */
  url?: URL
}

/** What of a request says who asks. */
export interface Caller {
  /** IP address of the other end of the connection. */
  address: string
  header(name: string): string | undefined
  /** Of all headers, in small letters. */
  headers: string[]
  /** Of the log-in's cookie. */
  session: string | undefined
}

/** `unset`: asked from beyond this machine, and nobody has said who may. */
export type Refusal = 'unknown' | 'unset' | 'foreign host'

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[?::1\]?|::ffff:127(\.\d{1,3}){3})$/

export const isLoopback = (host: string): boolean => LOOPBACK.test(host)

const isLoopbackHost = (host: string) => isLoopback(host.replace(/:\d+$/, ''))

/** What a proxy adds to what it passes on. */
const PASSED_ON = /^(x-forwarded-.*|x-real-ip|forwarded|via)$/

/** Whether a request that came to an address of this machine was made on it: a proxy here passes on what others ask. */
function isHere({ header, headers }: Caller): boolean {
  const origin = header('origin')
  return (
    isLoopbackHost(header('host') ?? '') &&
    (origin === undefined || (URL.canParse(origin) && isLoopback(new URL(origin).hostname))) &&
    !headers.some(name => PASSED_ON.test(name))
  )
}

/** Decides who asks, and whether they are let in. */
export class Access {
  readonly options: AccessOptions

  constructor(options: AccessOptions) {
    this.options = options
  }

  /** Who asks; a refusal where nobody does who may. */
  async identify(caller: Caller): Promise<Identity | Refusal> {
    const { users, tokens, proxy, host, openId } = this.options
    // A page elsewhere whose name leads here (DNS rebinding) is not let in by where it comes from.
    if (!this.isOwnHost(caller)) return 'foreign host'
    const bearer = /^Bearer (.+)$/i.exec(caller.header('authorization') ?? '')?.[1]
    if (bearer !== undefined) {
      const found = tokens.find(({ token }) => isSame(token, bearer))
      return found ? { name: `token (${found.role})`, role: found.role } : 'unknown'
    }
    if (proxy?.from.includes(caller.address.replace(/^::ffff:/, ''))) {
      const name = caller.header(proxy.header)
      if (name) return { name, role: (await users.roleOf(name)) ?? 'viewer' }
    }
    if (caller.session !== undefined) {
      const found = await users.whose(caller.session, openId?.issuer)
      if (found) return found
    }
    if (tokens.length > 0 || proxy || openId || (await users.list()).length > 0) return 'unknown'
    return isLoopback(host) && isHere(caller) ? { name: 'local', role: 'operator' } : 'unset'
  }

  /** Whether a request that changes something comes from a page of ours, or from no page at all. */
  isOwnPage(caller: Caller): boolean {
    const origin = caller.header('origin')
    if (origin === undefined) return caller.header('authorization') !== undefined
    const host = URL.canParse(origin) ? new URL(origin).host : undefined
    return host !== undefined && (host === caller.header('host') || host === this.options.url?.host)
  }

  /** Whether a request was sent to a name of ours. */
  isOwnHost(caller: Caller): boolean {
    const { host, url } = this.options
    const header = caller.header('host')
    if (header === undefined) return false
    if (!isLoopback(host)) return true
    return isLoopbackHost(header) || header === url?.host
  }
}

const isSame = (a: string, b: string) => {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}

/** Milliseconds in which a name, or an address, may fail so often to log in. */
const WINDOW_MS = 15 * 60_000
const MAX_FAILURES = 5
/** Log-ins of all together in a minute: each costs a tenth of a second and 128 MB. */
const MAX_A_MINUTE = 60

/** Log-ins that failed, by name and address. */
export class LoginLimit {
  private readonly failures = new Map<string, number[]>()
  private tries: number[] = []
  private readonly now: () => number

  constructor(now = () => performance.now()) {
    this.now = now
  }

  /** Whether another try of anybody is allowed now; it counts. */
  allowsAny(): boolean {
    const now = this.now()
    this.tries = this.tries.filter(at => now - at < 60_000)
    if (this.tries.length >= MAX_A_MINUTE) return false
    this.tries.push(now)
    return true
  }

  /** Whether another try is allowed now; it counts, as failed until it has succeeded: others may come meanwhile. */
  allows(name: string, address: string): boolean {
    if (!this.allowsAny()) return false
    const keys = [name, address]
    if (keys.some(key => this.recent(key).length >= MAX_FAILURES)) return false
    for (const key of keys) this.failures.set(key, [...this.recent(key), this.now()])
    return true
  }

  succeeded(name: string, address: string): void {
    this.failures.delete(name)
    this.failures.set(address, this.recent(address).slice(0, -1))
  }

  private recent(key: string): number[] {
    const found = (this.failures.get(key) ?? []).filter(at => this.now() - at < WINDOW_MS)
    if (found.length === 0) this.failures.delete(key)
    return found
  }
}
