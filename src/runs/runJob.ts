import { setTimeout as delay } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { ListedTable } from '../../engine/contracts/source.ts'
import { EngineError } from '../../engine/errors.ts'
import { checkFromPlan } from '../../engine/load/resumeChecks.ts'
import { plan as planFlow, run as runFlow } from '../../engine/pipeline.ts'
import { pauseAfter } from '../../engine/runtime/retries.ts'
import { type Task, taskGraph } from '../../engine/runtime/taskGraph.ts'
import { graphOf } from '../../engine/sql/graph.ts'
import type { ArchivedRun } from '../archive/manifest.ts'
import { secretsIn } from '../config/secrets.ts'
import type { RunGraph } from '../metadata/runDetails.ts'
import type { RunRecord } from '../metadata/runs.ts'
import { ARCHIVE, type ArchiveOutcome, archive, archiveTask, fillRun, findArchived } from './archive.ts'
import { begin, readJob, readPlanned, type UsableJob } from './begin.ts'
import { tellUnread } from './changeLogs.ts'
import { checkpointing, checkTasks, invalidateChanged, plannedTables } from './checkpoints.ts'
import { finishRun, maskedStore, type Reached } from './finishRun.ts'
import { HeldRun } from './heldRun.ts'
import { jobNameOf } from './jobName.ts'
import type { RunOptions } from './options.ts'
import { ProductionRun } from './production.ts'
import type { RunResult } from './result.ts'
import { type JobContext, openSession } from './session.ts'
import { tellTables } from './tellTables.ts'
import { watchCancel } from './watchCancel.ts'

/** Longest pause, in milliseconds, before a run is resumed by itself. */
const LONGEST_RECOVERY = 3_600_000

/**
 * Runs a job to its end, continuing an interrupted run of it; where the job says so, one that fails transiently is
 * resumed by itself. Throws only where no run could be started, or where it is not ours to end: another process has
 * taken it over (FENCED), or the metadata store is away.
 */
export async function runJob(options: RunOptions): Promise<RunResult> {
  const { folder, clock } = options
  await using production =
    options.production && (await ProductionRun.open(options.production, jobNameOf(folder), folder, clock))
  const job = await readJob(options, production)
  const { spec } = job
  options.secrets.push(
    ...spec.secrets,
    ...secretsIn([options.env.STAGING_URL, options.production?.stagingUrl]),
  )
  const { limit, auto } = spec.recovery
  const recovery = { limit: auto ? limit : 0, delay: spec.recovery.delay, maxDelay: LONGEST_RECOVERY }
  let result = await runOnce(production ? anew(options) : options, job, production)
  for (let attempt = 1; ; attempt++) {
    const pause = pauseAfter(result.error, attempt, recovery)
    if (pause === undefined || options.goal === 'plan' || options.stop?.aborted) return result
    options.progress.note(`run ${result.run} failed and is resumed in ${Math.round(pause / 1000)} s`)
    const cancel = watchCancel(options.metadata, result.run)
    const stop = AbortSignal.any([options.signal, cancel.stop, ...(options.stop ? [options.stop] : [])])
    await delay(pause, undefined, { signal: stop }).catch(() => {})
    cancel.close()
    if (stop.aborted) return result
    const { fresh, from, restore, ...again } = options
    result = await runOnce({ ...again, resume: result.run, acceptChanges: false }, job)
  }
}

/** A run in an environment goes on with none that was interrupted: production may have read other rows since. */
function anew(options: RunOptions): RunOptions {
  const { fresh, fromPlan, from, reconcile } = options
  if (reconcile)
    throw new EngineError(
      'CONFIG_INVALID',
      '--reconcile reads logs of sources, and an environment reads none',
      {
        hint: 'Leave it out, or leave out --env: production reads them.',
      },
    )
  return { ...options, fresh: fresh || (fromPlan === undefined && from === undefined) }
}

