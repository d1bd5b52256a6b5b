/**
 * `npm run bench:load -- [rows]` (default 3000000): staged Parquet parts, as the comparison of states leaves them, into
 * a staging table of Postgres and of MariaDB, beside each database's own client and a ready-made file. Prints Markdown;
 * exit code 1 where a bound is missed.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { StagedLoad } from '../engine/contracts/load.ts'
import { Duck, quote } from '../engine/sql/duckdb.ts'
import { copyParts } from '../engine/staging/parts.ts'
import { type Column, typeFromName } from '../engine/types/logical.ts'
import { startMariadb } from '../src/demo/servers/mariadb.ts'
import { startPostgres } from '../src/demo/servers/postgres.ts'
import { PLAIN_LOAD } from '../test/connectors/plainLoad.ts'
import { freshMariadb, freshPostgres } from '../test/servers.ts'
import { fillLineitem } from './lineitem.ts'
import type { Contest, Ready } from './loadContest.ts'
import { mariadbContest } from './loadMariadb.ts'
import { postgresContest } from './loadPostgres.ts'
import { cleanUps, machine, table } from './measure.ts'

const ROWS = Number(process.argv[2] ?? 3_000_000)
const RUNS = Number(process.env.RUNS ?? 3)

const clean = cleanUps()
const missed: string[] = []
try {
  const dir = mkdtempSync(join(tmpdir(), 'nightfreight-bench-'))
  clean.after(async () => rmSync(dir, { recursive: true, force: true }))
  const postgres = await startPostgres({ dir })
  clean.after(() => postgres.stop())
  const mariadb = await startMariadb({ dir, bufferPool: '2G' })
  clean.after(() => mariadb.stop())
  process.env.TEST_POSTGRES_URL = postgres.url
  process.env.TEST_MARIADB_URL = mariadb.url
  const hooks = cleanUps()
  clean.after(() => hooks.run())
  const database = await freshPostgres(hooks)
  const ready = await prepare(dir, database)
  console.log(machine())
  console.log(`\`npm run bench:load -- ${ROWS}\`, medians of ${RUNS} runs, ${ready.paths.length} parts\n`)
  await hold(await postgresContest(database, ready))
  await hold(await mariadbContest(await freshMariadb(hooks), ready))
} finally {
  await clean.run()
}
for (const bound of missed) console.error(bound)
if (missed.length > 0) process.exitCode = 1

/** The same rows as parts and as ready-made files. */
async function prepare(dir: string, database: Awaited<ReturnType<typeof freshPostgres>>): Promise<Ready> {
  await fillLineitem(database, 'postgres', ROWS)
  const files = { binary: join(dir, 'l.bin'), csv: join(dir, 'l.csv'), tsv: join(dir, 'l.tsv') }
  for (const [file, format] of Object.entries({ [files.binary]: 'binary', [files.csv]: 'csv' })) {
    const command = `\\copy lineitem to '${file}' with (format ${format})`
    const { status, stderr } = spawnSync('psql', [database.url, '-qc', command], { encoding: 'utf8' })
    if (status !== 0) throw new Error(stderr)
  }
  await database.query('DROP TABLE lineitem')
  const decimal = 'DECIMAL(15,2)'
  const types = [
    'BIGINT',
    ...Array(3).fill('INTEGER'),
    ...Array(4).fill(decimal),
    'VARCHAR',
    'VARCHAR',
  ].concat(Array(3).fill('DATE'), Array(3).fill('VARCHAR'))
  const names = `orderkey partkey suppkey linenumber quantity extendedprice discount tax returnflag linestatus
    shipdate commitdate receiptdate shipinstruct shipmode comment`
    .split(/\s+/)
    .map(name => `l_${name}`)
  const columns = names.map((name, index): Column => {
    const native = types[index] as string
    return { name, type: typeFromName(native)!, nullable: true, native }
  })
  const list = columns.map(({ name, native }) => `'${name}': '${native}'`).join(', ')
  const source = `read_csv(${quote(files.csv)}, header = false, columns = {${list}})`
  const duck = await Duck.open({ threads: 2, memory: 2e9, temp: join(dir, 'spill'), folders: [dir] })
  const parts = await copyParts({ duck, root: dir }, `FROM ${source}`, 'parts')
  await duck.run(
    `COPY (FROM ${source}) TO ${quote(files.tsv)} (FORMAT csv, HEADER false, DELIMITER '\\t', QUOTE '')`,
  )
  duck.close()
  const load: StagedLoad = {
    ...PLAIN_LOAD,
    table: 'lineitem',
    to: 'bench',
    from: 'lineitem',
    key: ['l_orderkey', 'l_linenumber'],
    guard: { maxDeleteShare: 1, allowEmpty: true },
    whole: true,
    columns,
  }
  return { ...files, load, paths: parts.map(({ file }) => join(dir, file)), rows: ROWS }
}

/** Runs every way in turn, so that all see the same machine, prints and judges. */
async function hold({ server, ways, references, bounds, close }: Contest): Promise<void> {
  const seconds = new Map(Object.keys(ways).map(way => [way, [] as number[]]))
  for (let round = 0; round <= RUNS; round++)
    for (const [way, run] of Object.entries(ways)) {
      const took = await run()
      // The first round warms the caches.
      if (round > 0) seconds.get(way)!.push(took)
    }
  await close()
  const median = (way: string) => seconds.get(way)!.toSorted((a, b) => a - b)[RUNS >> 1]!
  console.log(`${server}\n`)
  console.log(
    table(
      ['', 'seconds', ...references.map(way => `of ${way}`)],
      [...seconds.keys()].map(way => [
        way,
        median(way).toFixed(2),
        ...references.map(reference => (median(way) / median(reference)).toFixed(2)),
      ]),
    ),
  )
  console.log()
  for (const [way, reference, bound] of bounds) {
    const value = median(way) / median(reference)
    if (value > bound) missed.push(`${way} of ${reference} is ${value.toFixed(2)}, the bound is ${bound}`)
  }
}
