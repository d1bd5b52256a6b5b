import type { SecretContext, SecretProvider } from './provider.ts'
import { askStore, memberOf, required, textOf, withKey } from './request.ts'

const RESOURCE = 'https://vault.azure.net'
const MACHINE = 'http://169.254.169.254/metadata/identity/oauth2/token'

/**
 * Azure Key Vault: `VAULT/SECRET`, or the URL of a secret. Credentials are a client's (AZURE_TENANT_ID, AZURE_CLIENT_ID,
 * AZURE_CLIENT_SECRET), or the machine's managed identity.
 */
export const azure: SecretProvider = {
  scheme: 'azure',
  shape: 'shop-vault/warehouse',
  async read(address, context) {
    const { place, key } = withKey(address)
    const [name, ...secret] = place.split('/')
    const url = /^https?:/.test(place) ? place : `https://${name}.vault.azure.net/secrets/${secret.join('/')}`
    const headers = { authorization: `Bearer ${await accessToken(context)}` }
    const answer = await askStore(`${url}?api-version=7.4`, { headers })
    return memberOf(textOf(answer.value, 'value'), key)
  },
}

async function accessToken({ env }: SecretContext): Promise<string> {
  const answer = env.AZURE_CLIENT_SECRET
    ? await askStore(
        new URL(
          `${required(env, 'AZURE_TENANT_ID')}/oauth2/v2.0/token`,
          env.AZURE_AUTHORITY_HOST ?? 'https://login.microsoftonline.com/',
        ).href,
        {
          method: 'POST',
          body: new URLSearchParams({
            grant_type: 'client_credentials',
            client_id: required(env, 'AZURE_CLIENT_ID'),
            client_secret: env.AZURE_CLIENT_SECRET,
            scope: `${RESOURCE}/.default`,
          }),
        },
      )
    : await askStore(
        `${MACHINE}?${new URLSearchParams({ 'api-version': '2018-02-01', resource: RESOURCE })}`,
        { headers: { metadata: 'true' } },
      )
  return textOf(answer.access_token, 'access_token')
}
