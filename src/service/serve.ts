import type { Logger } from 'pino'
import type { Clock } from '../../engine/contracts/tasks.ts'
import { errorData } from '../../engine/errors.ts'
import type { Metadata } from '../metadata/metadata.ts'
import { collectGarbage } from '../runs/gc.ts'
import { ask } from '../util/ask.ts'
import { ServiceAlerts } from './alerts.ts'
import type { Catalog } from './catalog.ts'
import { every } from './every.ts'
import { FileWatch } from './files.ts'
import { KeptLogs } from './keptLogs.ts'
import { LogWatch } from './logWatch.ts'
import { Machine } from './machine.ts'
import { metricsText } from './metrics.ts'
import { outlookOf } from './outlook.ts'
import { Pace } from './pace.ts'
import type { Runner } from './runner.ts'
import { Scheduler, type SchedulerFacts } from './scheduler.ts'
import { troublesOf } from './trouble.ts'

export interface ServeOptions {
  catalog: Catalog
  metadata: Metadata
  clock: Clock
  runner: Runner
  owner: string
  slots: number
  pools: ReadonlyMap<string, number>
  /** Serves what is to be seen of the service; tells on which port. */
  listen: (seen: Seen) => Promise<{ port: number; close(): Promise<void> }>
  log: Logger
  home: string
  env: Record<string, string | undefined>
  /** Asked each minute while all is well: whoever listens there tells when nobody asks any more. */
  heartbeat?: string
  /** Ends the service: nothing more starts, runs are stopped, all is waited for. */
  signal: AbortSignal
  /** Told once it serves: on which port, and what it is to do, a line a job. */
  ready: (port: number, outlook: string[]) => void
  /** Milliseconds between two rounds. */
  tick?: number
}

/** What others see of a service. */
export interface Seen {
  facts(): SchedulerFacts
  /** Why no work can be done now; undefined where it can. */
  trouble(): string | undefined
  /** Whether the loop still turns. */
  isAlive(): boolean
  /** Prometheus' text. */
  metrics(): Promise<string>
  machine: Machine
}

/** Milliseconds between two looks at folders that files arrive in, and at the jobs' own files. */
const LOOK = 5_000
const RELOAD = 30_000
/** A loop that has not turned for so long hangs. */
const HANGS = 60_000
const HEARTBEAT_MS = 60_000
/** Milliseconds between two looks at what servers keep of their logs. */
const SIZES_MS = 60_000
/** Milliseconds between two looks for alerts that are to be sent again. */
const UNTOLD_MS = 10_000
/** Milliseconds between two looks at whether the store is whole. */
const VERIFY_MS = 30_000
/** It reads the whole store while nothing else goes on: of a large one, less often. */
const VERIFY_REST = 100
/** Milliseconds that a heartbeat may take. */
const BEAT_MS = 5_000

