import { createSign } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { EngineError } from '../../engine/errors.ts'
import type { SecretContext, SecretProvider } from './provider.ts'
import { askStore, memberOf, textOf, withKey } from './request.ts'

const SCOPE = 'https://www.googleapis.com/auth/cloud-platform'

/**
 * Google Cloud's Secret Manager: `projects/P/secrets/S`, of which `/versions/latest` is read. Credentials are those of
 * GOOGLE_APPLICATION_CREDENTIALS (a service account's key), or of the machine's own account.
 */
export const gcp: SecretProvider = {
  scheme: 'gcp',
  shape: 'projects/shop/secrets/warehouse',
  async read(address, context) {
    const { place, key } = withKey(address)
    const name = place.includes('/versions/') ? place : `${place}/versions/latest`
    const base =
      context.env.CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER ?? 'https://secretmanager.googleapis.com/'
    const headers = { authorization: `Bearer ${await accessToken(context)}` }
    const answer = await askStore(new URL(`v1/${name}:access`, base).href, { headers })
    const data = textOf((answer.payload as Record<string, unknown> | undefined)?.data, 'payload.data')
    return memberOf(Buffer.from(data, 'base64').toString('utf8'), key)
  },
}

async function accessToken({ env }: SecretContext): Promise<string> {
  const file = env.GOOGLE_APPLICATION_CREDENTIALS
  const answer = file
    ? await signedIn(file)
    : await ofMachine(env.GCE_METADATA_HOST ?? 'metadata.google.internal')
  return textOf(answer.access_token, 'access_token')
}

const ofMachine = (host: string) =>
  askStore(`http://${host}/computeMetadata/v1/instance/service-accounts/default/token`, {
    headers: { 'metadata-flavor': 'Google' },
  })

// RFC 7523: a token that the account's own key has signed, for one that the store takes.
async function signedIn(file: string): Promise<Record<string, unknown>> {
  let account: Record<string, string>
  try {
    account = JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>
  } catch (cause) {
    throw new EngineError(
      'CONFIG_INVALID',
      `GOOGLE_APPLICATION_CREDENTIALS: ${file} cannot be read as JSON`,
      { cause },
    )
  }
  const { client_email: iss, private_key: key, token_uri: aud } = account
  if (!iss || !key || !aud)
    throw new EngineError(
      'CONFIG_INVALID',
      `GOOGLE_APPLICATION_CREDENTIALS: ${file} is no service account's key`,
    )
  const iat = Math.floor(Date.now() / 1000)
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claim = `${part({ alg: 'RS256', typ: 'JWT' })}.${part({ iss, aud, scope: SCOPE, iat, exp: iat + 600 })}`
  const assertion = `${claim}.${createSign('RSA-SHA256').update(claim).sign(key, 'base64url')}`
  const grant = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
  return askStore(aud, { method: 'POST', body: new URLSearchParams({ grant_type: grant, assertion }) })
}
