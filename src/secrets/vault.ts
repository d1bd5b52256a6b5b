import { EngineError } from '../../engine/errors.ts'
import { readTls, type Tls } from '../util/tls.ts'
import type { SecretContext, SecretProvider } from './provider.ts'
import { askStore, required, textOf, withKey } from './request.ts'

/**
 * HashiCorp Vault and OpenBao, by the variables of their own client: VAULT_ADDR, VAULT_TOKEN (or VAULT_ROLE_ID and
 * VAULT_SECRET_ID), VAULT_NAMESPACE, VAULT_CACERT. Key-value engines of both versions: `secret/data/shop#password`.
 */
export const vault: SecretProvider = {
  scheme: 'vault',
  shape: 'secret/data/shop#password',
  async read(address, context) {
    const { place, key } = withKey(address)
    if (key === undefined) throw new EngineError('CONFIG_INVALID', 'expected #KEY behind the path')
    const { base, headers, tls } = settings(context)
    const token = context.env.VAULT_TOKEN || (await logIn(context, base, headers, tls))
    const answer = await askStore(
      `${base}/v1/${place.replace(/^\//, '')}`,
      { headers: { ...headers, 'x-vault-token': token } },
      tls,
    )
    const data = answer.data as { data?: unknown; metadata?: unknown } & Record<string, unknown>
    // Version 2 has the secret one level below, beside its metadata.
    const fields = data?.metadata !== undefined && typeof data.data === 'object' ? data.data : data
    return textOf((fields as Record<string, unknown> | null)?.[key], key)
  },
}

function settings({ env, folder }: SecretContext) {
  const base = required(env, 'VAULT_ADDR').replace(/\/$/, '')
  const headers: Record<string, string> = env.VAULT_NAMESPACE
    ? { 'x-vault-namespace': env.VAULT_NAMESPACE }
    : {}
  const tls: Tls = env.VAULT_CACERT ? readTls('VAULT_CACERT', { ca: env.VAULT_CACERT }, folder) : {}
  return { base, headers, tls }
}

async function logIn(
  { env }: SecretContext,
  base: string,
  headers: Record<string, string>,
  tls: Tls,
): Promise<string> {
  if (!env.VAULT_ROLE_ID) required(env, 'VAULT_TOKEN')
  const body = JSON.stringify({ role_id: env.VAULT_ROLE_ID, secret_id: required(env, 'VAULT_SECRET_ID') })
  const answer = await askStore(`${base}/v1/auth/approle/login`, { method: 'POST', headers, body }, tls)
  return textOf((answer.auth as Record<string, unknown> | undefined)?.client_token, 'client_token')
}
