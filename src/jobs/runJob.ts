import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Logger } from 'pino'
import { EngineError, errorData, errorFrom } from '../../engine/errors.ts'
import { shareMemory } from '../../engine/flow/budget.ts'
import { checkReuse } from '../../engine/flow/reuse.ts'
import { type Outcome, plan as planFlow, run as runFlow } from '../../engine/flow/run.ts'
import type { Observer, World } from '../../engine/flow/world.ts'
import { Workers } from '../../engine/pool/pool.ts'
import type { Clock, Part, Source, Target } from '../../engine/ports.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import type { JobSpec } from '../config/job.ts'
import { loadJob } from '../config/load.ts'
import { redact, secretsOf } from '../config/secrets.ts'
import type { Claim } from '../metadata/intervals.ts'
import type { Metadata } from '../metadata/metadata.ts'
import { type RunRecord, type RunStatus, runLease } from '../metadata/runs.ts'
import { Watch } from '../sla/watch.ts'
import { estimateSeconds } from './estimate.ts'
import { isAlive, isRunning, ownName } from './owner.ts'
import { writeReport } from './report.ts'

export interface RunOptions {
  /** The job's folder: job.yaml, models, checks. */
  folder: string
  env: Record<string, string | undefined>
  /** Where staging, reports and metadata are kept. */
  home: string
  metadata: Metadata
  clock: Clock
  observer: Observer
  signal: AbortSignal
  log: Logger
  /** Strings that no output may show: the job's are added here as soon as they are known. */
  secrets: string[]
  /** The run's own time; default now. An interrupted run keeps the time it had. */
  runAt?: Date
  /** Start anew even where an interrupted run could be continued. */
  fresh?: boolean
  /** `plan` stops before the load and keeps the run, for `fromPlan` of a later one. */
  goal?: RunRecord['goal']
  /** Loads the change sets of this planned run, and reads nothing. */
  fromPlan?: string
  /** The data interval that it is for, taken by whoever starts it. The run's own time is the interval's end. */
  interval?: { claim: Claim; end: string; trigger: RunRecord['trigger'] }
}

export interface RunResult {
  run: string
  job: string
  status: Exclude<RunStatus, 'RUNNING'>
  resumed: boolean
  seconds: number
  outcome: Outcome
  report: string
  /** Of a plan: seconds that loading it may take, by connection. */
  estimates: Record<string, number>
  /** What failed the run. */
  error?: unknown
}

/**
 * Runs a job to its end, continuing an interrupted run of it. Throws only where no run could be started, or (FENCED)
 * where another process has taken it over: then it is not ours to end.
 */