/** A run, from its beginning or where it was interrupted, to its end. */
async function runOnce(
  options: RunOptions,
  asked: UsableJob,
  production?: ProductionRun,
): Promise<RunResult> {
  const archived = options.restore && (await findArchived(asked.spec, options.restore))
  const runAt = archived ? new Date(archived.runAt) : (options.runAt ?? production?.runAt)
  const begun = await begin({ ...options, runAt }, asked.spec)
  const reached: Reached = {}
  // It is ours from here: what fails, ends it.
  const job = await asPlanned(options, asked, begun.record, production).catch((error: unknown) => {
    reached.error = error
    return asked
  })
  const { spec } = job
  using held = new HeldRun(options, job, begun)
  const { record, resumed } = held
  if (resumed) {
    options.progress.note(`continuing run ${record.run}, begun ${record.started_at}`)
    held.monitor.retried(`run ${record.run}`)
  } else await tellTables(options.metadata, spec, text => options.progress.note(text))
  held.log.info({ resumed }, 'run started')
  await using session = new AsyncDisposableStack()
  try {
    if (reached.error !== undefined) throw reached.error
    reached.context = await openSession(options, held, session, production)
    reached.archive = await perform(options, held, job, reached.context, archived, production)
  } catch (error) {
    reached.error = error
  }
  // Awaited: what it ends is closed when this returns.
  return await finishRun(options, held, reached, session)
}

/** The job with the tables that its run's plan goes by, where one is made. */
async function asPlanned(
  options: RunOptions,
  job: UsableJob,
  { run, spec_hash }: RunRecord,
  production?: ProductionRun,
): Promise<UsableJob> {
  const planned = options.from === 'plan' ? {} : await plannedTables(options.metadata, run)
  const isOther = Object.entries(planned).some(
    ([connection, tables]) => !isDeepStrictEqual(catalogOf(tables), catalogOf(job.tables[connection] ?? [])),
  )
  return isOther ? readPlanned(options, { tables: planned, hash: spec_hash }, production) : job
}

/** What a catalogue has of tables, but for estimates. */
const catalogOf = (tables: ListedTable[]) => tables.map(({ rows: _, ...table }) => table)

/** Tasks that leave an output, each with those whose output it reads: a model that stays a view is part of its readers. */
function graphOfTasks(tasks: Map<string, Task>): RunGraph {
  const real = (name: string): string[] => {
    const task = tasks.get(name)
    return task?.view ? task.after.flatMap(real) : [name]
  }
  return Object.fromEntries(
    [...tasks]
      .filter(([, { view }]) => !view)
      .map(([name, { after }]) => [name, [...new Set(after.flatMap(real))]]),
  )
}

/** The work of a run; what came of the archive, where there is one. */
async function perform(
  options: RunOptions,
  held: HeldRun,
  { tables }: UsableJob,
  context: JobContext,
  archived: ArchivedRun | undefined,
  production: ProductionRun | undefined,
): Promise<ArchiveOutcome | undefined> {
  const { metadata, clock } = options
  const { spec, record, outcome } = held
  const { models } = await graphOf(context.duck, spec)
  const tasks = taskGraph(spec, models)
  if (spec.archive) tasks.set(ARCHIVE, archiveTask(tasks))
  await checkTasks(metadata, spec, record.run, tasks, options)
  if (held.resumed && !options.fromPlan)
    await invalidateChanged(context, metadata, record, tasks, options.from)
  const store = await checkpointing(metadata, record, { spec, tables }, tasks, clock, task => {
    if (task === options.until) held.endHere()
  })
  const progress: typeof store.progress = (task, chunk) => {
    held.live.chunk(task, chunk)
    return store.progress(task, chunk)
  }
  context.tasks = { ...maskedStore(store, held, options.secrets), progress }
  await held.live.begin(graphOfTasks(tasks))
  held.canResume = true
  if (options.fromPlan) await checkFromPlan(context, held.resumed)
  if (record.trigger === 'restore') await fillRun(context, archived)
  if (production && (await store.output('plan')) === undefined) await production.fill(context, models)
  if (options.goal === 'plan') {
    await planFlow(context, outcome)
    return undefined
  }
  await runFlow(context, outcome)
  if (spec.environment === undefined && record.trigger !== 'restore')
    await tellUnread(spec, text => options.progress.note(text), options.signal)
  return spec.archive && archive(context, metadata, spec.archive)
}
