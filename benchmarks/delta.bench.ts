/**
 * `npm run bench:delta -- [rows]` (default 10000000): a night on which 0 %, 0.1 % or 10 % of a table changed, beside
 * the obvious alternative: copy everything into a staging table and let Postgres compare in one MERGE. Then the peak
 * memory of a night of 3 M and of 30 M rows. Prints Markdown; exit code 1 where a bound is missed.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPostgres } from '../src/demo/servers/postgres.ts'
import { type FreshDatabase, freshPostgres } from '../test/servers.ts'
import { fillLineitem } from './lineitem.ts'
import { cleanUps, follow, gigabytes, machine, table } from './measure.ts'

const ROWS = Number(process.argv[2] ?? 10_000_000)
const MEMORY_ROWS = ROWS >= 10_000_000 ? [3_000_000, 30_000_000] : []
const BOUNDS = { whole: 2, afterExtract: 5, memory: 1.15 }
/** Share of changed rows in thousandths. */
const SHARES = [0, 1, 100]
const KEY = ['l_orderkey', 'l_linenumber']

const clean = cleanUps()
const missed: string[] = []
try {
  const dir = mkdtempSync(join(tmpdir(), 'nightfreight-bench-'))
  clean.after(async () => rmSync(dir, { recursive: true, force: true }))
  const server = await startPostgres({ dir })
  clean.after(() => server.stop())
  process.env.TEST_POSTGRES_URL = server.url
  console.log(`${machine()}, Postgres 18.4\n\`npm run bench:delta -- ${ROWS}\`\n`)
  await nights(dir)
  const peaks: number[] = []
  for (const rows of MEMORY_ROWS) peaks.push(await peakOf(dir, rows))
  if (peaks.length > 0) {
    const [few, many] = peaks as [number, number]
    console.log(
      table(
        ['rows', 'peak memory of a night with 0.1 % changed'],
        MEMORY_ROWS.map((rows, index) => [rows.toLocaleString('en'), gigabytes(peaks[index]!)]),
      ),
    )
    if (many / few > BOUNDS.memory) missed.push(`peak memory grows by ${(many / few).toFixed(2)}`)
  }
} finally {
  await clean.run()
}
for (const bound of missed) console.error(bound)
if (missed.length > 0) process.exitCode = 1

async function nights(dir: string): Promise<void> {
  await using hooks = cleanUps()
  const [source, ours, theirs] = [
    await freshPostgres(hooks),
    await freshPostgres(hooks),
    await freshPostgres(hooks),
  ]
  await fillLineitem(source, 'postgres', ROWS)
  const job = await writeJob(dir, source, ours)
  await night(job)
  await copyAndMerge(source, theirs, join(dir, 'dump'), true)
  for (const share of SHARES) {
    await source.query(
      `UPDATE lineitem SET l_quantity = l_quantity + 1 WHERE (l_orderkey * 7 + l_linenumber * 13) % 1000 < ${share}`,
    )
    await source.query('VACUUM ANALYZE lineitem')
    const we = await night(job)
    const they = await copyAndMerge(source, theirs, join(dir, 'dump'), false)
    const sum = 'SELECT count(*)::text || sum(hashtext(l::text))::text AS sum FROM lineitem l'
    const [a, b, c] = await Promise.all([source, ours, theirs].map(db => db.query(sum)))
    if (a![0]!.sum !== b![0]!.sum || a![0]!.sum !== c![0]!.sum) throw new Error('the three tables differ')
    const whole = they.seconds / we.seconds
    const after = they.afterExtract / we.afterExtract
    console.log(`${ROWS.toLocaleString('en')} rows, ${share / 10} % changed\n`)
    console.log(
      table(
        ['', 'seconds', 'after the extraction', 'client CPU s', 'peak memory'],
        [
          [
            'COPY to a file, COPY into staging, MERGE',
            they.seconds.toFixed(1),
            they.afterExtract.toFixed(1),
            '',
            '',
          ],
          [
            'nightfreight run',
            we.seconds.toFixed(1),
            we.afterExtract.toFixed(1),
            we.cpu.toFixed(1),
            gigabytes(we.peak),
          ],
          ['times faster', whole.toFixed(1), after.toFixed(1), '', ''],
        ],
      ),
    )
    console.log()
    if (whole < BOUNDS.whole)
      missed.push(`${share / 10} % changed: ${whole.toFixed(2)} times faster, not ${BOUNDS.whole}`)
    if (share === 1 && after < BOUNDS.afterExtract)
      missed.push(`after the extraction ${after.toFixed(2)} times faster, not ${BOUNDS.afterExtract}`)
  }
}

