/**
 * `npm run bench:observed -- [rows [pairs]]` (default 6000000, 5): what it costs a run to be seen. The same copy from
 * Postgres into DuckDB, in turns: with nothing but its own history, and with metrics for Prometheus, an OpenTelemetry trace and
 * OpenLineage events, each sent to a receiver that takes them. CPU seconds of the whole process. Prints Markdown; the exit code
 * is 1 where the median pair costs 2 % or more.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPostgres } from '../src/demo/servers/postgres.ts'
import { freshPostgres } from '../test/servers.ts'
import { fillLineitem } from './lineitem.ts'
import { cleanUps, cpuOf, machine, table } from './measure.ts'

const [ROWS = 6_000_000, PAIRS = 5] = process.argv.slice(2).map(Number)
const BOUND = 0.02

await using clean = cleanUps()
const dir = mkdtempSync(join(tmpdir(), 'nightfreight-observed-'))
clean.after(async () => rmSync(dir, { recursive: true, force: true }))
const server = await startPostgres({ dir })
clean.after(() => server.stop())
process.env.TEST_POSTGRES_URL = server.url
const source = await freshPostgres(clean)
await fillLineitem(source, 'postgres', ROWS)
const taken = { bytes: 0, requests: 0 }
const receiver = createServer((request, response) => {
  taken.requests++
  request.on('data', (some: Buffer) => {
    taken.bytes += some.length
  })
  request.on('end', () => response.writeHead(200, { 'content-type': 'application/json' }).end('{}'))
}).listen(0, '127.0.0.1')
await once(receiver, 'listening')
clean.after(async () => void receiver.close())
const address = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`
const metrics = join(dir, 'nightfreight.prom')
const SEEN = {
  NIGHTFREIGHT_METRICS: metrics,
  OTEL_EXPORTER_OTLP_ENDPOINT: address,
  OPENLINEAGE_URL: address,
}
const folder = join(dir, 'job')
mkdirSync(folder)
writeFileSync(
  join(folder, 'job.yaml'),
  `job: observed
connections: { source: "\${SOURCE_URL}", warehouse: "duckdb:${join(dir, 'warehouse.duckdb')}" }
extract: { lineitem: { from: source, table: lineitem } }
load: { lineitem: { to: warehouse, from: lineitem, key: [l_orderkey, l_linenumber] } }
`,
)

// The first run of all fills caches, and is not counted.
await copy({})
const pairs: { plain: number; seen: number }[] = []
for (let n = 0; n < PAIRS; n++) {
  // Whoever is first changes from pair to pair.
  const [first, second] = n % 2 === 0 ? [{}, SEEN] : [SEEN, {}]
  const [a, b] = [await copy(first), await copy(second)]
  pairs.push(n % 2 === 0 ? { plain: a, seen: b } : { plain: b, seen: a })
}
if (taken.requests < 2 * PAIRS || !readFileSync(metrics, 'utf8').includes('batch_records_total'))
  throw new Error(`what is to be seen was not sent: ${taken.requests} requests`)
const middle = (of: (pair: (typeof pairs)[number]) => number) =>
  pairs.map(of).sort((a, b) => a - b)[pairs.length >> 1]!
const median = middle(({ plain, seen }) => seen / plain - 1)
const percent = (share: number) => `${(share * 100).toFixed(1)} %`
console.log(`${machine()}, Postgres 18.4\n\`npm run bench:observed -- ${ROWS} ${PAIRS}\`\n`)
console.log(
  table(
    ['pair', 'CPU s, history only', 'CPU s, metrics, trace and lineage', 'more'],
    pairs.map(({ plain, seen }, n) => [n + 1, plain.toFixed(2), seen.toFixed(2), percent(seen / plain - 1)]),
  ),
)
console.log(
  `\nThe median pair: ${percent(median)}, ${middle(({ plain, seen }) => seen - plain).toFixed(2)} s; ${taken.requests} requests, ${taken.bytes} bytes.`,
)
process.exitCode = median < BOUND ? 0 : 1

/** A first copy by the command line, into a warehouse that is not there yet: CPU seconds. */
async function copy(env: Record<string, string>): Promise<number> {
  const home = join(dir, 'home')
  for (const path of [home, join(dir, 'warehouse.duckdb')]) rmSync(path, { recursive: true, force: true })
  const before = childrenCpu()
  const main = join(import.meta.dirname, '../src/main.ts')
  const child = spawn(process.execPath, [main, 'run', folder, '--json'], {
    env: { ...process.env, SOURCE_URL: source.url, NIGHTFREIGHT_HOME: home, ...env },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', text => {
    output += text
  })
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(output)
  return childrenCpu() - before
}

/** CPU seconds of children that have ended: servers that go on are none of them. */
function childrenCpu(): number {
  return cpuOf(process.pid, true) - cpuOf(process.pid, false)
}
