// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references of job.yaml, not of this file
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createPublicKey, createVerify, generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { CreateSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm'
import { EngineError } from '../../engine/errors.ts'
import { expand } from '../../src/config/variables.ts'
import { serving } from '../connectors/http/serving.ts'
import { ensureMoto } from '../moto.ts'
import { freePort, listening } from '../ports.ts'

const folder = mkdtempSync(join(tmpdir(), 'nightfreight-stores-'))
after(() => rmSync(folder, { recursive: true }))

/** What a text with references becomes, or the one problem with it. */
async function put(text: string, env: Record<string, string> = {}): Promise<string> {
  const { text: done, problems } = await expand(text, { env, folder })
  return problems.length > 0 ? problems.join('\n') : done
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request) text += chunk
  return text
}

test('Vault: both versions of its key-value engine, by token and by role', async () => {
  const asked: string[] = []
  await serving(
    async (request, url, response) => {
      asked.push(`${request.method} ${url.pathname} ${request.headers['x-vault-namespace'] ?? ''}`.trim())
      const send = (value: object, status = 200) => response.writeHead(status).end(JSON.stringify(value))
      if (url.pathname === '/v1/auth/approle/login') {
        const { role_id, secret_id } = JSON.parse(await bodyOf(request))
        return send(
          role_id === 'r' && secret_id === 's' ? { auth: { client_token: 'from-role' } } : {},
          role_id === 'r' ? 200 : 400,
        )
      }
      const token = request.headers['x-vault-token']
      if (token !== 'root' && token !== 'from-role') return send({ errors: ['permission denied'] }, 403)
      if (url.pathname === '/v1/secret/data/shop')
        return send({ data: { data: { password: 'p@ss', port: 5432 }, metadata: { version: 3 } } })
      if (url.pathname === '/v1/kv/shop') return send({ data: { password: 'old', data: 'x' } })
      send({ errors: [] }, 404)
    },
    async origin => {
      const env = { VAULT_ADDR: `${origin}/`, VAULT_TOKEN: 'root' }
      assert.equal(await put('<${vault:secret/data/shop#password}>', env), '<p@ss>')
      assert.equal(await put('${vault:secret/data/${APP}#port}', { ...env, APP: 'shop' }), '5432')
      assert.equal(await put('${vault:kv/shop#password}', env), 'old')
      assert.equal(await put('${NOT_SET:-${vault:kv/shop#data}}', env), 'x')
      const roles = { VAULT_ADDR: origin, VAULT_ROLE_ID: 'r', VAULT_SECRET_ID: 's', VAULT_NAMESPACE: 'team' }
      assert.equal(await put('${vault:/secret/data/shop#password }'.replace(' ', ''), roles), 'p@ss')
      assert.ok(asked.includes('POST /v1/auth/approle/login team'))
      // Asked for once a minute at the most.
      const before = asked.length
      await put('${vault:kv/shop#password}', env)
      assert.equal(asked.length, before)
      for (const [text, more, problem] of [
        ['${vault:kv/none#x}', {}, /no such secret/],
        ['${vault:kv/shop#nothing}', {}, /has no text "nothing"/],
        ['${vault:kv/shop}', {}, /expected #KEY/],
        ['${vault:kv/denied#x}', { VAULT_TOKEN: 'wrong' }, /does not allow it/],
        ['${vault:kv/unset#x}', { VAULT_TOKEN: '' }, /environment variable VAULT_TOKEN is not set/],
      ] as const)
        assert.match(await put(text, { ...env, ...more }), problem)
    },
  )
  // A store that is away is no job that is wrong.
  await assert.rejects(
    put('${vault:kv/away#x}', { VAULT_ADDR: 'http://127.0.0.1:59999', VAULT_TOKEN: 't' }),
    (error: unknown) => error instanceof EngineError && error.code === 'CONNECTION_FAILED',
  )
})

test('AWS: secrets and parameters, on moto', async () => {
  const port = await freePort()
  const server = spawn(ensureMoto(), ['-H', '127.0.0.1', '-p', String(port)], { stdio: 'ignore' })
  after(() => server.kill('SIGKILL'))
  await listening(port)
  const env = {
    AWS_ENDPOINT_URL: `http://127.0.0.1:${port}`,
    AWS_REGION: 'eu-west-1',
    AWS_ACCESS_KEY_ID: 'a',
    AWS_SECRET_ACCESS_KEY: 'b',
  }
  Object.assign(process.env, env)
  try {
    const secrets = new SecretsManagerClient({})
    await secrets.send(
      new CreateSecretCommand({ Name: 'prod/wh', SecretString: '{"password":"p@ss","port":1}' }),
    )
    secrets.destroy()
    const parameters = new SSMClient({})
    await parameters.send(new PutParameterCommand({ Name: '/prod/key', Value: 'k=1', Type: 'SecureString' }))
    parameters.destroy()
    assert.equal(await put('${aws-secret:prod/wh#password}'), 'p@ss')
    assert.equal(await put('${aws-secret:prod/wh}'), '{"password":"p@ss","port":1}')
    assert.equal(await put('${aws-parameter:/prod/key}'), 'k=1')
    assert.match(await put('${aws-secret:none}'), /\$\{aws-secret:none\}: ResourceNotFoundException/)
    assert.match(await put('${aws-parameter:/none}'), /ParameterNotFound/)
  } finally {
    for (const key of Object.keys(env)) delete process.env[key]
  }
})

test('Google Cloud and Azure: the requests that their documents ask for, and what they answer', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const pem = createPublicKey(publicKey.export({ type: 'spki', format: 'pem' }))
  await serving(
    async (request, url, response) => {
      const send = (value: object, status = 200) => response.writeHead(status).end(JSON.stringify(value))
      const bearer = request.headers.authorization
      if (url.pathname === '/token') {
        const assertion = new URLSearchParams(await bodyOf(request)).get('assertion')!
        const [head, claim, signature] = assertion.split('.') as [string, string, string]
        const right = createVerify('RSA-SHA256')
          .update(`${head}.${claim}`)
          .verify(pem, signature, 'base64url')
        const { iss, aud } = JSON.parse(Buffer.from(claim, 'base64url').toString())
        return send({ access_token: right && iss === 'me@x' && aud.endsWith('/token') ? 'gcp-token' : 'bad' })
      }
      if (url.pathname === '/tenant/oauth2/v2.0/token') {
        const form = new URLSearchParams(await bodyOf(request))
        const right =
          form.get('client_secret') === 'cs' && form.get('scope') === 'https://vault.azure.net/.default'
        return send(right ? { access_token: 'azure-token' } : {}, right ? 200 : 401)
      }
      if (url.pathname === '/v1/projects/p/secrets/s/versions/latest:access' && bearer === 'Bearer gcp-token')
        return send({ payload: { data: Buffer.from('{"k":"vé"}').toString('base64') } })
      if (
        url.pathname === '/secrets/wh' &&
        bearer === 'Bearer azure-token' &&
        url.searchParams.get('api-version')
      )
        return send({ value: 'az&ure' })
      if (url.pathname.startsWith('/computeMetadata/') && request.headers['metadata-flavor'] === 'Google')
        return send({ access_token: 'gcp-token' })
      send({}, 403)
    },
    async origin => {
      const file = join(folder, 'account.json')
      const account = {
        client_email: 'me@x',
        private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
        token_uri: `${origin}/token`,
      }
      writeFileSync(file, JSON.stringify(account))
      const google = { CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER: `${origin}/` }
      assert.equal(
        await put('${gcp:projects/p/secrets/s#k}', { ...google, GOOGLE_APPLICATION_CREDENTIALS: file }),
        'vé',
      )
      assert.equal(
        await put('${gcp:projects/p/secrets/s}', { ...google, GCE_METADATA_HOST: new URL(origin).host }),
        '{"k":"vé"}',
      )
      const azure = {
        AZURE_AUTHORITY_HOST: origin,
        AZURE_TENANT_ID: 'tenant',
        AZURE_CLIENT_ID: 'c',
        AZURE_CLIENT_SECRET: 'cs',
      }
      assert.equal(await put(`\${azure:${origin}/secrets/wh}`, azure), 'az&ure')
      assert.match(
        await put(`\${azure:${origin}/secrets/wh#x}`, { ...azure, AZURE_CLIENT_SECRET: 'no' }),
        /refuses the credentials \(status 401\)/,
      )
    },
  )
})
