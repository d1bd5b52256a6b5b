/**
 * `npm run bench:growth -- [--rows 1,3,10] [--columns 10,100,1000] [--delays 0,5,50] [--runs 1]`: how a first copy from Postgres to
 * Postgres, and its next night in which nothing has changed, grow with rows (millions, of ten columns), with columns (ten million
 * values in each table), with workers (one and two), and with the network's delay (milliseconds each way, 300,000 rows). Prints Markdown.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startPostgres } from '../src/demo/servers/postgres.ts'
import { type FreshDatabase, freshPostgres } from '../test/servers.ts'
import { write } from './analyst/projects.ts'
import { cleanUps, gigabytes, machine, table } from './measure.ts'
import { MAIN } from './peers/contenders.ts'
import { type Measured, measured } from './peers/measure.ts'
import { median } from './peers/report.ts'

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '1,3,10' },
    columns: { type: 'string', default: '10,100,1000' },
    delays: { type: 'string', default: '0,5,50' },
    runs: { type: 'string', default: '1' },
  },
})
const list = (text: string) => text.split(',').filter(Boolean).map(Number)
const [rows, columns, delays, runs] = [
  list(values.rows),
  list(values.columns),
  list(values.delays),
  Number(values.runs),
]
const CELLS = 10_000_000
const DELAYED = 300_000

await using clean = cleanUps()
const dir = mkdtempSync(join(tmpdir(), 'nightfreight-growth-'))
clean.after(async () => rmSync(dir, { recursive: true, force: true }))
// The server runs as a user of its own.
chmodSync(dir, 0o711)
const postgres = await startPostgres({ dir: join(dir, 'postgres') })
clean.after(() => postgres.stop())
process.env.TEST_POSTGRES_URL = postgres.url
const [found] = await (await freshPostgres(clean)).query<{ server_version: string }>('SHOW server_version')

console.log(`${machine()}, Postgres ${found!.server_version}, medians of ${runs}\n`)
const head = [
  ...['', 'workers', 'seconds', 'of a million rows', 'client CPU s', 'peak memory', 'left on disk'],
  ...['a night without a change, s', 'its CPU s'],
]
const sweeps: [title: string, sizes: [name: string, size: Size][]][] = [
  [
    'Rows, of ten columns',
    rows.map(millions => [`${millions} M rows`, { rows: Math.round(millions * 1e6), columns: 10 }]),
  ],
  [
    `Columns, ${CELLS / 1e6} million values`,
    columns.map(count => [`${count} columns`, { rows: Math.round(CELLS / count), columns: count }]),
  ],
  [
    `Delay of the network, ${DELAYED.toLocaleString('en')} rows of ten columns`,
    delays.map(delay => [`${delay} ms each way`, { rows: DELAYED, columns: 10, delay }]),
  ],
]
for (const [title, sizes] of sweeps) {
  const lines: (string | number)[][] = []
  for (const [name, size] of sizes) lines.push(...(await grown(name, size)))
  if (lines.length > 0) console.log(`${title}:\n\n${table(head, lines)}\n`)
}

interface Size {
  rows: number
  columns: number
  /** Milliseconds between a byte and its arrival. */
  delay?: number
}

/** The figures of a size, a line for one worker and one for two. */
async function grown(name: string, size: Size): Promise<(string | number)[][]> {
  await using made = cleanUps()
  const source = await freshPostgres(made)
  await fill(source, size)
  const found: (string | number)[][] = []
  for (const threads of [1, 2]) {
    const [first, next]: Measured[][] = [[], []]
    let disk = 0
    for (let run = 0; run < runs; run++) {
      await using used = cleanUps()
      const target = await freshPostgres(used)
      const home = mkdtempSync(join(dir, 'home-'))
      used.after(async () => rmSync(home, { recursive: true, force: true }))
      const far = async ({ url }: FreshDatabase) => (size.delay ? await delayed(used, url, size.delay) : url)
      write(home, {
        'job.yaml': `job: growth
connections: { source: "\${SOURCE}", target: "\${TARGET}" }
resources: { threads: ${threads} }
extract: { wide: { from: source } }
load: { wide: { from: wide, to: target, mode: replace } }`,
      })
      const env = {
        NODE: process.execPath,
        MAIN,
        SOURCE: await far(source),
        TARGET: await far(target),
        NIGHTFREIGHT_HOME: join(home, '.home'),
      }
      first.push(await measured(`"$NODE" "$MAIN" run "${home}"`, env, []))
      disk = Math.max(disk, bytesBelow(home))
      next.push(await measured(`"$NODE" "$MAIN" run "${home}"`, env, []))
    }
    const seconds = median(first, 'seconds')
    found.push([
      name,
      threads,
      seconds.toFixed(2),
      (seconds / (size.rows / 1e6)).toFixed(2),
      median(first, 'clientCpu').toFixed(2),
      gigabytes(median(first, 'peak')),
      gigabytes(disk),
      median(next, 'seconds').toFixed(2),
      median(next, 'clientCpu').toFixed(2),
    ])
    console.error(found.at(-1)!.join('  '))
  }
  return found
}

/** A table with a key and columns of usual types, in turns. */
async function fill(source: FreshDatabase, { rows, columns }: Size): Promise<void> {
  const kinds = [
    ['bigint', 'i * 7919::bigint'],
    ['integer', '(i % 1000)::int'],
    ['numeric(12,2)', '(i % 100000) / 7.0'],
    ['double precision', 'i / 3.0'],
    ['varchar(40)', "'name ' || i % 997"],
    ['date', "date '2000-01-01' + (i % 9000)::int"],
    ['timestamp', "timestamp '2020-01-01' + i * interval '1 second'"],
    ['text', 'left(md5(i::text), 8)'],
    ['boolean', 'i % 2 = 0'],
  ] as const
  const more = Array.from({ length: columns - 1 }, (_, at) => kinds[at % kinds.length]!)
  await source.query(
    `CREATE TABLE wide (id bigint PRIMARY KEY, ${more.map(([type], at) => `c${at} ${type}`).join(', ')})`,
  )
  await source.query(
    `INSERT INTO wide SELECT i, ${more.map(([, value]) => value).join(', ')} FROM generate_series(1::bigint, ${rows}) AS i`,
  )
  await source.query('VACUUM ANALYZE wide')
}

function bytesBelow(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0)
}

/** The address of a server behind a line on which each byte takes so long, either way: a process of its own. */
async function delayed(hooks: ReturnType<typeof cleanUps>, target: string, delay: number): Promise<string> {
  const url = new URL(target)
  const script = join(import.meta.dirname, 'delayedLine.ts')
  const child = spawn(process.execPath, [script, url.hostname, url.port, String(delay)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  hooks.after(async () => void child.kill())
  const [port] = (await once(child.stdout, 'data')) as [Buffer]
  url.host = `127.0.0.1:${String(port).trim()}`
  return url.href
}
