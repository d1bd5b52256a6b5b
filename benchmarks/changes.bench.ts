/**
 * `npm run bench:changes -- [rows]` (default 1000000): the log of one transaction of so many inserts and as many updates,
 * decoded to staged Parquet, beside the server's own client that reads the same to nowhere. Prints Markdown.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ChangeModule } from '../engine/contracts/changes.ts'
import { PartSink } from '../engine/staging/partSink.ts'
import { mysql } from '../src/connectors/mysql/index.ts'
import { postgres } from '../src/connectors/postgres/index.ts'
import { startMariadb } from '../src/demo/servers/mariadb.ts'
import { startPostgres } from '../src/demo/servers/postgres.ts'
import { type FreshDatabase, freshMariadb, freshPostgres } from '../test/servers.ts'
import { cleanUps, machine, table } from './measure.ts'

const ROWS = Number(process.argv[2] ?? 1_000_000)
const RUNS = Number(process.env.RUNS ?? 3)
const READER = 'nightfreight_bench'
const { signal } = new AbortController()
const spec = { name: 'orders', from: 'bench', key: [], columns: {}, options: { table: 'orders' } }

const clean = cleanUps()
const lines: (string | number)[][] = []
try {
  const dir = mkdtempSync(join(tmpdir(), 'nightfreight-bench-'))
  clean.after(async () => rmSync(dir, { recursive: true, force: true }))
  const pg = await startPostgres({ dir })
  clean.after(() => pg.stop())
  const mariadb = await startMariadb({ dir, bufferPool: '1G' })
  clean.after(() => mariadb.stop())
  process.env.TEST_POSTGRES_URL = pg.url
  process.env.TEST_MARIADB_URL = mariadb.url
  const hooks = cleanUps()
  clean.after(() => hooks.run())
  for (const kind of ['postgres', 'mariadb'] as const) {
    const database = await (kind === 'postgres' ? freshPostgres(hooks) : freshMariadb(hooks))
    const { from, until } = await written(kind, database)
    const ours: number[] = []
    const theirs: number[] = []
    for (let run = 0; run < RUNS; run++) {
      ours.push(await timed(() => decoded(kind, database.url, join(dir, `${kind}-${run}`), from, until)))
      theirs.push(await timed(async () => bare(kind, database, dir, from, until)))
    }
    if (kind === 'postgres') await logOf(kind, database.url).drop!(READER, signal)
    const rate = (seconds: number) => Math.round((2 * ROWS) / seconds).toLocaleString('en')
    const [our, their] = [median(ours), median(theirs)]
    const name = kind === 'postgres' ? 'pg_recvlogical' : 'mariadb-binlog'
    lines.push([kind, our.toFixed(1), rate(our), name, their.toFixed(1), (our / their).toFixed(2)])
  }
} finally {
  await clean.run()
}
console.log(machine())
console.log(
  `\`npm run bench:changes -- ${ROWS}\`, medians of ${RUNS}, ${2 * ROWS} changes in one transaction`,
)
console.log(`peak memory of this process: ${Math.round(process.resourceUsage().maxRSS / 1024)} MiB\n`)
console.log(table(['log of', 'to Parquet, s', 'changes/s', 'beside', 'to nowhere, s', 'ratio'], lines))

function logOf(kind: 'postgres' | 'mariadb', url: string) {
  const connector = kind === 'postgres' ? postgres : mysql
  return connector.source!({ url }, { name: 'bench', baseDir: '.' }).changeLog!
}

/** Makes the table and its log; gives where that begins and ends. */
async function written(kind: 'postgres' | 'mariadb', { url, query }: FreshDatabase) {
  await query(
    'CREATE TABLE orders (id bigint PRIMARY KEY, customer int, amount numeric(12,2), placed timestamp(6), note varchar(60), state char(1))',
  )
  const log = logOf(kind, url)
  const from = await log.follow(READER, [{ spec }], signal)
  const [series, i] =
    kind === 'postgres' ? [`generate_series(1, ${ROWS}) AS i`, 'i'] : [`seq_1_to_${ROWS}`, 'seq']
  await query('BEGIN')
  await query(
    `INSERT INTO orders SELECT ${i}, ${i} % 10000, ${i} / 7, '2026-02-01 03:04:05.678901', concat('a note of an order, ', ${i}), 'n' FROM ${series}`,
  )
  await query("UPDATE orders SET state = 'd', amount = amount + 1")
  await query('COMMIT')
  return { from, until: await log.follow(READER, [{ spec, from }], signal) }
}

/** Decodes the log into Parquet below a folder. */
async function decoded(
  kind: 'postgres' | 'mariadb',
  url: string,
  folder: string,
  from: string,
  until: string,
) {
  const connector = kind === 'postgres' ? postgres : mysql
  const source = connector.source!({ url }, { name: 'bench', baseDir: '.' })
  const { columns, key } = await source.describe(spec, signal)
  const { reading } = source.changeLog!
  const { readChanges } = (await import(reading.module)) as ChangeModule
  const limits = { rows: 50_000, bytes: 16 << 20 }
  const read = {
    extract: 'orders',
    where: 'bench.orders',
    columns,
    key,
    options: spec.options,
    limits,
    from,
    changes: 0,
  }
  const sink = new PartSink(folder, 'part')
  await readChanges(reading.payload, { reader: READER, reads: [read], until }, [sink], signal)
  const rows = sink.parts.reduce((sum, part) => sum + part.rows, 0)
  if (rows !== 2 * ROWS) throw new Error(`${rows} changes were read`)
  sink.discard()
}

/** The same log to nowhere, by the server's own client. */
async function bare(
  kind: 'postgres' | 'mariadb',
  { url, query }: FreshDatabase,
  dir: string,
  from: string,
  until: string,
) {
  const to = new URL(url)
  if (kind === 'postgres') {
    await query(`SELECT pg_copy_logical_replication_slot('${READER}', 'bare')`)
    run('pg_recvlogical', [
      '-d',
      url,
      '-S',
      'bare',
      '--start',
      '-f',
      '/dev/null',
      '-E',
      until,
      '-o',
      'proto_version=1',
      '-o',
      `publication_names=${READER}`,
    ])
    await query(`SELECT pg_drop_replication_slot('bare')`)
    return
  }
  const [file = '', offset = ''] = from.split(' ')[0]!.split(':')
  const out = join(dir, 'raw-')
  run('mariadb-binlog', [
    '--read-from-remote-server',
    '--raw',
    `--result-file=${out}`,
    `--host=${to.hostname}`,
    `--port=${to.port}`,
    `--user=${to.username}`,
    `--password=${to.password}`,
    `--start-position=${offset}`,
    file,
  ])
  rmSync(`${out}${file}`)
}

function run(command: string, args: string[]): void {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' })
  if (status !== 0) throw error ?? new Error(stderr)
}

async function timed(act: () => Promise<void>): Promise<number> {
  const start = performance.now()
  await act()
  return (performance.now() - start) / 1000
}

function median(list: number[]): number {
  return list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)]!
}