async function peakOf(dir: string, rows: number): Promise<number> {
  await using hooks = cleanUps()
  const [source, target] = [await freshPostgres(hooks), await freshPostgres(hooks)]
  await fillLineitem(source, 'postgres', rows)
  const job = await writeJob(dir, source, target)
  await night(job)
  await source.query('UPDATE lineitem SET l_quantity = l_quantity + 1 WHERE l_orderkey % 1000 = 1')
  const { peak } = await night(job)
  return peak
}

interface Job {
  folder: string
  env: Record<string, string | undefined>
}

async function writeJob(dir: string, source: FreshDatabase, target: FreshDatabase): Promise<Job> {
  const folder = join(dir, 'job')
  const home = join(dir, 'home')
  rmSync(home, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  writeFileSync(
    join(folder, 'job.yaml'),
    `job: delta
connections: { source: "\${SOURCE_URL}", warehouse: "\${WAREHOUSE_URL}" }
extract: { lineitem: { from: source, table: lineitem } }
load: { lineitem: { to: warehouse, from: lineitem, key: [${KEY.join(', ')}], deletes: hard } }
`,
  )
  return {
    folder,
    env: { ...process.env, SOURCE_URL: source.url, WAREHOUSE_URL: target.url, NIGHTFREIGHT_HOME: home },
  }
}

/** A run of the job by the command line: seconds from its start, and from the end of its extraction. */
async function night({ folder, env }: Job) {
  const start = performance.now()
  const main = join(import.meta.dirname, '../src/main.ts')
  const child = spawn(process.execPath, [main, 'run', folder, '--json'], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const usage = follow(child.pid!)
  let extracted = start
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
      if (/"event":"done",[^\n]*"task":"extract\.lineitem"/.test(text)) extracted = performance.now()
    })
  const [code] = await once(child, 'close')
  if (code !== 0 || extracted === start) throw new Error(`the run ended with ${code}:\n${output}`)
  const end = performance.now()
  return { seconds: (end - start) / 1000, afterExtract: (end - extracted) / 1000, ...usage.stop() }
}

/** The alternative, by psql alone; `first` makes the table. */
async function copyAndMerge(source: FreshDatabase, target: FreshDatabase, file: string, first: boolean) {
  const start = performance.now()
  await psql(source.url, `\\copy lineitem to '${file}' (format binary)`)
  const extracted = performance.now()
  const columns = (
    await source.query<{ name: string }>(
      `SELECT column_name AS name FROM information_schema.columns WHERE table_name = 'lineitem' ORDER BY ordinal_position`,
    )
  ).map(({ name }) => name)
  const values = columns.filter(name => !KEY.includes(name))
  if (first) await copySchema(source, target)
  await psql(target.url, 'CREATE UNLOGGED TABLE staging (LIKE lineitem)')
  await psql(target.url, `\\copy staging from '${file}' (format binary)`)
  await psql(target.url, 'ANALYZE staging')
  await psql(
    target.url,
    `MERGE INTO lineitem t USING staging s ON ${KEY.map(key => `t.${key} = s.${key}`).join(' AND ')}
     WHEN MATCHED AND (${values.map(name => `t.${name}`).join(', ')}) IS DISTINCT FROM (${values.map(name => `s.${name}`).join(', ')})
       THEN UPDATE SET ${values.map(name => `${name} = s.${name}`).join(', ')}
     WHEN NOT MATCHED BY SOURCE THEN DELETE
     WHEN NOT MATCHED THEN INSERT (${columns.join(', ')}) VALUES (${columns.map(name => `s.${name}`).join(', ')})`,
  )
  const end = performance.now()
  await psql(target.url, 'DROP TABLE staging')
  rmSync(file)
  return { seconds: (end - start) / 1000, afterExtract: (end - extracted) / 1000 }
}

async function copySchema(source: FreshDatabase, target: FreshDatabase): Promise<void> {
  const columns = await source.query<{ ddl: string }>(
    `SELECT quote_ident(attname) || ' ' || format_type(atttypid, atttypmod) || ' NOT NULL' AS ddl
     FROM pg_attribute WHERE attrelid = 'lineitem'::regclass AND attnum > 0 ORDER BY attnum`,
  )
  await target.query(
    `CREATE TABLE lineitem (${columns.map(({ ddl }) => ddl).join(', ')}, PRIMARY KEY (${KEY.join(', ')}))`,
  )
}

async function psql(url: string, command: string): Promise<void> {
  const child = spawn('psql', ['--no-psqlrc', '--quiet', '-v', 'ON_ERROR_STOP=1', url, '-c', command], {
    stdio: 'inherit',
  })
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`psql ended with ${code}`)
}
