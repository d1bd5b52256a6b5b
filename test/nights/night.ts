import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Metadata } from '../../src/metadata/metadata.ts'
import { openMetadata } from '../../src/metadata/open.ts'
import type { Alert } from '../../src/spec/alert.ts'
import { alertsIn } from '../alerts/told.ts'
import { endOf } from '../commandLine.ts'
import { putProgram } from '../program.ts'
import type { FreshDatabase, Hooks } from '../servers.ts'

const DAY_MS = 24 * 3600_000
/** Milliseconds for which anything is waited for. */
const PATIENCE_MS = 150_000

export interface NightOptions {
  /** job.yaml, but for job, schedule, resources and alerts. */
  yaml: string
  /** Further files of the job's folder. */
  files?: Record<string, string>
  /** Of the service; what an alert says that its command needs is set to the same. */
  env?: Record<string, string>
  /** Of job.yaml's `schedule`, beside those of a nightly job whose last two nights are due. */
  schedule?: Record<string, string | boolean>
}

/**
 * A nightly job of a service of its own, two nights of which are due: the second waits for the first. Somebody is woken by
 * an alert, mends its cause, types what it says in a plain shell, and the service goes on.
 */
export async function night(hooks: Hooks, name: string, { yaml, files, env = {}, schedule }: NightOptions) {
  // A path as people have them.
  const home = mkdtempSync(join(tmpdir(), `nightfreight ${name}'s `))
  const folder = join(home, 'jobs', name)
  const said = join(home, 'alerts.jsonl')
  const serviceLog = join(home, 'service.log')
  const write = (file: string, text: string) => {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    writeFileSync(join(folder, file), text)
  }
  const days = (ago: number) => new Date(Date.now() - ago * DAY_MS).toISOString().slice(0, 10)
  const settings = { cron: '"0 0 * * *"', catchup: true, depends_on_past: true, start: days(2), ...schedule }
  const given = Object.entries(settings).map(([key, value]) => `${key}: ${value}`)
  const spec = (text: string) =>
    write(
      'job.yaml',
      `job: ${name}
schedule: { ${given.join(', ')} }
resources: { memory: 300MB, threads: 1 }
alerts:
  channels: { pager: { command: [sh, -c, "cat >> ../../alerts.jsonl; echo >> ../../alerts.jsonl"] } }
  on: { failure: [pager], sla: [pager], errors: [pager], retry: [pager], recovery: [pager] }
${text}`,
    )
  spec(yaml)
  for (const [file, text] of Object.entries(files ?? {})) write(file, text)
  const bin = join(home, 'bin')
  const program = putProgram(bin)
  const shell = { PATH: `${bin}:/usr/bin:/bin`, HOME: home, TMPDIR: tmpdir() }

  const children = new Set<ChildProcess>()
  /** What the store says now: it may be another than it was. */
  const ask = async <T>(question: (metadata: Metadata) => Promise<T>): Promise<T> => {
    const metadata = await openMetadata(home, { now: () => new Date() }, undefined)
    return question(metadata).finally(() => metadata.close())
  }
  const stop = async () => {
    for (const child of children) child.kill('SIGTERM')
    for (const child of children)
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  }
  hooks.after(async () => {
    await stop()
    rmSync(home, { recursive: true, force: true })
  })

  const alerts = () => alertsIn(said)
  const until = async <T>(what: string, look: () => Promise<T | undefined> | T | undefined): Promise<T> => {
    const late = performance.now() + PATIENCE_MS
    for (;;) {
      const found = await look()
      if (found !== undefined) return found
      if (performance.now() > late) {
        const ends = [join(home, 'runs.log'), serviceLog].map(log =>
          existsSync(log) ? readFileSync(log, 'utf8').slice(-3000) : '',
        )
        const intervals = await ask(({ intervals }) => intervals.list(name, 9)).catch(String)
        assert.fail(
          `not come: ${what}\n${JSON.stringify(intervals, null, 1)}\n${JSON.stringify(alerts(), null, 1)}\n${ends.join('\n')}`,
        )
      }
      await delay(100)
    }
  }

  return {
    home,
    folder,
    /** The command that runs the job by hand. */
    run: `NIGHTFREIGHT_HOME="${home}" nightfreight run "${folder}"`,
    ask,
    spec,
    write,
    alerts,
    until,
    /** Starts the scheduler; its environment is `env` and what is given. */
    serve(more: Record<string, string> = {}): ChildProcess {
      const log = openSync(serviceLog, 'a')
      const child = spawn(program, ['serve', join(home, 'jobs'), '--port', '0'], {
        env: { ...shell, NIGHTFREIGHT_HOME: home, ...env, ...more },
        stdio: ['ignore', log, log],
      })
      closeSync(log)
      children.add(child)
      return child
    },
    stop,
    /** The alert of a kind and cause, once somebody is told. */
    alert: (kind: Alert['kind'], cause: RegExp) =>
      until(`${kind} ${cause}`, () => alerts().find(each => each.kind === kind && cause.test(each.cause))),
    /** Types an alert's command as it stands, in a shell that has only what the alert says it needs. */
    async type({ command, needs = [] }: Pick<Alert, 'command' | 'needs'>) {
      assert.ok(command, 'the alert names a command')
      const own = Object.fromEntries(needs.map(variable => [variable, env[variable] ?? '']))
      const child = spawn('sh', ['-c', command], { cwd: '/', env: { ...shell, ...own } })
      return endOf(child)
    },
    /** Until so many nights are loaded, and none waits any more. */
    goesOn: (nights = 2) =>
      until(`${nights} nights`, async () => {
        const all = await ask(({ intervals }) => intervals.list(name, 99))
        const done = all.filter(({ state }) => state === 'SUCCESS' || state === 'COMPLETED_WITH_ERRORS')
        return done.length >= nights && done.length === all.length ? all : undefined
      }),
  }
}

/** Fails where the table `loaded` does not hold exactly the rows that a query gives: those of an undisturbed night. */
export async function holdsExactly(query: FreshDatabase['query'], wanted: string): Promise<void> {
  const less = (one: string, other: string) => `SELECT * FROM ((${one}) EXCEPT ALL (${other})) AS rows`
  assert.deepEqual(await query(less(wanted, 'TABLE loaded')), [], 'missing')
  assert.deepEqual(await query(less('TABLE loaded', wanted)), [], 'too many')
}
