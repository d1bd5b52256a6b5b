/**
 * `npm run bench:tables -- [tables [rows [nights]]]` (default 300, 500, 3): what a night costs in which nothing has changed, of many
 * small tables, into Postgres from Postgres and from MariaDB. Prints Markdown; the exit code is 1 where a table of the median
 * night costs 50 ms of the client's processor time, or the process beyond its tables one second: a run of one table.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startMariadb } from '../src/demo/servers/mariadb.ts'
import { startPostgres } from '../src/demo/servers/postgres.ts'
import { type FreshDatabase, freshMariadb, freshPostgres } from '../test/servers.ts'
import { cleanUps, machine, table } from './measure.ts'
import { type Measured, measured } from './peers/measure.ts'

const [TABLES = 300, ROWS = 500, NIGHTS = 3] = process.argv.slice(2).map(Number)
const TABLE_MS = 50
const RUN_MS = 1000

await using clean = cleanUps()
const dir = mkdtempSync(join(tmpdir(), 'nightfreight-tables-'))
clean.after(async () => rmSync(dir, { recursive: true, force: true }))
// The servers run as users of their own.
chmodSync(dir, 0o711)
const mariadb = await startMariadb({ dir: join(dir, 'mariadb') })
clean.after(() => mariadb.stop())
const postgres = await startPostgres({ dir: join(dir, 'postgres') })
clean.after(() => postgres.stop())
process.env.TEST_MARIADB_URL = mariadb.url
process.env.TEST_POSTGRES_URL = postgres.url

const lines: (string | number)[][] = []
for (const [kind, fresh] of [
  ['Postgres', freshPostgres],
  ['MariaDB', freshMariadb],
] as const) {
  const source = await fresh(clean)
  await fillTables(source, kind)
  const many = await nights(`${kind}-many`, source, 't*')
  const one = await nights(`${kind}-one`, source, 't1')
  const perTable = ((many.cpu - one.cpu) / (TABLES - 1)) * 1000
  lines.push([
    kind,
    one.first.toFixed(2),
    one.seconds.toFixed(2),
    one.cpu.toFixed(2),
    many.first.toFixed(2),
    many.seconds.toFixed(2),
    many.cpu.toFixed(2),
    perTable.toFixed(1),
    many.serverCpu.toFixed(2),
  ])
  if (perTable >= TABLE_MS || one.cpu * 1000 >= RUN_MS) process.exitCode = 1
}
const [version] = await (await freshPostgres(clean)).query<{ server_version: string }>('SHOW server_version')
const [other] = await (await freshMariadb(clean)).query<{ v: string }>('SELECT version() AS v')
console.log(
  `${machine()}, Postgres ${version!.server_version}, MariaDB ${other!.v}\n\`npm run bench:tables -- ${TABLES} ${ROWS} ${NIGHTS}\`\n`,
)
console.log(
  table(
    [
      'into Postgres, from',
      'one table: first night, s',
      'a night, s',
      'CPU s',
      `${TABLES} tables: first night, s`,
      'a night, s',
      'CPU s',
      'CPU ms a table',
      'CPU s of the servers',
    ],
    lines,
  ),
)

/** Tables t1, t2 … with a key and nine more columns of usual types. */
async function fillTables(source: FreshDatabase, kind: 'Postgres' | 'MariaDB'): Promise<void> {
  const series =
    kind === 'Postgres'
      ? `generate_series(1, ${ROWS}) AS g(i)`
      : `(SELECT seq AS i FROM seq_1_to_${ROWS}) AS g`
  const day = kind === 'Postgres' ? "date '2026-01-01' + i % 300" : "date '2026-01-01' + INTERVAL i % 300 DAY"
  for (let n = 1; n <= TABLES; n++) {
    await source.query(`CREATE TABLE t${n} (id int PRIMARY KEY, customer bigint NOT NULL, name varchar(60), note text, price decimal(12, 2),
      share double precision, day date, at timestamp NULL, active boolean NOT NULL, kind varchar(10))`)
    await source.query(`INSERT INTO t${n} SELECT i, i * 7919 % 1000, concat('name ', i % 97), concat('note number ', i, ' of table ${n}'), i / 7.0,
      i / 3.0, ${day}, ${day}, i % 2 = 0, concat('k', i % 5) FROM ${series}`)
  }
  await source.query(
    kind === 'Postgres'
      ? 'VACUUM ANALYZE'
      : `ANALYZE TABLE ${Array.from({ length: TABLES }, (_, n) => `t${n + 1}`).join(', ')}`,
  )
}

/** A first night, and the medians of those after it. */
async function nights(name: string, source: FreshDatabase, tables: string) {
  const warehouse = await freshPostgres(clean)
  const folder = join(dir, name)
  mkdirSync(folder)
  writeFileSync(
    join(folder, 'job.yaml'),
    `job: ${name}
connections: { source: "\${SOURCE_URL}", warehouse: "\${WAREHOUSE_URL}" }
extract: { "*": { from: source, tables: "${tables}" } }
load: { "*": { to: warehouse, from: "*" } }
`,
  )
  const main = join(import.meta.dirname, '../src/main.ts')
  const env = {
    SOURCE_URL: source.url,
    WAREHOUSE_URL: warehouse.url,
    NIGHTFREIGHT_HOME: join(dir, `${name}-home`),
  }
  const run = () =>
    measured(`"${process.execPath}" "${main}" run "${folder}" --json`, env, [postgres.pid, mariadb.pid])
  const { seconds: first } = await run()
  const later: Measured[] = []
  for (let night = 0; night < NIGHTS; night++) later.push(await run())
  const middle = (of: (one: Measured) => number) => later.map(of).sort((a, b) => a - b)[NIGHTS >> 1]!
  return {
    first,
    seconds: middle(({ seconds }) => seconds),
    cpu: middle(({ clientCpu }) => clientCpu),
    serverCpu: middle(({ serverCpu }) => serverCpu),
  }
}
