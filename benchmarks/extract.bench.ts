/**
 * `npm run bench:extract -- [rows …]` (default 3000000 30000000): what extraction costs beside the server's raw
 * stream, for Postgres and MariaDB, one and two connections. Prints Markdown; exit code 1 where a bound is missed.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { startMariadb } from '../src/demo/servers/mariadb.ts'
import { startPostgres } from '../src/demo/servers/postgres.ts'
import { freshMariadb, freshPostgres } from '../test/servers.ts'
import { fillDocuments } from './documents.ts'
import { fillLineitem } from './lineitem.ts'
import { cleanUps, cpuOf, machine, table } from './measure.ts'

const SIZES = process.argv.slice(2).map(Number)
if (SIZES.length === 0) SIZES.push(3_000_000, 30_000_000)
/** Each figure is the median of so many runs, the modes in turn so that all see the same machine; one run where it is long. */
const RUNS = Number(process.env.RUNS ?? 3)
const LONG = 10_000_000
const MODES = ['raw 1', 'raw 2', 'decode 1', 'stage 1', 'stage 2']
/** The tables, each with its first key column, and how many of the rows they have. */
const TABLES = [
  { name: 'lineitem', key: 'l_orderkey', fill: fillLineitem, share: 1 },
  { name: 'documents', key: 'id', fill: fillDocuments, share: 0.2 },
]
/** Of the raw stream on one connection: wall time; and of the server's own: CPU time. */
const BOUNDS = { decode: 1.1, stage: 1.4, cpu: 1.5, memory: 1.15 }

interface Once {
  rows: number
  bytes: number
  seconds: number
  cpu: number
  peak: number
  server: number
}

const clean = cleanUps()
const missed: string[] = []
try {
  const dir = mkdtempSync(join(tmpdir(), 'nightfreight-bench-'))
  clean.after(async () => rmSync(dir, { recursive: true, force: true }))
  const servers = {
    Postgres: { ...(await startPostgres({ dir })), fresh: freshPostgres, kind: 'postgres' as const },
    MariaDB: {
      ...(await startMariadb({ dir, bufferPool: '4G' })),
      fresh: freshMariadb,
      kind: 'mariadb' as const,
    },
  }
  process.env.TEST_POSTGRES_URL = servers.Postgres.url
  process.env.TEST_MARIADB_URL = servers.MariaDB.url
  for (const server of Object.values(servers)) clean.after(() => server.stop())
  console.log(
    `${machine()}\n\`npm run bench:extract -- ${SIZES.join(' ')}\`, medians of ${RUNS} runs, from ${LONG.toLocaleString('en')} rows one run\n`,
  )

  const peaks = new Map<string, number>()
  for (const [name, server] of Object.entries(servers))
    for (const { name: tableName, key, fill, share } of TABLES)
      for (const size of SIZES) {
        await using hooks = cleanUps()
        const database = await server.fresh(hooks)
        const rows = Math.round(size * share)
        await fill(database, server.kind, rows)
        const results = new Map<string, Once[]>(MODES.map(mode => [mode, []]))
        const run = (mode: string) =>
          once(mode, [database.url, join(dir, 'staging'), tableName, key], server.pid, rows)
        // Warms the caches.
        await run('raw 1')
        for (let round = 0; round < (size < LONG ? RUNS : 1); round++)
          for (const mode of MODES) results.get(mode)!.push(await run(mode))
        report(`${name}, ${tableName}`, rows, results, peaks)
      }
} finally {
  await clean.run()
}
for (const bound of missed) console.error(bound)
if (missed.length > 0) process.exitCode = 1

/** `place`: the rest of `extractOnce.ts`'s arguments. */
async function once(
  mode: string,
  place: [url: string, staging: string, table: string, key: string],
  pid: number,
  rows: number,
): Promise<Once> {
  const [what, connections] = mode.split(' ') as [string, string]
  const before = serverCpu(pid)
  const child = spawnSync(
    process.execPath,
    [join(import.meta.dirname, 'extractOnce.ts'), what, connections, ...place],
    { encoding: 'utf8' },
  )
  rmSync(place[1], { recursive: true, force: true })
  if (child.status !== 0) throw new Error(`${mode}: ${child.stderr}`)
  // A back-end's time is its parent's once it has been waited for.
  await delay(300)
  const result = JSON.parse(child.stdout) as Once
  if (what !== 'raw' && result.rows !== rows) throw new Error(`${mode}: ${result.rows} of ${rows} rows`)
  return { ...result, server: serverCpu(pid) - before }
}

/** CPU seconds of a server and all processes it has or had. */
function serverCpu(pid: number): number {
  let seconds = cpuOf(pid, true)
  for (const task of readdirSync('/proc'))
    if (/^\d+$/.test(task)) {
      try {
        if (readFileSync(`/proc/${task}/stat`, 'utf8').split(') ').at(-1)!.split(' ')[1] === String(pid))
          seconds += cpuOf(Number(task), false)
      } catch {}
    }
  return seconds
}

function report(name: string, rows: number, results: Map<string, Once[]>, peaks: Map<string, number>): void {
  const of = (mode: string, figure: keyof Once) => median(results.get(mode)!.map(result => result[figure]))
  const wall = of('raw 1', 'seconds')
  console.log(`${name}, ${rows.toLocaleString('en')} rows\n`)
  console.log(
    table(
      ['', 'seconds', 'of raw 1', 'client CPU s', 'server CPU s', 'client / server CPU', 'peak memory MB'],
      MODES.map(mode => [
        mode,
        of(mode, 'seconds').toFixed(2),
        (of(mode, 'seconds') / wall).toFixed(2),
        of(mode, 'cpu').toFixed(2),
        of(mode, 'server').toFixed(2),
        (of(mode, 'cpu') / of(mode, 'server')).toFixed(2),
        (of(mode, 'peak') / 1e6).toFixed(0),
      ]),
    ),
  )
  console.log()
  const check = (what: string, value: number, bound: number) => {
    if (value > bound)
      missed.push(`${name}, ${rows} rows: ${what} is ${value.toFixed(2)}, the bound is ${bound}`)
  }
  check('decode 1 of raw 1', of('decode 1', 'seconds') / wall, BOUNDS.decode)
  check('stage 1 of raw 1', of('stage 1', 'seconds') / wall, BOUNDS.stage)
  check('CPU of stage 1 beside the server', of('stage 1', 'cpu') / of('raw 1', 'server'), BOUNDS.cpu)
  for (const mode of ['stage 1', 'stage 2']) {
    const smaller = peaks.get(`${name} ${mode}`)
    if (smaller) check(`peak memory of ${mode} beside fewer rows`, of(mode, 'peak') / smaller, BOUNDS.memory)
    peaks.set(`${name} ${mode}`, of(mode, 'peak'))
  }
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[sorted.length >> 1]!
}
