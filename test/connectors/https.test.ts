import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer as createHttp, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { ErrorCode } from '../../engine/errors.ts'
import { connectorFor } from '../../src/connectors/index.ts'
import { commandLine } from '../commandLine.ts'
import { certificates } from '../tls.ts'

const dir = mkdtempSync(join(tmpdir(), 'nightfreight-https-'))
const file = (name: string) => readFileSync(join(dir, name), 'utf8')
const { signal } = new AbortController()
const LISTING =
  '<?xml version="1.0"?><ListBucketResult><Name>b</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>'

/** Connections that reach a server over HTTPS, by the port that it listens on. */
const CONNECTIONS: Record<string, (port: number) => Record<string, unknown>> = {
  http: port => ({ url: `https://127.0.0.1:${port}`, attempts: 1 }),
  's3, a bucket': port => s3(`s3://b/in`, port),
  'lake in a bucket': port => s3('lake:s3://b/lake', port),
}
const s3 = (url: string, port: number) => ({
  url,
  endpoint: `https://127.0.0.1:${port}`,
  access_key: 'a',
  secret_key: 'b',
})

async function probe(settings: Record<string, unknown>): Promise<void> {
  const connector = connectorFor(String(settings.url))
  const config = connector.config.parse(settings)
  const context = { name: 'it', baseDir: dir }
  // A lake that was never loaded is there for loads only.
  const system = (connector.target ?? connector.source)!(config, context)
  try {
    await system.probe(signal)
  } finally {
    await system.close()
  }
}

const fails = (settings: Record<string, unknown>, code: ErrorCode, hint?: RegExp) =>
  assert.rejects(probe(settings), (error: Error & { code?: string; hint?: string }) => {
    assert.equal(error.code, code, error.message)
    if (hint) assert.match(error.hint ?? '', hint)
    return true
  })

describe('over HTTPS', () => {
  const answer = ({ url }: IncomingMessage, response: ServerResponse) =>
    url!.includes('.json')
      ? response.writeHead(404).end('<Error><Code>NoSuchKey</Code></Error>')
      : response.end(LISTING)
  let plain: ReturnType<typeof createServer>
  let strict: ReturnType<typeof createServer>
  let proxy: ReturnType<typeof createHttp>
  const through: string[] = []
  const portOf = (server: { address(): unknown }) => (server.address() as AddressInfo).port

  before(async () => {
    const { authority, certificate } = certificates(dir)
    authority('ours')
    authority('theirs')
    certificate('server', 'ours')
    certificate('client', 'ours')
    const own = { key: file('server.key'), cert: file('server.pem') }
    plain = createServer(own, answer).listen(0, '127.0.0.1')
    strict = createServer(
      { ...own, ca: file('ours.pem'), requestCert: true, rejectUnauthorized: true },
      answer,
    ).listen(0, '127.0.0.1')
    proxy = createHttp((request, response) => {
      through.push(request.url!)
      response.end('{}')
    }).listen(0, '127.0.0.1')
    proxy.on('connect', (request, socket) => {
      through.push(request.url!)
      const [host, port] = request.url!.split(':')
      const onward = connect(Number(port), host, () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n')
        onward.pipe(socket).pipe(onward)
      })
      for (const end of [socket, onward]) end.on('error', () => {})
    })
    await Promise.all([plain, strict, proxy].map(server => once(server, 'listening')))
  })
  after(() => {
    for (const server of [plain, strict, proxy]) {
      server.closeAllConnections()
      server.close()
    }
    rmSync(dir, { recursive: true })
  })

  for (const [name, settings] of Object.entries(CONNECTIONS)) {
    test(`${name}: the authority that the connection names is trusted, and no other`, async () => {
      const there = settings(portOf(plain))
      await probe({ ...there, ca: 'ours.pem' })
      await fails(there, 'TLS_FAILED', /ca: FILE/)
      await fails({ ...there, ca: 'theirs.pem' }, 'TLS_FAILED', /ca: FILE/)
      for (const wrong of [
        { ca: 'none.pem' },
        { ca: 'server.key' },
        { cert: 'client.pem' },
        { cert: 'client.pem', key: 'server.key' },
      ])
        await assert.rejects(
          async () => probe({ ...there, ...wrong }),
          { code: 'CONFIG_INVALID' },
          JSON.stringify(wrong),
        )
    })

    test(`${name}: a client's certificate is shown`, async () => {
      const there = { ...settings(portOf(strict)), ca: 'ours.pem' }
      await probe({ ...there, cert: 'client.pem', key: 'client.key' })
      await assert.rejects(probe(there))
    })

    test(`${name}: a proxy of the settings or the environment is taken, and left out where it is not wanted`, async () => {
      const there = { ...settings(portOf(plain)), ca: 'ours.pem' }
      const address = `http://127.0.0.1:${portOf(proxy)}`
      const target = `127.0.0.1:${portOf(plain)}`
      const seen = async (env: Record<string, string>, more: object = {}) => {
        through.length = 0
        Object.assign(process.env, env)
        try {
          await probe({ ...there, ...more })
          return [...new Set(through)]
        } finally {
          for (const key of Object.keys(env)) delete process.env[key]
        }
      }
      assert.deepEqual(await seen({}), [])
      assert.deepEqual(await seen({}, { proxy: address }), [target])
      assert.deepEqual(await seen({ HTTPS_PROXY: address }), [target])
      assert.deepEqual(await seen({ HTTPS_PROXY: address, NO_PROXY: '127.0.0.1' }), [])
      assert.deepEqual(await seen({ HTTPS_PROXY: address }, { proxy: 'none' }), [])
    })
  }

  test('SSL_CERT_FILE names authorities for all connections', async () => {
    const program = `
      const [, module, list] = process.argv
      const { connectorFor } = await import(module)
      for (const settings of JSON.parse(list)) {
        const connector = connectorFor(settings.url)
        const system = (connector.target ?? connector.source)(connector.config.parse(settings), { name: 'it', baseDir: '/' })
        await system.probe(new AbortController().signal)
        await system.close()
      }`
    const list = Object.values(CONNECTIONS).map(settings => settings(portOf(plain)))
    const index = join(import.meta.dirname, '../../src/connectors/index.ts')
    const ended = await commandLine(dir, [], {
      program: ['--input-type=module', '-e', program, index, JSON.stringify(list)],
      env: { SSL_CERT_FILE: join(dir, 'ours.pem') },
    })
    assert.equal(ended.code, 0, ended.output)
  })
})
