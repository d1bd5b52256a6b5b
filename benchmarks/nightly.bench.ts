/**
 * `npm run bench:nightly -- [members]`: the main job from MariaDB to Postgres, beside `mariadb | psql`, which only
 * copies the table. Prints Markdown; exit code 1 where the run's peak memory reached LIMIT.
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { MEMBER_COLUMNS } from '../src/demo/sample/tables.ts'
import { loadedBy, type RunEvent, runNight, startSystems } from '../test/jobs/night.ts'
import { freshPostgres } from '../test/servers.ts'
import { cleanUps, follow, gigabytes, machine, table, type Usage } from './measure.ts'

const LIMIT = 1.5e9
const SEED = 7

const members = Number(process.argv[2] ?? 3_000_000)
const clean = cleanUps()
try {
  const systems = await startSystems(clean, members, SEED, Math.max(1000, Math.round(members / 100)))
  const warehouse = await freshPostgres(clean)
  const bare = await freshPostgres(clean)
  await bare.query(`CREATE TABLE members (${MEMBER_COLUMNS.map(column => `${column} text`).join(', ')})`)

  const piped = await pipe(systems.legacy.url, bare.url)
  const [{ count } = { count: '' }] = await bare.query<{ count: string }>('SELECT count(*) FROM members')
  if (Number(count) !== members) throw new Error(`the pipe copied ${count} of ${members} rows`)

  const { events, seconds, usage } = await night(systems.env(warehouse, systems.folder()))
  const result = events.find(({ event }) => event === 'result')!
  console.log(`${machine()}\n${versions()}\n\`npm run bench:nightly -- ${members}\`\n`)
  const rate = (took: number) => Math.round(members / took).toLocaleString('en')
  console.log(
    table(
      ['', 'seconds', 'members/s', 'client CPU s', 'client peak memory'],
      [
        ['`mariadb \\| psql`, copy only', piped.toFixed(1), rate(piped), '', ''],
        ['main job, whole', seconds.toFixed(1), rate(seconds), usage.cpu.toFixed(1), gigabytes(usage.peak)],
      ],
    ),
  )
  console.log(`\n${table(['task', 'from second', 'to second', 'rows'], tasks(events))}\n`)
  console.log(`Loaded: ${JSON.stringify(result.loaded)}`)
  if (usage.peak >= LIMIT) {
    console.error(`peak memory ${gigabytes(usage.peak)}, the limit is ${gigabytes(LIMIT)}`)
    process.exitCode = 1
  }
} finally {
  await clean.run()
}

/** Seconds that the two clients take, the table's text through a pipe. */
async function pipe(from: string, to: string): Promise<number> {
  const { hostname, port, username, password, pathname } = new URL(from)
  const script = `set -o pipefail
mariadb --no-defaults --quick --batch --skip-column-names -h "$M_HOST" -P "$M_PORT" -u "$M_USER" "$M_DB" -e "SELECT * FROM members" |
psql --no-psqlrc --quiet "$P_URL" -c "COPY members FROM STDIN (NULL 'NULL')"`
  const start = performance.now()
  const child = spawn('bash', ['-c', script], {
    stdio: 'inherit',
    env: {
      ...process.env,
      M_HOST: hostname,
      M_PORT: port,
      M_USER: username,
      M_DB: pathname.slice(1),
      MYSQL_PWD: decodeURIComponent(password),
      P_URL: to,
    },
  })
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`mariadb | psql ended with ${code}`)
  return (performance.now() - start) / 1000
}

async function night(env: Record<string, string>) {
  const start = performance.now()
  let following: { stop(): Usage } | undefined
  let usage: Usage = { cpu: 0, peak: 0 }
  const events: (RunEvent & { at: number })[] = []
  const ended = await runNight(env, '2025-12-01T00:00:00Z', (event, child) => {
    following ??= follow(child.pid!)
    if (event.event === 'result') usage = following.stop()
    events.push({ ...event, at: (performance.now() - start) / 1000 })
  })
  loadedBy(ended)
  return { events, seconds: (performance.now() - start) / 1000, usage }
}

function tasks(events: (RunEvent & { at: number })[]): (string | number)[][] {
  const begun = new Map<unknown, number>()
  const rows: (string | number)[][] = []
  for (const event of events) {
    if (event.event === 'started') begun.set(event.task, event.at)
    if (event.event === 'done') {
      const from = begun.get(event.task) ?? event.at
      rows.push([String(event.task), from.toFixed(1), event.at.toFixed(1), String(event.rows ?? '')])
    }
  }
  return rows
}

function versions(): string {
  const of = (command: string) => execFileSync(command, ['--version'], { encoding: 'utf8' }).trim()
  return `${of('mariadb')}; ${of('psql')}`
}
