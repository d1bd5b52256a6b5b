import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import type { EngineError } from '../../engine/errors.ts'
import { connectorFor, connectors } from '../../src/connectors/index.ts'
import { freshMariadb, freshPostgres } from '../servers.ts'
import { startSshd } from '../sshd.ts'
import { serving } from './http/serving.ts'

const SECRET = 'hush-9/x@y'
const { signal } = new AbortController()
const dir = mkdtempSync(join(tmpdir(), 'nightfreight-probes-'))
after(() => rmSync(dir, { recursive: true }))

type Settings = Record<string, unknown>

/** A connector that reaches over a network: its settings for a port, and what refuses the password there. */
interface Reached {
  at(port: number): Settings
  /** Runs `use` with the port of a server that knows another password. */
  refusing(use: (port: number) => Promise<void>): Promise<void>
}

const postgres = await freshPostgres()
const mariadb = await freshMariadb()
const portOf = (url: string) => Number(new URL(url).port)
const database = ({ url }: { url: string }, more = ''): Reached => ({
  at: port => {
    const { protocol, username, pathname } = new URL(url)
    return { url: `${protocol}//${username}@127.0.0.1:${port}${pathname}${more}`, password: SECRET }
  },
  refusing: use => use(portOf(url)),
})
const refusal = '<Error><Code>SignatureDoesNotMatch</Code><Message>no</Message></Error>'

const REACHED: Record<string, Reached> = {
  postgres: database(postgres, '?connect_timeout=1'),
  mysql: database(mariadb),
  http: {
    at: port => ({
      url: `http://127.0.0.1:${port}/v1?key=${SECRET}`,
      token: SECRET,
      timeout: 1,
      attempts: 1,
    }),
    refusing: use =>
      serving(
        ({ url, headers }, _url, response) => response.writeHead(401).end(`${url} ${headers.authorization}`),
        origin => use(portOf(origin)),
      ),
  },
  s3: {
    at: port => ({
      url: 's3://b/in',
      endpoint: `http://127.0.0.1:${port}`,
      access_key: 'key',
      secret_key: SECRET,
      timeout: 1,
    }),
    refusing: use =>
      serving(
        (_request, _url, response) => response.writeHead(403).end(refusal),
        origin => use(portOf(origin)),
      ),
  },
  sftp: {
    at: port => ({
      url: `sftp://nobody@127.0.0.1:${port}/`,
      password: SECRET,
      host_key: hostKey,
      timeout: 1,
    }),
    refusing: use => use(sshd.port),
  },
}
const sshd = await startSshd(join(dir, 'ssh'))
after(() => sshd.stop())
const { hostKey } = sshd

/** What a probe fails with, as a source and as a target; no text of it may hold the secret. */
async function failures(settings: Settings): Promise<EngineError[]> {
  const connector = connectorFor(String(settings.url))
  const config = connector.config.parse(settings)
  const context = { name: 'it', baseDir: dir, secrets: [SECRET] }
  const found: EngineError[] = []
  for (const open of [connector.source, connector.target]) {
    const system = open?.(config, context)
    if (!system) continue
    try {
      await assert.rejects(system.probe(signal), (error: EngineError) => {
        found.push(error)
        const said = `${error.message} ${error.hint}`
        for (const form of [SECRET, encodeURIComponent(SECRET), 'hush']) assert.ok(!said.includes(form), said)
        return true
      })
    } finally {
      await system.close()
    }
  }
  return found
}

/** A server that takes connections and does this with each. */
async function taking(act: (socket: Socket) => void, use: (port: number) => Promise<void>): Promise<void> {
  const sockets = new Set<Socket>()
  const server = createServer(socket => {
    sockets.add(socket.on('error', () => {}))
    act(socket)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  try {
    await use((server.address() as AddressInfo).port)
  } finally {
    for (const socket of sockets) socket.destroy()
    server.close()
  }
}

test('every connector that reaches over a network is here', () => {
  const local = ['duckdb', 'job', 'lake', 'local']
  assert.deepEqual(
    Object.keys(REACHED).sort(),
    connectors
      .map(({ name }) => name)
      .filter(name => !local.includes(name))
      .sort(),
  )
})

for (const [name, reached] of Object.entries(REACHED))
  describe(`a probe of ${name}`, () => {
    test('credentials that are refused are no failure that passes', () =>
      reached.refusing(async port => {
        for (const error of await failures(reached.at(port))) {
          assert.equal(error.code, 'AUTH_FAILED', error.message)
          assert.equal(error.exitCode, 2)
        }
      }))

    test('a server that is away, or hangs up, may be there later', async () => {
      const away = async (port: number) => {
        for (const error of await failures(reached.at(port)))
          assert.equal(error.exitCode, 75, `${error.code}: ${error.message}`)
      }
      await away(1)
      // S3's client tries each of these eight times, with pauses.
      if (name !== 's3') await taking(socket => socket.destroy(), away)
    })

    if (name !== 's3' && name !== 'mysql')
      test('a server that says nothing is waited for no longer than the settings say', () =>
        taking(
          () => {},
          async port => {
            const began = performance.now()
            for (const error of await failures(reached.at(port)))
              assert.equal(error.exitCode, 75, `${error.code}: ${error.message}`)
            assert.ok(performance.now() - began < 10_000)
          },
        ))
  })