/** Plans and starts runs until it is told to stop. */
export async function serve(options: ServeOptions): Promise<void> {
  const { catalog, metadata, clock, runner, owner, slots, log, signal, tick = 1_000 } = options
  const { home, env } = options
  const alerts = new ServiceAlerts({ database: metadata.database, clock, log, home, env })
  const unusable = (job: string, folder: string, error: unknown) => {
    log.error({ where: folder, error: errorData(error) }, 'a job cannot be used')
    void alerts.unusable(job, folder, error)
  }
  const outlook: string[] = []
  await catalog.load((job, folder, error) => {
    unusable(job, folder, error)
    outlook.push(`${job}: cannot be used, and is not run: ${errorData(error).message}`)
  })
  // Before the first round, which begins what is due.
  outlook.unshift(...(await outlooks(catalog, metadata, clock)))
  const pace = new Pace(clock, tick, signal)
  const scheduler = new Scheduler({
    metadata,
    clock,
    jobs: () => catalog.jobs,
    slots,
    pools: options.pools,
    runner,
    owner,
    log,
    alerts,
    freed: () => pace.wake(),
  })
  const files = new FileWatch(metadata.triggers)
  const sweep = async (job: string) => {
    const staging = env.STAGING_URL || undefined
    await collectGarbage({ metadata, home, clock, log, keepDays: 0, dryRun: false, staging, filesOf: job })
  }
  const kept = new KeptLogs(log, alerts)
  const logs = new LogWatch({ metadata, log, sweep })
  let turned = performance.now()
  let trouble: string | undefined
  const troubles = () => troublesOf(catalog, scheduler.facts, files.unseen)
  const machine = new Machine()
  const server = await options.listen({
    facts: () => scheduler.facts,
    trouble: () => trouble ?? (troubles().join('\n') || undefined),
    isAlive: () => performance.now() - turned < HANGS,
    metrics: () =>
      metricsText({
        metadata,
        clock,
        machine,
        scheduler: scheduler.facts,
        troubles: troubles().length,
        waiting: logs.waiting(),
        kept: kept.logs,
        jobs: catalog.jobs.keys(),
      }),
    machine,
  })
  options.ready(server.port, outlook)
  const looks = every(LOOK, async () => {
    const before = files.unseen
    await files.look(catalog.jobs.values())
    for (const [name, error] of files.unseen) {
      const job = catalog.jobs.get(name)
      if (before.get(name)?.message !== error.message)
        log.error({ job: name, error: errorData(error) }, 'its files cannot be seen')
      if (job) void alerts.unseen(job, error)
    }
  })
  // Beside the rounds, which many jobs must not hold up.
  let reading: Promise<void> | undefined
  const reloads = every(RELOAD, async () => {
    reading ??= catalog
      .load(unusable)
      .catch(error => log.error({ error: errorData(error) }, 'the jobs could not be read'))
      .finally(() => {
        reading = undefined
      })
  })
  const beats = every(HEARTBEAT_MS, () => beat(options.heartbeat, log))
  const sizes = every(SIZES_MS, async () => kept.look(catalog.jobs.values()))
  const untold = every(UNTOLD_MS, async () => alerts.again(catalog.jobs))
  const proofs = every(VERIFY_MS, async () => metadata.database.verify?.(), VERIFY_REST)
  reloads.done()
  while (!signal.aborted) {
    try {
      await looks.maybe()
      await reloads.maybe()
      await proofs.maybe()
      await scheduler.tick()
      await logs.look(catalog.jobs, scheduler.facts.leads)
      await sizes.maybe()
      await untold.maybe()
      trouble = undefined
      if (troubles().length === 0) await beats.maybe()
    } catch (error) {
      // The store may be back at the next round; what was begun goes on without us.
      const { code, message } = errorData(error)
      if (code === 'METADATA_CORRUPT') {
        // It is set aside by hand, and only a new process sees the one that is made then.
        await Promise.all(
          [...catalog.jobs.values()].map(({ name, folder }) => alerts.unusable(name, folder, error)),
        )
        throw error
      }
      if (trouble !== message) log.error({ error: errorData(error) }, 'a round of the scheduler failed')
      trouble = message
    }
    turned = performance.now()
    await pace.rest()
  }
  log.info('stopping')
  await logs.stop()
  await scheduler.stop()
  await reading
  await server.close()
}

async function outlooks(catalog: Catalog, metadata: Metadata, clock: Clock): Promise<string[]> {
  const paused = new Set(
    (await metadata.pauses.list()).flatMap(({ kind, name }) => (kind === 'job' ? [name] : [])),
  )
  const lines: string[] = []
  for (const job of catalog.jobs.values())
    lines.push(await outlookOf(job, metadata.intervals, paused.has(job.name), clock.now()))
  return lines
}

/** Asks the heartbeat's URL; what fails there is somebody else's to tell, and ours to note. */
async function beat(url: string | undefined, log: Logger): Promise<void> {
  if (url === undefined) return
  const refused = (reason: string) => log.warn({ reason }, 'the heartbeat was not taken')
  await ask(url, { signal: AbortSignal.timeout(BEAT_MS) }).then(
    ({ ok, status, text }) => ok || refused(`answered ${status} ${text}`.trim()),
    error => refused(errorData(error).message),
  )
}
