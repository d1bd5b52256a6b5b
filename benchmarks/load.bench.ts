/**
 * `npm run bench:load -- [rows]` (default 3000000): staged Parquet parts, as the comparison of states leaves them,
 * into an unlogged Postgres table, beside `psql \copy` of ready-made files. Prints Markdown; exit code 1 where a bound
 * is missed.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { copyParts } from '../engine/flow/parts.ts'
import { Workers } from '../engine/pool/pool.ts'
import type { StagedLoad } from '../engine/ports.ts'
import { Duck, quote } from '../engine/sql/duckdb.ts'
import { type Column, typeFromName } from '../engine/types/logical.ts'
import { stagingType } from '../src/connectors/postgres/merge.ts'
import { TargetSession } from '../src/connectors/postgres/session.ts'
import { stageLoad, stagingNames } from '../src/connectors/postgres/staging.ts'
import { ensureState } from '../src/connectors/postgres/state.ts'
import { startPostgres } from '../src/demo/servers/postgres.ts'
import { freshPostgres } from '../test/servers.ts'
import { fillLineitem } from './lineitem.ts'
import { cleanUps, machine, table } from './measure.ts'

const ROWS = Number(process.argv[2] ?? 3_000_000)
const RUNS = Number(process.env.RUNS ?? 3)
const MODES = ['psql binary', 'psql CSV', 'staged 1', 'staged 2'] as const
type Mode = (typeof MODES)[number]

const clean = cleanUps()
const missed: string[] = []
try {
  const dir = mkdtempSync(join(tmpdir(), 'nightfreight-bench-'))
  clean.after(async () => rmSync(dir, { recursive: true, force: true }))
  const server = await startPostgres({ dir })
  clean.after(() => server.stop())
  process.env.TEST_POSTGRES_URL = server.url
  const hooks = cleanUps()
  const database = await freshPostgres(hooks)
  clean.after(() => hooks.run())
  const workers = new Workers(2)
  clean.after(() => workers.close())
  const session = new TargetSession({ url: database.url, name: 'bench' })
  clean.after(() => session.close())
  await ensureState(session)

  const psql = (sql: string) => {
    const { status, stderr } = spawnSync('psql', [database.url, '-qc', sql], { encoding: 'utf8' })
    if (status !== 0) throw new Error(stderr)
  }
  await fillLineitem(database, 'postgres', ROWS)
  psql(`\\copy lineitem to '${dir}/l.bin' with (format binary)`)
  psql(`\\copy lineitem to '${dir}/l.csv' with (format csv)`)
  const load = await writeParts(dir)
  await database.query('DROP TABLE lineitem')

  const measure: Record<Mode, () => Promise<void>> = {
    'psql binary': async () => psql(`\\copy lone from '${dir}/l.bin' with (format binary)`),
    'psql CSV': async () => psql(`\\copy lone from '${dir}/l.csv' with (format csv)`),
    'staged 1': () => staged(1),
    'staged 2': () => staged(2),
  }
  const staged = async (lanes: number) => {
    const { paths, keyPaths, ...rest } = load
    const request = { ...rest, paths, keyPaths, keys: 0, lanes, offload: workers.offload, progress: () => {} }
    await stageLoad(session, request, new AbortController().signal)
  }
  const names = stagingNames('L', load.load)
  const results = new Map<Mode, number[]>(MODES.map(mode => [mode, []]))
  for (let round = 0; round <= RUNS; round++)
    for (const mode of MODES) {
      // The same table, made the same way; what the last one left is gone before the clock starts.
      await session.query(`DROP TABLE IF EXISTS lone, ${names.rows}, ${names.keys}`)
      if (mode.startsWith('psql'))
        await session.query(
          `CREATE UNLOGGED TABLE lone (${load.load.columns.map(({ name, type }) => `${name} ${stagingType(type)}`).join(', ')})`,
        )
      await session.query('CHECKPOINT')
      const start = performance.now()
      await measure[mode]()
      const seconds = (performance.now() - start) / 1000
      const [held] = await database.query<{ n: string }>(
        `SELECT count(*) AS n FROM ${mode.startsWith('psql') ? 'lone' : names.rows}`,
      )
      if (Number(held!.n) !== ROWS) throw new Error(`${mode}: ${held!.n} rows instead of ${ROWS}`)
      // The first round warms the caches.
      if (round > 0) results.get(mode)!.push(seconds)
    }

  const median = (mode: Mode) => results.get(mode)!.toSorted((a, b) => a - b)[RUNS >> 1]!
  const version = execFileSync('psql', ['--version'], { encoding: 'utf8' }).trim()
  const [{ server_version }] = (await database.query('SHOW server_version')) as [{ server_version: string }]
  console.log(`${machine()}, Postgres ${server_version}, ${version}`)
  console.log(`\`npm run bench:load -- ${ROWS}\`, medians of ${RUNS} runs, ${load.paths.length} parts\n`)
  console.log(
    table(
      ['', 'seconds', 'of psql binary', 'of psql CSV'],
      MODES.map(mode => [
        mode,
        median(mode).toFixed(2),
        (median(mode) / median('psql binary')).toFixed(2),
        (median(mode) / median('psql CSV')).toFixed(2),
      ]),
    ),
  )
  const check = (what: string, value: number, bound: number) => {
    if (value > bound) missed.push(`${what} is ${value.toFixed(2)}, the bound is ${bound}`)
  }
  check('staged 1 of psql binary', median('staged 1') / median('psql binary'), 1.15)
  check('staged 2 of psql CSV', median('staged 2') / median('psql CSV'), 1)
} finally {
  await clean.run()
}
for (const bound of missed) console.error(bound)
if (missed.length > 0) process.exitCode = 1

/** The rows as parts, the way `engine/flow/diff.ts` writes them. */
async function writeParts(dir: string) {
  const duck = await Duck.open({ threads: 2, memory: 2e9, temp: join(dir, 'spill') })
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
  const source = `read_csv(${quote(`${dir}/l.csv`)}, header = false, columns = {${list}})`
  const parts = await copyParts({ duck, root: dir }, `FROM ${source}`, 'parts')
  duck.close()
  const paths = parts.map(({ file }) => join(dir, file))
  const rows = parts.reduce((sum, part) => sum + part.rows, 0)
  console.error(`${paths.length} parts, ${parts.reduce((sum, { bytes }) => sum + bytes, 0)} bytes`)
  const load: StagedLoad = {
    table: 'lineitem',
    to: 'bench',
    from: 'lineitem',
    mode: 'merge',
    key: ['l_orderkey', 'l_linenumber'],
    insertOnly: [],
    deletes: 'keep',
    partitionBy: [],
    compare: [],
    ignore: [],
    scd2: { validFrom: 'valid_from', validTo: 'valid_to', current: 'is_current' },
    guard: { maxDeleteShare: 1, allowEmpty: true },
    whole: true,
    columns,
  }
  return { loadId: 'L', job: 'bench', load, paths, rows, keyPaths: [] as string[] }
}
