import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { EngineError } from '../../../engine/errors.ts'
import { ask, connect, disconnect } from '../../../src/connectors/postgres/connect.ts'
import { startPostgres } from '../../../src/demo/servers/postgres.ts'
import type { RunningServer } from '../../../src/demo/servers/process.ts'
import { freshPostgres } from '../../servers.ts'

/** The answer to a query on a connection of its own. */
async function answer(url: string, sql: string): Promise<string | null> {
  const client = await connect({ url }, 'crm')
  try {
    const [row] = await ask(client, 'crm', sql)
    return Object.values(row!)[0]!
  } finally {
    await disconnect(client)
  }
}

const encrypted = (url: string) => answer(url, 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()')

const fails = (url: string, code: string, text: RegExp) =>
  assert.rejects(encrypted(url), (error: unknown) => {
    assert.ok(error instanceof EngineError, String(error))
    assert.equal(error.code, code, error.message)
    assert.match(`${error.message} ${error.hint}`, text)
    assert.ok(error.message.startsWith('crm'), error.message)
    return true
  })

describe('TLS', () => {
  let dir: string
  let server: RunningServer
  const file = (name: string) => join(dir, name)
  const url = (parameters: Record<string, string>, host = 'localhost', user?: string) => {
    const at = new URL(server.url)
    at.hostname = host
    if (user) [at.username, at.password] = [user, '']
    return `${at.href}?${new URLSearchParams(parameters)}`
  }

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'nightfreight-tls-'))
    server = await startPostgres({ dir })
    authority('ca')
    authority('other')
    certificate('server', '/CN=server', 'subjectAltName=DNS:localhost')
    certificate('client', '/CN=carol', 'subjectAltName=DNS:carol')
    const data = (await answer(server.url, 'SHOW data_directory'))!
    const { uid, gid } = statSync(data)
    for (const name of ['server.crt', 'server.key', 'ca.crt']) {
      const to = join(data, name)
      writeFileSync(to, readFileSync(file(name)))
      chmodSync(to, 0o600)
      chownSync(to, uid, gid)
    }
    const hba = join(data, 'pg_hba.conf')
    writeFileSync(hba, `hostssl all carol all cert\n${readFileSync(hba, 'utf8')}`)
    const client = await connect({ url: server.url }, 'crm')
    await ask(client, 'crm', 'CREATE ROLE carol LOGIN')
    await ask(client, 'crm', "ALTER SYSTEM SET ssl_ca_file = 'ca.crt'")
    await ask(client, 'crm', 'ALTER SYSTEM SET ssl = on')
    await ask(client, 'crm', 'SELECT pg_reload_conf()')
    await disconnect(client)
  })
  after(async () => {
    await server.stop()
    rmSync(dir, { recursive: true, force: true })
  })

  function authority(name: string): void {
    openssl(
      'req',
      '-x509',
      '-subj',
      `/CN=${name}`,
      '-days',
      '2',
      '-out',
      file(`${name}.crt`),
      ...newKey(name),
    )
  }

  function certificate(name: string, subject: string, extension: string): void {
    openssl('req', '-subj', subject, '-out', file(`${name}.csr`), ...newKey(name))
    writeFileSync(file(`${name}.ext`), extension)
    const signer = [
      '-CA',
      file('ca.crt'),
      '-CAkey',
      file('ca.key'),
      '-CAcreateserial',
      '-extfile',
      file(`${name}.ext`),
    ]
    openssl('x509', '-req', '-days', '2', '-in', file(`${name}.csr`), '-out', file(`${name}.crt`), ...signer)
  }

  const newKey = (name: string) => [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-keyout',
    file(`${name}.key`),
  ]

  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe' })

  test('without a certificate to check: require and prefer encrypt, disable does not', async () => {
    assert.equal(await encrypted(url({ sslmode: 'require' })), 't')
    assert.equal(await encrypted(url({ sslmode: 'prefer' })), 't')
    assert.equal(await encrypted(url({ sslmode: 'disable' })), 'f')
    assert.equal(await encrypted(server.url), 'f')
  })

  test('the right authority is accepted, by host name and without', async () => {
    const sslrootcert = file('ca.crt')
    assert.equal(await encrypted(url({ sslmode: 'verify-full', sslrootcert })), 't')
    assert.equal(await encrypted(url({ sslmode: 'verify-ca', sslrootcert })), 't')
    assert.equal(await encrypted(url({ sslmode: 'verify-ca', sslrootcert }, '127.0.0.1')), 't')
    assert.equal(await encrypted(url({ sslmode: 'require', sslrootcert }, '127.0.0.1')), 't')
  })

  test('a wrong authority is refused, also by require with sslrootcert', async () => {
    for (const sslmode of ['verify-full', 'verify-ca', 'require'])
      await fails(url({ sslmode, sslrootcert: file('other.crt') }), 'TLS_FAILED', /certificate.*sslrootcert/)
    await fails(url({ sslmode: 'verify-full', sslrootcert: 'system' }), 'TLS_FAILED', /certificate/)
  })

  test('verify-full refuses a certificate made out to another host', async () => {
    const full = { sslmode: 'verify-full', sslrootcert: file('ca.crt') }
    await fails(url(full, '127.0.0.1'), 'TLS_FAILED', /127\.0\.0\.1.*host name/)
  })

  test('a client certificate lets its user in', async () => {
    const own = { sslmode: 'verify-full', sslrootcert: file('ca.crt') }
    const pair = { sslcert: file('client.crt'), sslkey: file('client.key') }
    assert.equal(await encrypted(url({ ...own, ...pair }, 'localhost', 'carol')), 't')
    await fails(url(own, 'localhost', 'carol'), 'AUTH_FAILED', /certificate/)
    await fails(url({ ...own, sslcert: pair.sslcert }), 'CONFIG_INVALID', /sslcert and sslkey/)
  })

  test('files and modes that make no sense are configuration errors', async () => {
    await fails(url({ sslmode: 'always' }), 'CONFIG_INVALID', /sslmode=always.*verify-full/)
    const missing = file('none.crt')
    await fails(url({ sslmode: 'verify-ca', sslrootcert: missing }), 'CONFIG_INVALID', /none\.crt.*ENOENT/)
    await fails(url({ sslmode: 'verify-ca', sslrootcert: 'system' }), 'CONFIG_INVALID', /verify-full/)
    writeFileSync(file('broken.crt'), 'no certificate')
    await fails(url({ sslmode: 'verify-ca', sslrootcert: file('broken.crt') }), 'TLS_FAILED', /certificate/)
  })
})

