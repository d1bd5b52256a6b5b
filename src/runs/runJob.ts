import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import { EngineError, errorData, errorFrom } from '../../engine/errors.ts'
import { checkFromPlan } from '../../engine/load/resumeChecks.ts'
import { type Outcome, plan as planFlow, run as runFlow } from '../../engine/pipeline.ts'
import { Workers } from '../../engine/pool/pool.ts'
import { shareMemory } from '../../engine/runtime/budget.ts'
import { type ProgressListener, type RunContext, runFolder } from '../../engine/runtime/context.ts'
import { pauseAfter } from '../../engine/runtime/retries.ts'
import { taskGraph } from '../../engine/runtime/taskGraph.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { orderModels } from '../../engine/sql/graph.ts'
import { LocalStaging } from '../../engine/staging/local.ts'
import { clearTemporary, rowsIn } from '../../engine/staging/store.ts'
import { redact, secretsIn, secretsOf } from '../config/secrets.ts'
import type { Metadata } from '../metadata/metadata.ts'
import { type RunStatus, runLease } from '../metadata/runs.ts'
import { RunMonitor } from '../sla/runMonitor.ts'
import type { JobSpec } from '../spec/job.ts'
import { didYouMean } from '../util/nearest.ts'
import { ARCHIVE, type ArchiveOutcome, archive, archiveTask, fillRun, findArchived } from './archive.ts'
import { begin, readJob } from './begin.ts'
import { checkpointing, checkTasks, invalidateChanged } from './checkpoints.ts'
import { connect } from './connect.ts'
import { deltasOf } from './deltas.ts'
import { keepErrors, settleErrors, stillRejected } from './errors.ts'
import { estimateSeconds } from './estimate.ts'
import type { RunOptions } from './options.ts'
import { writeReport } from './report.ts'
import { checkResources } from './resources.ts'
import { takeSlots } from './slots.ts'
import { openStaging } from './staging.ts'
import { watchCancel } from './watchCancel.ts'

export interface RunResult {
  run: string
  job: string
  status: Exclude<RunStatus, 'RUNNING'>
  resumed: boolean
  seconds: number
  outcome: Outcome
  report: string
  /** Where the job has an archive and the run is loaded. */
  archive?: ArchiveOutcome
  /** Of a plan: seconds that loading it may take, by connection. */
  estimates: Record<string, number>
  /** What failed the run. */
  error?: unknown
}

/** Longest pause, in milliseconds, before a run is resumed by itself. */
const LONGEST_RECOVERY = 3_600_000

/**
 * Runs a job to its end, continuing an interrupted run of it; where the job says so, one that fails in a way that
 * passes is resumed by itself. Throws only where no run could be started, or (FENCED) where another process has taken
 * it over: then it is not ours to end.
 */
export async function runJob(options: RunOptions): Promise<RunResult> {
  const spec = await readJob(options)
  const staging = secretsIn(options.env.STAGING_URL)
  const archive = spec.archive?.secrets ?? []
  options.secrets.push(...secretsOf(spec.connections), ...spec.alertSecrets, ...staging, ...archive)
  const { limit, auto } = spec.recovery
  const recovery = { limit: auto ? limit : 0, delay: spec.recovery.delay, maxDelay: LONGEST_RECOVERY }
  let result = await runOnce(options, spec)
  for (let attempt = 1; ; attempt++) {
    const pause = pauseAfter(result.error, attempt, recovery)
    if (pause === undefined || options.goal === 'plan' || options.stop?.aborted) return result
    options.progress.note(`run ${result.run} failed and is resumed in ${Math.round(pause / 1000)} s`)
    const stop = AbortSignal.any([options.signal, ...(options.stop ? [options.stop] : [])])
    await delay(pause, undefined, { signal: stop }).catch(() => {})
    if (stop.aborted) return result
    const { fresh, fromPlan, from, restore, fullRefresh, ...again } = options
    result = await runOnce({ ...again, resume: result.run, acceptChanges: false }, spec)
  }
}

