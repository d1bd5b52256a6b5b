import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { commandLine } from '../commandLine.ts'
import { serving } from '../connectors/http/serving.ts'

const root = mkdtempSync(join(tmpdir(), 'secrets-'))
after(() => rmSync(root, { recursive: true }))

/** Names of the files below a folder that hold one of these texts. */
function holding(folder: string, texts: readonly string[]): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name))
    .filter(path => texts.some(text => readFileSync(path).includes(text)))
}

test('what variables, files and headers gave reaches no output and no file, whoever repeats it', async () => {
  const env = {
    KEY: 'k-Zq8+/w==',
    SIG: 'sig &ü%41',
    SEGMENT: 'bot7:AAbbccDDeeff',
    PASSWORD: 'p@ss/w#r%d?x',
  }
  const file = 'fromAFile/1'
  const secrets = [...Object.values(env), file, 'plain-header-77']
  const written = secrets.flatMap(secret => [
    secret,
    encodeURIComponent(secret),
    JSON.stringify(secret).slice(1, -1),
  ])
  written.push(new URLSearchParams({ s: env.SIG }).toString().slice(2), btoa(`me:${env.PASSWORD}`))
  const home = join(root, 'home')
  const folder = join(root, 'job')
  mkdirSync(folder)
  writeFileSync(join(root, 'secret'), `${file}\n`)
  const echoes = (request: IncomingMessage, url: URL) => {
    const { authorization, ...headers } = request.headers
    const named = Object.entries(headers).filter(([name]) => name.startsWith('x-'))
    return [request.url, decodeURIComponent(url.href), authorization, Object.fromEntries(named)]
  }
  let broken = 0
  await serving(
    (request, url, response) => {
      const page = Number(url.searchParams.get('page') ?? 1)
      if (url.pathname.endsWith('/health')) return void response.end('{}')
      if (page === 3 && broken < 4) {
        response.writeHead(400).end(JSON.stringify(echoes(request, url)[broken++]))
        return
      }
      const next =
        page < 4 ? `${url.pathname}?${new URLSearchParams({ sig: env.SIG, page: String(page + 1) })}` : null
      response.end(JSON.stringify({ data: [{ id: page }], next }))
    },
    async origin => {
      writeFileSync(
        join(folder, 'job.yaml'),
        `job: hidden
connections:
  api: { url: "${origin}/\${SEGMENT}", user: me, password: "\${PASSWORD}", headers: { X-Key: "\${KEY}", X-More: plain-header-77, X-File: "\${file:../secret}" } }
  wh: duckdb:../wh.duckdb
extract:
  items: { from: api, key: id, path: "/items?sig=\${SIG}", paginate: next, schema: { id: BIGINT } }
load: { items: { to: wh, from: items, key: id } }
retries: { limit: 0 }
chunking: { default_chunk_size: 1 }
`,
      )
      let output = ''
      const command = async (...args: string[]) => {
        const ended = await commandLine(home, args, { env: { ...env, ORIGIN: origin } })
        output += ended.output
        return ended.code
      }
      assert.equal(await command('validate', folder), 0)
      for (const flags of [[], ['--debug'], ['--json'], ['--json', '--debug']])
        assert.equal(await command('run', folder, ...flags), 4)
      assert.equal(await command('run', folder), 0)
      assert.equal(await command('status'), 0)
      assert.equal(await command('history'), 0)
      assert.match(output, /\*\*\*/)
      for (const text of written) assert.ok(!output.includes(text), `${text} in\n${output}`)
      assert.deepEqual(holding(home, written), [])
    },
  )
})
