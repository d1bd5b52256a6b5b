import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { openMetadata } from '../../src/metadata/open.ts'
import { alertsIn } from '../alerts/told.ts'
import { putProgram } from '../program.ts'
import { type FreshDatabase, freshPostgres, type Hooks } from '../servers.ts'

const DAY_MS = 24 * 3600_000
/** Milliseconds after which a process that has not ended is taken to hang; a lease and its patience are well within. */
const HANGS_MS = 240_000
const ROWS = 3000

const days = (ago: number) =>
  `${new Date(Date.now() - ago * DAY_MS).toISOString().slice(0, 10)}T00:00:00.000Z`
/** The data intervals of the two nights, where each begins. */
export const NIGHTS = [days(2), days(1)] as const

/** A job of a night, with its own source, warehouse and state: what a trial may disturb. */
export interface Trial {
  home: string
  folder: string
  database: FreshDatabase
  /** Of every process of the trial: its store, its clock. */
  env: Record<string, string>
}

export interface Ended {
  code: number | null
  output: string
}

/** Lays a source of {@link ROWS} rows and a job that loads it: incremental, with bad rows, a file, a model, and three loads. */
export async function layTrial(hooks: Hooks, env: Record<string, string> = {}): Promise<Trial> {
  const database = await freshPostgres(hooks)
  const home = mkdtempSync(join(tmpdir(), 'nightfreight-chaos-'))
  hooks.after(async () => rmSync(home, { recursive: true, force: true }))
  await database.query(`CREATE SCHEMA shop; CREATE TABLE shop.orders (id int PRIMARY KEY, member int, amount numeric(12,2), note text, changed timestamptz);
    INSERT INTO shop.orders SELECT i, i % 97, i * 1.25, CASE WHEN i % 100 = 7 THEN NULL ELSE md5(i::text) END, timestamptz '2026-01-01' + i * interval '1 second' FROM generate_series(1, ${ROWS}) AS i`)
  const folder = join(home, 'job')
  mkdirSync(join(folder, 'checks/clean'), { recursive: true })
  mkdirSync(join(folder, 'in'))
  const write = (file: string, text: string) => writeFileSync(join(folder, file), text)
  write(
    'in/members.csv',
    `id,name\n${Array.from({ length: 97 }, (_, id) => `${id},member ${id}\n`).join('')}`,
  )
  write(
    'clean.sql',
    'SELECT o.id, o.member, m.name, o.amount, o.note, o.changed FROM orders AS o LEFT JOIN members AS m ON m.id = o.member',
  )
  write('checks/clean/note.sql', `SELECT *, 'no note' AS reason FROM clean WHERE note IS NULL`)
  write(
    'per_member.sql',
    'SELECT member, count(*)::BIGINT AS orders, sum(amount)::DECIMAL(18,2) AS amount FROM (SELECT id % 97 AS member, amount FROM whole) GROUP BY member',
  )
  write(
    'job.yaml',
    `job: night
schedule: { cron: "0 0 * * *", depends_on_past: true }
connections: { shop: "${database.url}", drop: "file:in", wh: "${database.url}" }
extract:
  orders: { from: shop, table: shop.orders, key: id, incremental: { column: changed } }
  whole: { from: shop, table: shop.orders, key: id }
  members: { from: drop, files: "*.csv", take: all, key: id, schema: { id: INTEGER, name: VARCHAR } }
load:
  orders_loaded: { to: wh, from: clean, key: id, newer: changed, mode: merge }
  per_member: { to: wh, from: per_member, key: member }
quality: { max_error_rate: 0.1 }
resources: { memory: 300MB, threads: 1 }
retries: { limit: 1, delay: 500ms }
timeouts: { lock: 20s }
alerts:
  channels: { pager: { command: [sh, -c, "cat >> ../alerts.jsonl; echo >> ../alerts.jsonl"] } }
  on: { failure: [pager] }
`,
  )
  const bin = join(home, 'bin')
  putProgram(bin)
  return {
    home: join(home, 'state'),
    folder,
    database,
    env: {
      PATH: `${bin}:/usr/bin:/bin`,
      HOME: home,
      TMPDIR: tmpdir(),
      XDG_CACHE_HOME: join(tmpdir(), 'nightfreight-chaos-cache'),
      NIGHTFREIGHT_HOME: join(home, 'state'),
      ...env,
    },
  }
}