export async function runJob(options: RunOptions): Promise<RunResult> {
  const { metadata, clock, home } = options
  const spec = await load(options)
  options.secrets.push(...secretsOf(spec.connections), ...spec.alertSecrets)
  const { record, resumed } = await begin(options, spec)
  if (resumed) options.observer.note(`continuing run ${record.run}, interrupted after ${record.started_at}`)
  const log = options.log.child({ job: spec.job, run: record.run })
  log.info({ resumed }, 'run started')
  const started = clock.now()
  const taken = new AbortController()
  const { run, owner, fence } = record
  const letGo = metadata.leases.keep({ name: runLease(run), owner, fence }, error => taken.abort(error))
  const outcome: Outcome = {
    reads: [],
    extracted: [],
    tables: [],
    checks: [],
    quality: { errorRate: 0, score: 1 },
    changes: [],
    previews: [],
    loaded: [],
    proofs: [],
  }
  const began = resumed ? new Date(record.started_at) : started
  const watch = new Watch({
    spec,
    record,
    home,
    metadata,
    clock,
    log,
    secrets: options.secrets,
    outcome,
    started: began,
  })
  if (resumed) watch.retried(`run ${record.run}`)
  const root = join(home, 'staging')
  const temp = join(home, 'tmp', record.run)
  mkdirSync(root, { recursive: true })
  mkdirSync(temp, { recursive: true })
  const { threads, memory } = spec.resources
  const lanes = threads * spec.parallelism.maxParallelExtracts
  const budget = shareMemory(memory, lanes)
  const workers = new Workers(lanes)
  const duck = await Duck.open({ memory: budget.sql, threads, temp, folders: [root, temp] })
  await duck.lock()
  const { sources, targets } = connect(spec)
  const world: World & { spec: JobSpec } = {
    clock,
    signal: AbortSignal.any([options.signal, taken.signal]),
    observer: watch.observer(logged(options.observer, log)),
    spec,
    run: record.run,
    runAt: new Date(record.run_at),
    sources,
    targets,
    root,
    ledger: metadata.ledger(record),
    workers,
    budget,
    duck,
  }
  let error: unknown
  try {
    if (options.fromPlan && !resumed) await checkReuse(world)
    await (options.goal === 'plan' ? planFlow(world, outcome) : runFlow(world, outcome))
  } catch (thrown) {
    error = taken.signal.aborted
      ? taken.signal.reason
      : options.signal.aborted
        ? new EngineError('INTERRUPTED', `${spec.job}: stopped on request`, {
            hint: 'Run it again to go on.',
          })
        : thrown
  }
  // Drivers and files quote what they were given: mask it once, for history, report and terminal alike.
  if (error !== undefined) error = masked(error, options.secrets)
  if (error !== undefined) log.error({ error: errorData(error) }, 'run failed')
  const rejected = outcome.tables.reduce((sum, table) => sum + table.rejected, 0)
  const status =
    error !== undefined
      ? 'FAILED'
      : options.goal === 'plan'
        ? 'PLANNED'
        : rejected > 0
          ? 'COMPLETED_WITH_ERRORS'
          : 'SUCCESS'
  const seconds = (clock.now().getTime() - started.getTime()) / 1000
  const result = { run: record.run, job: spec.job, status, resumed, seconds, outcome, error } as const
  const ours = !(error instanceof EngineError && error.code === 'FENCED')
  const tasks = await metadata.tasks(record.run)
  const promises = await watch.judged()
  const report = ours ? await writeReport(world, { ...result, started, tasks, promises }) : ''
  await Promise.all([...sources.values(), ...targets.values(), workers].map(system => system.close()))
  duck.close()
  letGo()
  if (!ours) throw error
  await metadata.endRun({
    run: record.run,
    fence: record.fence,
    job: spec.job,
    status,
    runAt: record.run_at,
    records: outcome.loaded.reduce((sum, load) => sum + load.inserted + load.updated + load.deleted, 0),
    seconds,
    error,
    // What a proof finds wrong is committed all the same.
    syncPoints:
      outcome.loaded.length === 0
        ? []
        : outcome.extracted.map(({ extract, watermark }) => ({ extract, value: watermark })),
  })
  await watch.ended({ ...result, tasks, report })
  const estimates = options.goal === 'plan' ? await estimate(metadata, spec.job, outcome) : {}
  return { ...result, report, estimates }
}

async function estimate(
  metadata: Metadata,
  job: string,
  { changes }: Outcome,
): Promise<Record<string, number>> {
  const estimates: Record<string, number> = {}
  for (const [to, group] of Map.groupBy(changes, change => change.load.to)) {
    const rows = group.reduce((sum, { upserts, keys }) => sum + rowsIn(upserts) + rowsIn(keys), 0)
    const seconds = estimateSeconds(await metadata.loads(job, to, 10), rows)
    if (seconds !== undefined) estimates[to] = seconds
  }
  return estimates
}

const rowsIn = (parts: Part[]) => parts.reduce((sum, part) => sum + part.rows, 0)

function logged(observer: Observer, log: Logger): Observer {
  return {
    ...observer,
    started: (task, rows) => {
      log.info({ task, rows }, 'task started')
      observer.started(task, rows)
    },
    finished: (task, note) => {
      log.info({ task, note }, 'task finished')
      observer.finished(task, note)
    },
    note: text => {
      log.info(text)
      observer.note(text)
    },
  }
}

function masked(error: unknown, secrets: string[]): Error {
  const { message, hint, stack, ...rest } = errorData(error)
  const mask = (text: string | undefined) => text && redact(text, secrets)
  return errorFrom({ ...rest, message: redact(message, secrets), hint: mask(hint), stack: mask(stack) })
}

// A job that cannot be read still leaves its mark in the history.
async function load({ folder, env, metadata, clock }: RunOptions): Promise<JobSpec> {
  try {
    return await loadJob(folder, env)
  } catch (error) {
    const job = nameOf(folder)
    if (!(await metadata.activeRun(job))) {
      const run = runId(clock.now())
      const runAt = clock.now().toISOString()
      const { fence } = await metadata.startRun({ run, job, run_at: runAt, spec_hash: '', owner: ownName() })
      const nothing = { records: 0, seconds: 0, syncPoints: [] }
      await metadata.endRun({ run, fence, job, status: 'FAILED', runAt, error, ...nothing })
    }
    throw error
  }
}

function nameOf(folder: string): string {
  try {
    return /^job:\s*(\w+)/m.exec(readFileSync(join(folder, 'job.yaml'), 'utf8'))?.[1] ?? basename(folder)
  } catch {
    return basename(folder)
  }
}