async function runOnce(options: RunOptions, spec: JobSpec): Promise<RunResult> {
  const { metadata, clock, home } = options
  const root = join(home, 'staging')
  mkdirSync(root, { recursive: true })
  checkResources(spec, home)
  const refresh = options.fullRefresh && tablesOf(spec, options.fullRefresh)
  const archived = options.restore && (await findArchived(spec, options.restore))
  if (archived) options = { ...options, runAt: new Date(archived.runAt) }
  const { record, resumed } = await begin(options, spec)
  if (resumed) options.progress.note(`continuing run ${record.run}, begun ${record.started_at}`)
  const log = options.log.child({ job: spec.job, run: record.run })
  log.info({ resumed }, 'run started')
  const started = clock.now()
  const taken = new AbortController()
  const { run, owner, fence } = record
  const letGo = metadata.leases.keep({ name: runLease(run), owner, fence }, error => taken.abort(error))
  const cancel = watchCancel(metadata, run)
  const until = new AbortController()
  const outcome: Outcome = {
    reads: [],
    extracted: [],
    tables: [],
    checks: [],
    quality: { errorRate: 0, score: 1 },
    changes: [],
    previews: [],
    loaded: [],
    verifications: [],
    feeds: {},
  }
  const began = resumed ? new Date(record.started_at) : started
  const watch = new RunMonitor({
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
  const temp = join(home, 'tmp', record.run)
  mkdirSync(temp, { recursive: true })
  const bucket = openStaging(options.env.STAGING_URL, root, { run, fence })
  if (resumed) {
    clearTemporary(join(root, runFolder({ spec, run })))
    await bucket?.sweep(runFolder({ spec, run }), clock.now())
  }
  const { threads, memory } = spec.resources
  const lanes = threads * spec.parallelism.maxParallelExtracts
  const budget = shareMemory(memory, lanes)
  const workers = new Workers(lanes)
  const duck = await Duck.open({ memory: budget.sql, threads, temp, folders: [root, temp] })
  await duck.lock()
  const { sources, targets } = connect(spec)
  const stop = [cancel.stop, until.signal, ...(options.stop ? [options.stop] : [])]
  const signal = AbortSignal.any([options.signal, taken.signal, cancel.now])
  const context: RunContext & { spec: JobSpec } = {
    clock,
    signal,
    stop: AbortSignal.any(stop),
    fence,
    acquireSlots: extracts => {
      const pools = extracts.flatMap(name => spec.pools[name] ?? [])
      return takeSlots(metadata, pools, options.progress.note, AbortSignal.any([signal, ...stop]))
    },
    corrections: async table =>
      (await metadata.errors.corrections(spec.job, table)).map(({ id, record, correction }) => ({
        id,
        values: { ...record, ...correction },
      })),
    progress: watch.progress(logged(options.progress, log)),
    spec,
    run: record.run,
    runAt: new Date(record.run_at),
    ...(refresh && { refresh }),
    sources,
    targets,
    root,
    staging: bucket ?? new LocalStaging(root),
    tasks: metadata.taskStore(record),
    workers,
    budget,
    duck,
  }
  let error: unknown
  let kept: ArchiveOutcome | undefined
  try {
    const names = spec.extracts.map(({ name }) => name)
    const tasks = taskGraph(spec, await orderModels(duck, spec.models, names))
    if (spec.archive) tasks.set(ARCHIVE, archiveTask(tasks))
    await checkTasks(metadata, spec, run, tasks, options)
    if (resumed) await invalidateChanged(context, metadata, record, tasks, options.from)
    context.tasks = await checkpointing(metadata, record, spec, tasks, clock, task => {
      if (task === options.until) until.abort()
    })
    if (options.fromPlan && !resumed) await checkFromPlan(context)
    if (record.trigger === 'restore') await fillRun(context, archived)
    await (options.goal === 'plan' ? planFlow(context, outcome) : runFlow(context, outcome))
    if (spec.archive && options.goal !== 'plan') kept = await archive(context, metadata, spec.archive)
  } catch (thrown) {
    error = taken.signal.aborted
      ? taken.signal.reason
      : context.signal.aborted
        ? new EngineError('INTERRUPTED', `${spec.job}: stopped at once, on request`)
        : thrown
  }
  cancel.close()
  // A run that fails by its bad rows is the one whose bad rows are wanted most.
  const queued = await metadata.errors.list({ job: spec.job, state: 'queued', limit: 1_000_000 })
  let still = new Set<string>()
  try {
    const { rejected, kept } = await keepErrors(context, metadata, outcome.tables)
    if (kept < rejected)
      options.progress.note(
        `${kept} of ${rejected} rejected rows are kept as error records; the quarantine holds all`,
      )
    still = await stillRejected(context, queued, outcome.tables)
  } catch (failure) {
    error ??= failure
  }
  const stopped = error instanceof EngineError && error.code === 'INTERRUPTED'
  if (stopped)
    error = new EngineError('INTERRUPTED', (error as Error).message, {
      hint: `What is committed is kept: nightfreight resume ${run} goes on.`,
    })
  const reached = stopped && until.signal.aborted && !context.signal.aborted
  if (reached) error = undefined
  // Drivers and files quote what they were given: mask it once, for history, report and terminal alike.
  if (error !== undefined) error = masked(error, options.secrets)
  if (error !== undefined) log.error({ error: errorData(error) }, 'run failed')
  const rejected = outcome.tables.reduce((sum, table) => sum + table.rejected, 0)
  const status =
    error !== undefined
      ? 'FAILED'
      : options.goal === 'plan' || reached
        ? 'PLANNED'
        : rejected > 0
          ? 'COMPLETED_WITH_ERRORS'
          : 'SUCCESS'
  const seconds = (clock.now().getTime() - started.getTime()) / 1000
  const result = {
    run: record.run,
    job: spec.job,
    status,
    resumed,
    seconds,
    outcome,
    error,
    archive: kept,
  } as const
  const ours = !(error instanceof EngineError && error.code === 'FENCED')
  const tasks = await metadata.tasks(record.run)
  const slaResults = await watch.judged()
  const report = ours
    ? await writeReport(context, { ...result, started, tasks, slaResults }).catch(failure => {
        // The disk may be full: the run ends as it ends all the same.
        options.progress.note(`no report: ${(failure as Error).message}`)
        return ''
      })
    : ''
  await Promise.all([...sources.values(), ...targets.values(), workers].map(system => system.close()))
  bucket?.close()
  duck.close()
  letGo()
  if (!ours) throw error
  const done = status === 'SUCCESS' || status === 'COMPLETED_WITH_ERRORS'
  if (done) await settleErrors(metadata, outcome.tables, queued, still, options.progress.note)
  if (done || !tasks.some(task => task.status === 'SUCCESS')) await metadata.checkpoints.clear(run)
  await metadata.endRun({
    run: record.run,
    fence: record.fence,
    job: spec.job,
    status,
    runAt: record.run_at,
    records: outcome.loaded.reduce((sum, load) => sum + load.inserted + load.updated + load.deleted, 0),
    seconds,
    error,
    // What a verification finds wrong is committed all the same.
    syncPoints:
      outcome.loaded.length === 0
        ? []
        : outcome.extracted.map(({ extract, watermark }) => ({ extract, value: watermark })),
    deltas: deltasOf(spec.job, record.run, outcome),
  })
  await watch.ended({ ...result, tasks, report })
  const estimates = options.goal === 'plan' ? await estimate(metadata, spec.job, outcome) : {}
  return { ...result, report, estimates }
}

/** The tables that are named, or all; fails with CONFIG_INVALID where the job loads none of a name. */
function tablesOf({ job, loads }: JobSpec, named: string[]): string[] {
  const tables = loads.map(({ table }) => table)
  const unknown = named.find(table => !tables.includes(table))
  if (unknown !== undefined)
    throw new EngineError(
      'CONFIG_INVALID',
      `${job} loads no table ${unknown}${didYouMean(unknown, tables)}`,
      {
        hint: `Its tables: ${tables.join(', ')}.`,
      },
    )
  return named.length > 0 ? named : tables
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

function logged(progress: ProgressListener, log: Logger): ProgressListener {
  return {
    ...progress,
    started: (task, rows) => {
      log.info({ task, rows }, 'task started')
      progress.started(task, rows)
    },
    finished: (task, note) => {
      log.info({ task, note }, 'task finished')
      progress.finished(task, note)
    },
    note: text => {
      log.info(text)
      progress.note(text)
    },
  }
}

function masked(error: unknown, secrets: string[]): Error {
  const { message, hint, stack, ...rest } = errorData(error)
  const mask = (text: string | undefined) => text && redact(text, secrets)
  return errorFrom({ ...rest, message: redact(message, secrets), hint: mask(hint), stack: mask(stack) })
}