test('a server without TLS: require is refused with what to do, prefer goes without', async t => {
  const db = await freshPostgres(t)
  await fails(`${db.url}?sslmode=require`, 'TLS_FAILED', /does not offer TLS.*ssl = on/)
  assert.equal(await encrypted(`${db.url}?sslmode=prefer`), 'f')
})

test("the server's time-outs do not end a long read; the URL's own do", async t => {
  const db = await freshPostgres(t)
  const limits = ['statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout']
  for (const limit of limits) await db.query(`ALTER DATABASE ${db.name} SET ${limit} = '90s'`)
  for (const limit of limits) assert.equal(await answer(db.url, `SHOW ${limit}`), '0')
  const options = new URLSearchParams({ options: '-c statement_timeout=150' })
  assert.equal(await answer(`${db.url}?${options}`, 'SHOW statement_timeout'), '150ms')
  assert.equal(await answer(`${db.url}?${options}`, 'SHOW transaction_timeout'), '0')
  assert.equal(await answer(`${db.url}?statement_timeout=250`, 'SHOW statement_timeout'), '250ms')
  await assert.rejects(answer(`${db.url}?${options}`, 'SELECT pg_sleep(9)'), { code: 'TIMEOUT' })
})

test('connect_timeout bounds a server that says nothing', async () => {
  const silent = createServer(() => {})
  silent.listen(0, '127.0.0.1')
  await once(silent, 'listening')
  try {
    const { port } = silent.address() as AddressInfo
    const url = `postgres://me:s3cret@127.0.0.1:${port}/x`
    const started = performance.now()
    await assert.rejects(connect({ url: `${url}?connect_timeout=1` }, 'crm'), { code: 'TIMEOUT' })
    assert.ok(performance.now() - started < 5000)
    const invalid = await connect({ url: `${url}?connect_timeout=soon` }, 'crm').catch(error => error)
    assert.equal(invalid.code, 'CONFIG_INVALID')
    assert.doesNotMatch(`${invalid.message} ${invalid.hint}`, /s3cret/)
  } finally {
    silent.close()
  }
})
