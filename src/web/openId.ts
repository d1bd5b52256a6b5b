import type { Configuration } from 'openid-client'
import { EngineError } from '../../engine/errors.ts'
import type { Role } from '../metadata/webUsers.ts'

export interface OpenIdOptions {
  /** As its discovery document names it. */
  issuer: URL
  client: string
  /** Without one the client is a public one. */
  secret?: string
  /** Separated by spaces; `openid` among them. */
  scope: string
  /** Of the ID token, or of userinfo, which has a person's groups or roles; `a.b`: b within a. */
  claim: string
  /** Values of the claim that give a role. */
  roles: Record<Role, string[]>
  /** As people reach the dashboard. */
  site: URL
}

/** A log-in that has begun, as the browser that began it keeps it. */
export interface BegunLogin {
  state: string
  nonce: string
  verifier: string
  /** A path of ours, to lead to when it has succeeded. */
  to: string
}

/** Whom a provider has asked, and found to have a role here. */
export interface OpenIdPerson {
  name: string
  role: Role
  /** The provider's own name of them, which never changes. */
  subject: string
}

export const CALLBACK_PATH = '/login/callback'

/** Seconds that the provider may take for an answer. */
const TIMEOUT_S = 10
/** Characters of a person's name that are kept. */
const MAX_NAME = 100

/** Log-ins by an OpenID provider: authorization code with PKCE, state and nonce; the token's signature is checked. */
export class OpenId {
  readonly options: OpenIdOptions
  private found: Promise<Configuration> | undefined

  constructor(options: OpenIdOptions) {
    this.options = options
  }

  get issuer(): string {
    return this.options.issuer.href
  }

  /** As people know it. */
  get name(): string {
    return this.options.issuer.host
  }

  /** Where to send somebody who wants to log in. Fails with AUTH_FAILED where the provider cannot be used. */
  async begin(to: string): Promise<{ url: URL; begun: BegunLogin }> {
    const client = await import('openid-client')
    const provider = await this.provider()
    const begun = {
      state: client.randomState(),
      nonce: client.randomNonce(),
      verifier: client.randomPKCECodeVerifier(),
      to,
    }
    const asks = {
      redirect_uri: new URL(CALLBACK_PATH, this.options.site).href,
      scope: this.options.scope,
      state: begun.state,
      nonce: begun.nonce,
      code_challenge: await client.calculatePKCECodeChallenge(begun.verifier),
      code_challenge_method: 'S256',
    }
    return { url: await this.asked(async () => client.buildAuthorizationUrl(provider, asks)), begun }
  }

  /** Who comes back with an answer of the provider. Fails with AUTH_FAILED or PERMISSION_DENIED. */
  async finish(answer: URLSearchParams, { state, nonce, verifier }: BegunLogin): Promise<OpenIdPerson> {
    const client = await import('openid-client')
    const provider = await this.provider()
    const url = new URL(`${CALLBACK_PATH}?${answer}`, this.options.site)
    const tokens = await this.asked(() =>
      client.authorizationCodeGrant(provider, url, {
        expectedState: state,
        expectedNonce: nonce,
        pkceCodeVerifier: verifier,
        idTokenExpected: true,
      }),
    )
    const token = tokens.claims()!
    // Some providers put groups into userinfo only.
    const needsMore =
      at(token, this.options.claim) === undefined && provider.serverMetadata().userinfo_endpoint
    const more = needsMore
      ? await this.asked(() => client.fetchUserInfo(provider, tokens.access_token, token.sub))
      : {}
    const claims: Claims = { ...more, ...token }
    const name = nameOf(claims).slice(0, MAX_NAME)
    return { name, role: this.roleOf(name, claims), subject: token.sub }
  }

  /** Where to end the provider's own log-in; undefined where it has no such place. */
  async logOutUrl(): Promise<URL | undefined> {
    const client = await import('openid-client')
    const provider = await this.provider()
    if (!provider.serverMetadata().end_session_endpoint) return undefined
    const back = new URL('/login', this.options.site).href
    return client.buildEndSessionUrl(provider, { post_logout_redirect_uri: back })
  }

  private roleOf(name: string, claims: Claims): Role {
    const { claim, roles } = this.options
    const value = at(claims, claim)
    const given = [value].flat()
    const role = (['operator', 'viewer'] as const).find(each => roles[each].some(one => given.includes(one)))
    if (role) return role
    const why =
      value === undefined
        ? `gives no claim ${claim}`
        : `gives nothing in the claim ${claim} that has a role here`
    throw new EngineError('PERMISSION_DENIED', `${name} may not look here: ${this.name} ${why}.`, {
      hint: `Ask whoever serves this: --oidc-claim, --oidc-viewer and --oidc-operator of nightfreight serve say who may.`,
    })
  }

  /** What the provider says of itself, asked once it is needed; asked again where it did not answer. */
  private provider(): Promise<Configuration> {
    this.found ??= this.discover().catch(error => {
      this.found = undefined
      throw error
    })
    return this.found
  }

  private async discover(): Promise<Configuration> {
    const client = await import('openid-client')
    const { issuer, client: id, secret } = this.options
    const isPlain = issuer.protocol === 'http:'
    return this.asked(() =>
      client.discovery(
        issuer,
        id,
        undefined,
        secret === undefined ? client.None() : secretBy(client, secret),
        {
          timeout: TIMEOUT_S,
          execute: [client.enableNonRepudiationChecks, ...(isPlain ? [client.allowInsecureRequests] : [])],
        },
      ),
    )
  }

  private async asked<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask()
    } catch (error) {
      throw new EngineError('AUTH_FAILED', `${this.name}: ${reasonOf(error)}`, { cause: error })
    }
  }
}

type Claims = Record<string, unknown>
type Client = typeof import('openid-client')

/** By the header, as every provider should take it, unless this one takes it in the form only. */
function secretBy({ ClientSecretBasic, ClientSecretPost }: Client, secret: string) {
  const [basic, form] = [ClientSecretBasic(secret), ClientSecretPost(secret)]
  const send: typeof basic = (server, ...rest) => {
    const taken = server.token_endpoint_auth_methods_supported ?? ['client_secret_basic']
    return (taken.includes('client_secret_basic') ? basic : form)(server, ...rest)
  }
  return send
}

/** A claim by its name, which may have dots itself (`https://nights.example/roles`), or by its path. */
function at(claims: Claims, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name]
  let found: unknown = claims
  for (const part of name.split('.'))
    found =
      typeof found === 'object' && found !== null && Object.hasOwn(found, part)
        ? (found as Claims)[part]
        : undefined
  return found
}

const nameOf = ({ preferred_username, email, name, sub }: Claims): string =>
  [preferred_username, email, name, sub].find(each => typeof each === 'string' && each !== '') as string

/** What a provider says, or the library of its answer, innermost last; neither names a secret. */
function reasonOf(error: unknown): string {
  const { error: code, error_description: text } = error as { error?: string; error_description?: string }
  if (typeof code === 'string') return [code, text].filter(Boolean).join(': ')
  const reasons: string[] = []
  for (let each = error; reasons.length < 4; each = each.cause) {
    if (each instanceof Response) reasons.push(`${each.status} from ${each.url}`)
    if (!(each instanceof Error)) break
    if (each.message) reasons.push(each.message)
  }
  return reasons.join(': ')
}
