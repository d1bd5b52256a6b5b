import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { writeCorrections } from '../../src/demo/sample/corrections.ts'
import { loadContacts, loadMembers } from '../../src/demo/sample/load.ts'
import { paymentFeed } from '../../src/demo/sample/payment.ts'
import { startPaymentApi } from '../../src/demo/servers/paymentApi.ts'
import { type FreshDatabase, freshMariadb, freshPostgres, type Hooks } from '../servers.ts'

const root = join(import.meta.dirname, '../..')
const TOKEN = 'token-of-the-tests'

/** The systems of the main job, filled with night one. */
export interface Systems {
  legacy: FreshDatabase
  crm: FreshDatabase
  drops: string
  /** The feed that the payment API serves: set `night` to move on. */
  feed: { night: 1 | 2 }
  /** Environment of a run into a warehouse, with its own state below `home`. */
  env(warehouse: FreshDatabase, home: string): Record<string, string>
  /** A fresh folder, removed after. */
  folder(): string
}

/**
 * Fills a MariaDB with `n` members; a Postgres, a payment API and a drop folder with what belongs to the first
 * `others` of them.
 */
export async function startSystems(hooks: Hooks, n: number, seed: number, others = n): Promise<Systems> {
  const [legacy, crm] = await Promise.all([freshMariadb(hooks), freshPostgres(hooks)])
  const folder = () => {
    const path = mkdtempSync(join(tmpdir(), 'nightfreight-night-'))
    hooks.after(async () => rmSync(path, { recursive: true, force: true }))
    return path
  }
  const drops = folder()
  const feed: Systems['feed'] = { night: 1 }
  const api = await startPaymentApi({ payments: () => paymentFeed(others, seed, feed.night), token: TOKEN })
  hooks.after(() => api.stop())
  await Promise.all([
    loadMembers(legacy.url, n, seed),
    loadContacts(crm.url, others, seed),
    writeCorrections(drops, others, seed),
  ])
  const env = (warehouse: FreshDatabase, home: string) => ({
    ...(process.env as Record<string, string>),
    LEGACY_DB_URL: legacy.url,
    CRM_DB_URL: crm.url,
    PAYMENT_API_URL: api.url,
    PAYMENT_API_TOKEN: TOKEN,
    DROPS_URL: pathToFileURL(drops).href,
    WAREHOUSE_URL: warehouse.url,
    NIGHTFREIGHT_HOME: home,
  })
  return { legacy, crm, drops, feed, env, folder }
}

/** One line of `run --json`. */
export interface RunEvent {
  event: string
  [key: string]: unknown
}

export interface NightResult {
  code: number | null
  signal: NodeJS.Signals | null
  events: RunEvent[]
  output: string
}

/** Runs the main job, or what `args` say, by the command line; `watch` sees each event as it comes, and may kill the process. */
export async function runNight(
  env: Record<string, string>,
  at: string,
  watch: (event: RunEvent, child: ChildProcess) => void = () => {},
  args: string[] = ['run', 'queries/members', '--at', at],
  began: (child: ChildProcess) => void = () => {},
): Promise<NightResult> {
  const child = spawn(process.execPath, ['src/main.ts', ...args, '--json'], {
    cwd: root,
    env,
  })
  began(child)
  const result: NightResult = { code: null, signal: null, events: [], output: '' }
  const follow = (stream: NodeJS.ReadableStream) => {
    let rest = ''
    stream.setEncoding('utf8').on('data', (text: string) => {
      result.output += text
      const lines = (rest + text).split('\n')
      rest = lines.pop()!
      for (const line of lines) {
        if (!line.startsWith('{')) continue
        const event = JSON.parse(line) as RunEvent
        result.events.push(event)
        watch(event, child)
      }
    })
  }
  follow(child.stdout)
  follow(child.stderr)
  ;[result.code, result.signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  return result
}

/** The counts of the run's loads by table. */
export function loadedBy({
  events,
  output,
  code,
}: NightResult): Record<string, { inserted: number; updated: number; unchanged: number }> {
  const result = events.find(({ event }) => event === 'result')
  if (code !== 0 || !result) throw new Error(`the run ended with ${code}:\n${output}`)
  const loads = result.loaded as { table: string; inserted: number; updated: number; unchanged: number }[]
  return Object.fromEntries(
    loads.map(({ table, inserted, updated, unchanged }) => [table, { inserted, updated, unchanged }]),
  )
}
