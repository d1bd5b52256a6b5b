import { type Command, Option } from 'commander'
import { EngineError } from '../../engine/errors.ts'
import type { Role } from '../metadata/webUsers.ts'
import { siteOf } from '../util/site.ts'
import { type AccessOptions, isLoopback } from '../web/access.ts'
import { CALLBACK_PATH, OpenId, type OpenIdOptions } from '../web/openId.ts'

/** Options of `serve` that say who may look at its dashboard. */
export interface AccessFlags {
  host: string
  userHeader?: string
  trustedProxy: string[]
  oidc?: string
  oidcClient: string
  oidcClaim: string
  oidcScope: string
  oidcOperator?: string[]
  oidcViewer?: string[]
}

/** Characters of a token: fewer can be guessed. */
const LEAST_TOKEN = 16

export const addAccessOptions = (command: Command): Command =>
  command
    .option('--user-header <name>', 'in which a proxy says who asks, such as x-forwarded-user')
    .addOption(
      new Option('--trusted-proxy <address...>', 'whose --user-header is believed').default(
        ['127.0.0.1', '::1'],
        'this machine',
      ),
    )
    .option('--oidc <issuer>', 'an OpenID provider that people log in by, such as https://login.example')
    .option('--oidc-client <id>', 'what it knows this service by', 'nightfreight')
    .option('--oidc-claim <name>', "its claim with a person's groups or roles; a.b: b within a", 'groups')
    .option('--oidc-operator <value...>', 'of that claim: who has one is an operator')
    .option('--oidc-viewer <value...>', 'of that claim: who has one is a viewer')
    .option('--oidc-scope <scopes>', 'what it is asked for', 'openid profile email')

type Environment = Record<string, string | undefined>

const invalid = (message: string, hint: string) => new EngineError('CONFIG_INVALID', message, { hint })

/** Who may look: what the environment and the options say beside the store's users. */
export function accessOf(flags: AccessFlags, env: Environment): Omit<AccessOptions, 'users'> {
  const { host, userHeader, trustedProxy } = flags
  const site = siteOf(env)
  if (site !== undefined && !/^https?:\/\/[^/]+/.test(site))
    throw invalid(
      `NIGHTFREIGHT_URL is ${site}, which is no address of a site`,
      'NIGHTFREIGHT_URL=https://nights.example',
    )
  const openId = openIdOf(flags, site, env)
  return {
    host,
    tokens: tokensOf(env),
    ...(userHeader && { proxy: { header: userHeader.toLowerCase(), from: trustedProxy } }),
    ...(site && { url: new URL(site) }),
    ...(openId && { openId: new OpenId(openId) }),
  }
}

function tokensOf(env: Environment): { token: string; role: Role }[] {
  const tokens = (['operator', 'viewer'] as const).flatMap(role => {
    const token = env[`NIGHTFREIGHT_${role.toUpperCase()}_TOKEN`]
    return token ? [{ token, role }] : []
  })
  for (const { token, role } of tokens)
    if (token.length < LEAST_TOKEN)
      throw invalid(
        `the ${role}'s token has fewer than ${LEAST_TOKEN} characters`,
        `NIGHTFREIGHT_${role.toUpperCase()}_TOKEN="$(openssl rand -hex 32)"`,
      )
  return tokens
}

function openIdOf(
  { oidc, oidcClient, oidcClaim, oidcScope, oidcOperator = [], oidcViewer = [] }: AccessFlags,
  site: string | undefined,
  env: Environment,
): OpenIdOptions | undefined {
  const roles = { operator: oidcOperator, viewer: oidcViewer }
  const isAnybody = oidcOperator.length + oidcViewer.length > 0
  if (oidc === undefined) {
    if (!isAnybody) return undefined
    throw invalid(
      '--oidc-operator and --oidc-viewer are of a provider, and none is named',
      '--oidc https://login.example',
    )
  }
  const issuer = URL.canParse(oidc) ? new URL(oidc) : undefined
  if (issuer?.protocol !== 'https:' && !(issuer?.protocol === 'http:' && isLoopback(issuer.hostname)))
    throw invalid(
      `--oidc ${oidc} is no address that begins with https://`,
      'It is what the provider calls its issuer: --oidc https://login.example',
    )
  if (site === undefined)
    throw invalid(
      '--oidc needs NIGHTFREIGHT_URL: the provider sends people back to it',
      `NIGHTFREIGHT_URL=https://nights.example nightfreight serve …; at the provider, the redirect URI is https://nights.example${CALLBACK_PATH}`,
    )
  if (!isAnybody)
    throw invalid(
      `--oidc lets nobody in: no value of the claim ${oidcClaim} gives a role`,
      '--oidc-viewer staff --oidc-operator data-oncall',
    )
  if (!oidcScope.split(' ').includes('openid'))
    throw invalid(`--oidc-scope "${oidcScope}" is without openid`, '--oidc-scope "openid profile groups"')
  const secret = env.NIGHTFREIGHT_OIDC_SECRET
  return {
    issuer,
    client: oidcClient,
    ...(secret && { secret }),
    scope: oidcScope,
    claim: oidcClaim,
    roles,
    site: new URL(site),
  }
}
