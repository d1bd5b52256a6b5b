import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { Provider } from 'oidc-provider'
import { freePort } from '../ports.ts'
import type { Hooks } from '../servers.ts'

export const CLIENT = 'nightfreight'
export const SECRET = 'a+secret/with:odd%characters'

export interface ProviderMood {
  /** Who sits before the browser. */
  account: string
  /** Claims of each account, beside its name. */
  claims: Record<string, Record<string, unknown>>
  /** Changes what a token request is answered, as a provider that was taken over would. */
  forge: ((body: Record<string, unknown>) => Record<string, unknown>) | undefined
  /** Changes what it says of itself. */
  discovery: Record<string, unknown>
  /** Answers 503 to everything. */
  isAway: boolean
  /** Whether the person says no. */
  refuses: boolean
  /** Token requests that came. */
  exchanges: number
}

export interface TestProvider {
  issuer: string
  mood: ProviderMood
  /** An ID token of its own, with these claims. */
  idToken(claims: Record<string, unknown>): string
}

export interface ProviderOptions {
  /** Where the service is that people log in to. */
  back: string
  method?: 'client_secret_basic' | 'client_secret_post' | 'none'
  /** Whether claims stand in the ID token; in userinfo only else. */
  inToken?: boolean
}

/** A real OpenID provider, whose person before the browser agrees to everything at once. */
export async function startProvider(
  hooks: Hooks,
  { back, method = 'client_secret_basic', inToken = false }: ProviderOptions,
): Promise<TestProvider> {
  const port = await freePort()
  const issuer = `http://127.0.0.1:${port}`
  const mood: ProviderMood = {
    account: 'ada',
    claims: {},
    forge: undefined,
    discovery: {},
    isAway: false,
    refuses: false,
    exchanges: 0,
  }
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: CLIENT,
        ...(method !== 'none' && { client_secret: SECRET }),
        token_endpoint_auth_method: method,
        redirect_uris: [`${back}/login/callback`],
        post_logout_redirect_uris: [`${back}/login`],
      },
    ],
    clientAuthMethods: [method],
    ttl: { Interaction: 600, Grant: 600, Session: 600, AccessToken: 600, IdToken: 600 },
    cookies: { keys: [randomBytes(16).toString('hex')] },
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'own', use: 'sig', alg: 'RS256' }] },
    conformIdTokenClaims: !inToken,
    features: { devInteractions: { enabled: false } },
    claims: {
      openid: ['sub'],
      profile: ['preferred_username', 'groups', 'realm_access', 'https://nights.example/roles'],
    },
    pkce: { required: () => true },
    interactions: { url: (_context, { uid }) => `/interaction/${uid}` },
    findAccount: (_context, id) => ({
      accountId: id,
      claims: async () => ({ sub: id, preferred_username: id, ...mood.claims[id] }),
    }),
  })
  const handle = provider.callback()
  /** The person logs in and consents, or does not. */
  const decide = async (request: IncomingMessage, response: ServerResponse) => {
    if (mood.refuses)
      return provider.interactionFinished(request, response, {
        error: 'access_denied',
        error_description: 'they said no',
      })
    const { params } = await provider.interactionDetails(request, response)
    const grant = new provider.Grant({ accountId: mood.account, clientId: params.client_id as string })
    grant.addOIDCScope(params.scope as string)
    await provider.interactionFinished(request, response, {
      login: { accountId: mood.account },
      consent: { grantId: await grant.save() },
    })
  }
  const server = createServer((request, response) => {
    const path = request.url!.replace(/\?.*/, '')
    if (mood.isAway) return void response.writeHead(503).end()
    if (path.startsWith('/interaction/')) return void decide(request, response)
    if (path === '/token') mood.exchanges++
    const change =
      path === '/token'
        ? mood.forge
        : path.startsWith('/.well-known/')
          ? (body: Record<string, unknown>) => ({ ...body, ...mood.discovery })
          : undefined
    if (change) changeAnswer(response, change)
    handle(request, response)
  }).listen(port, '127.0.0.1')
  await once(server, 'listening')
  hooks.after(async () => {
    server.closeAllConnections()
    server.close()
  })
  return { issuer, mood, idToken: claims => signed(privateKey, claims) }
}

/** A token of the key that the provider calls its own. */
export function signed(key: KeyObject, claims: Record<string, unknown>): string {
  const [head, body] = [{ alg: 'RS256', typ: 'JWT', kid: 'own' }, claims].map(part =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  )
  return `${head}.${body}.${sign('sha256', Buffer.from(`${head}.${body}`), key).toString('base64url')}`
}

/** What a token says. */
export const claimsOf = (token: unknown): Record<string, unknown> =>
  JSON.parse(Buffer.from(String(token).split('.')[1]!, 'base64url').toString())

/** Lets JSON that is answered with 200 go through `change`. */
function changeAnswer(
  response: ServerResponse,
  change: (body: Record<string, unknown>) => Record<string, unknown>,
): void {
  const end = response.end.bind(response)
  response.end = ((body: string | Buffer) => {
    if (response.statusCode !== 200) return end(body)
    const changed = JSON.stringify(change(JSON.parse(String(body))))
    response.setHeader('content-length', Buffer.byteLength(changed))
    return end(changed)
  }) as typeof response.end
}