/** What comes into the source before the second night. */
export const nextDay = ({ database }: Trial) =>
  database.query(`UPDATE shop.orders SET amount = amount + 1, changed = changed + interval '1 day' WHERE id % 10 = 3;
    INSERT INTO shop.orders SELECT i, i % 97, 1, 'new', timestamptz '2026-01-03' + i * interval '1 second' FROM generate_series(${ROWS + 1}, ${ROWS + 50}) AS i;
    DELETE FROM shop.orders WHERE id % 1000 = 1`)

/** All that the target holds, and what is left of staging. */
export const contents = ({ database }: Trial) =>
  database.query(`SELECT 'orders' AS name, count(*)::int AS rows, md5(string_agg(t::text, '|' ORDER BY id)) AS hash FROM orders_loaded AS t
    UNION ALL SELECT 'per_member', count(*)::int, md5(string_agg(t::text, '|' ORDER BY member)) FROM per_member AS t`)

/** The command of a night: of its data interval, as a schedule has it. */
export const nightly = ({ folder }: Trial, night: string) =>
  `exec nightfreight backfill ${folder} --from ${night} --to ${night}`

/** Types a command; `begun` gets its process. Fails where it does not end by itself. */
export async function type(
  { env }: Trial,
  command: string,
  begun: (child: ChildProcess) => void = () => {},
): Promise<Ended> {
  const child = spawn('sh', ['-c', command], { cwd: '/', env })
  begun(child)
  const ended: Ended = { code: null, output: '' }
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      ended.output += text
    })
  const over = new AbortController()
  const hangs = delay(HANGS_MS, 'hangs' as const, { signal: over.signal }).catch(() => 'hangs' as const)
  const closed = once(child, 'close')
  if ((await Promise.race([closed, hangs])) === 'hangs') {
    child.kill('SIGKILL')
    throw new Error(`does not end: ${command}\n${ended.output.slice(-2000)}`)
  }
  over.abort()
  ;[ended.code] = (await closed) as [number | null]
  return ended
}

/** The end of what runs have written. */
function runsLog({ home }: Trial): string {
  const file = join(home, 'runs.log')
  return existsSync(file) ? readFileSync(file, 'utf8').slice(-4000) : ''
}

/** The alerts of failures so far, oldest first. */
const alertsOf = ({ home }: Trial) => alertsIn(join(home, '..', 'alerts.jsonl'))

/** Process ids of the runs under way. */
export async function runsOf({ home, env }: Trial): Promise<number[]> {
  if (!env.METADATA_URL && !existsSync(join(home, 'metadata.db'))) return []
  const metadata = await openMetadata(home, { now: () => new Date() }, env.METADATA_URL)
  try {
    return (await metadata.activeRuns('night')).map(({ owner }) => Number(owner.split(':')[1]))
  } finally {
    await metadata.close()
  }
}

/**
 * Types a night's command and, where that fails, the one command that was printed; gives whether it was needed. `begun` gets
 * the process of the first, and the other is typed once `ready`. Fails where the night is not loaded then.
 */
export async function nightOf(
  trial: Trial,
  night: string,
  { begun, ready }: { begun?: (child: ChildProcess) => void; ready?: () => Promise<unknown> } = {},
): Promise<boolean> {
  const told = alertsOf(trial).length
  const first = await type(trial, nightly(trial, night), begun)
  if (first.code === 0) return false
  await ready?.()
  const alert = alertsOf(trial).slice(told).at(-1)
  // Nobody is told of what was killed: what was typed is typed again, after what was printed to be typed before.
  const printed = /go on without its history: (.*)\. Targets/.exec(first.output)?.[1]
  const command = alert?.command ?? [...(printed ? [printed] : []), nightly(trial, night)].join(' && ')
  const typed = await type(trial, command)
  assert.equal(typed.code, 0, `${command}\n${typed.output}\nafter\n${first.output}\n${runsLog(trial)}`)
  return true
}

/** Both nights, the first as `disturbed` has it. Fails where a target is not that of undisturbed nights. */
export async function nightsOf(
  trial: Trial,
  expected: object[][] | undefined,
  disturbed: () => Promise<unknown>,
): Promise<object[][]> {
  await disturbed()
  const first = await contents(trial)
  if (expected) assert.deepEqual(first, expected[0], 'the first night')
  await nextDay(trial)
  await nightOf(trial, NIGHTS[1])
  const second = await contents(trial)
  if (expected) assert.deepEqual(second, expected[1], 'the second night')
  return [first, second]
}