async function begin(options: RunOptions, spec: JobSpec) {
  const { metadata, clock, runAt, fresh, observer, goal = 'load', interval } = options
  const maxActive = interval ? (spec.schedule?.maxActiveRuns ?? 1) : 1
  const active = interval
    ? inTheWay(await metadata.activeRuns(spec.job), interval.claim.start, maxActive, clock.now())
    : await metadata.activeRun(spec.job)
  const own = active?.interval_start === (interval?.claim.start ?? active?.interval_start)
  const { fromPlan } = options
  const interrupted = active?.run === fromPlan && active?.goal === 'load' && active.spec_hash === spec.hash
  if (fromPlan && !interrupted) return reopen(options, fromPlan, spec)
  if (active) {
    if (isRunning(active, clock.now()))
      throw new EngineError('RUN_CONFLICT', `${spec.job}: run ${active.run} is still running`, {
        hint: `nightfreight status ${spec.job} shows it.`,
      })
    // Its load may have begun: a plan would hide that.
    if (goal === 'plan' && active.goal === 'load' && !fresh)
      throw new EngineError('RUN_CONFLICT', `${spec.job}: run ${active.run} was interrupted`, {
        hint: 'Run the job to continue it, or plan with --fresh to give it up.',
      })
    const record = await metadata.takeOver(active, ownName(), !isAlive(active.owner))
    if (!record)
      throw new EngineError(
        'RUN_CONFLICT',
        `${spec.job}: another process has just continued run ${active.run}`,
      )
    if (own && !fresh && active.spec_hash === spec.hash && active.goal === goal)
      return { record, resumed: true }
    const reason = fresh
      ? 'a fresh run was asked for'
      : !own
        ? 'a scheduled run takes its place'
        : active.goal === goal
          ? 'the files of the job changed since'
          : 'it was to be a plan'
    observer.note(`run ${active.run} was interrupted and is given up: ${reason}`)
    const error = new EngineError('INTERRUPTED', `interrupted, and given up: ${reason}`)
    const { run, job, run_at, fence } = record
    await metadata.endRun({
      run,
      fence,
      job,
      status: 'FAILED',
      runAt: run_at,
      records: 0,
      seconds: 0,
      error,
      syncPoints: [],
    })
  }
  const now = clock.now()
  const run = runId(now)
  const record: RunRecord = await metadata.startRun(
    {
      run,
      job: spec.job,
      run_at: interval?.end ?? (runAt ?? now).toISOString(),
      spec_hash: spec.hash,
      owner: ownName(),
      goal,
      ...(interval && {
        trigger: interval.trigger,
        interval_start: interval.claim.start,
        interval_end: interval.end,
        priority: spec.schedule?.priority ?? 0,
      }),
    },
    maxActive,
    interval?.claim,
  )
  return { record, resumed: false }
}

// The interval's own run, to be continued; or one that was interrupted, is of no interval, and leaves no room.
function inTheWay(active: RunRecord[], start: string, maxActive: number, now: Date): RunRecord | undefined {
  return (
    active.find(run => run.interval_start === start) ??
    (active.length < maxActive
      ? undefined
      : active.find(run => run.interval_start === null && !isRunning(run, now)))
  )
}

async function reopen({ metadata }: RunOptions, plan: string, spec: JobSpec) {
  const record = await metadata.run(plan)
  const refuse = (reason: string, hint: string) => {
    throw new EngineError('PLAN_UNUSABLE', `plan ${plan}: ${reason}`, { hint })
  }
  const again = `Make a new plan: nightfreight plan ${spec.folder}`
  if (!record || record.job !== spec.job)
    return refuse(
      record ? `it is of the job ${record.job}` : 'there is none of that id',
      `nightfreight status ${spec.job} lists the runs of this job.`,
    )
  if (record.status === 'SUCCESS' || record.status === 'COMPLETED_WITH_ERRORS')
    return refuse('it is already loaded', again)
  if (record.spec_hash !== spec.hash) return refuse('the files of the job changed since', again)
  if (record.status === 'RUNNING') return refuse('it is not finished, or was interrupted', again)
  const reopened = await metadata.reopen(record, ownName())
  if (!reopened) return refuse('another process has just taken it', again)
  return { record: reopened, resumed: false }
}

// Sorts by time; the random end keeps two machines apart.
function runId(now: Date): string {
  const stamp = now.toISOString().replace(/[-:]/g, '').slice(0, 15)
  return `${stamp}-${randomBytes(3).toString('hex')}`
}

export function connect(spec: JobSpec) {
  const sources = new Map<string, Source>()
  const targets = new Map<string, Target>()
  for (const [name, { connector, config, context }] of Object.entries(spec.connections)) {
    if (spec.extracts.some(extract => extract.from === name))
      sources.set(name, connector.source!(config, context))
    if (spec.loads.some(load => load.to === name)) targets.set(name, connector.target!(config, context))
  }
  return { sources, targets }
}
