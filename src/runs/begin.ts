import { EngineError } from '../../engine/errors.ts'
import type { Mask } from '../../engine/mask.ts'
import { loadJob } from '../config/load.ts'
import { listTables } from '../config/wildcards.ts'
import type { Metadata } from '../metadata/metadata.ts'
import { runId } from '../metadata/runId.ts'
import { isDone, type RunRecord } from '../metadata/runs.ts'
import type { JobSpec } from '../spec/job.ts'
import { isAlive, isRunning, ownName } from '../util/owner.ts'
import { shellWord } from '../util/shell.ts'
import { changedFiles, type ListedBySource } from './checkpoints.ts'
import { declaredIn, environmentOfHome, markHome } from './environment.ts'
import { jobNameOf } from './jobName.ts'
import { openMask } from './mask.ts'
import type { RunOptions } from './options.ts'
import type { ProductionRun } from './production.ts'
import { tellRefused } from './refused.ts'

/** A run that is ours to go on with. */
export interface Begun {
  record: RunRecord
  resumed: boolean
}

/** A job whose runs can be begun. */
export interface UsableJob {
  spec: JobSpec
  mask: Mask
  /** The tables of sources whose globs were listed for it. */
  tables: ListedBySource
}

/** What the plan of a run goes by. */
export interface Planned {
  /** The tables of sources: what came or went since is of the next run. */
  tables: ListedBySource
  /** The hash of the job's files. */
  hash: string
}

/**
 * The job of a folder. One that cannot be run still leaves its mark in the history, and is told; the data interval that
 * it was to be run for waits. `production`: of a job in an environment, of which nobody is told. `planned`: of a run whose plan is
 * made.
 */
export async function readJob(
  options: RunOptions,
  production?: ProductionRun,
  planned?: Planned,
): Promise<UsableJob> {
  const { folder, metadata, clock, interval, signal } = options
  holdApart(options, production)
  try {
    return await (planned ? readPlanned(options, planned, production) : read(options, production))
  } catch (error) {
    // A stop that somebody asked for is no failure, and a plan that cannot begin no run.
    if (signal.aborted || options.goal === 'plan') throw error
    const job = jobNameOf(folder)
    // One that was to be continued stands in the history already.
    if (!interval && !options.resume && !(await metadata.activeRun(job))) {
      const runAt = clock.now().toISOString()
      const { run, fence } = await metadata.startRun({
        run: runId(clock.now()),
        job,
        run_at: runAt,
        spec_hash: '',
        owner: ownName(),
      })
      const nothing = { records: 0, seconds: 0, syncPoints: [] }
      await metadata.endRun({ run, fence, job, status: 'FAILED', runAt, error, ...nothing })
    }
    if (!production) await tellRefused(options, error, metadata.database)
    throw error
  }
}

/**
 * The job with the tables of a run's plan, of which sources are not asked any more. Where it has changed and does not fit them,
 * it is as it is now: what its tasks depend on tells whether the run can go on with it.
 */
export async function readPlanned(
  options: RunOptions,
  { tables, hash }: Planned,
  production?: ProductionRun,
): Promise<UsableJob> {
  try {
    return await read(options, production, tables)
  } catch (error) {
    if (!(error instanceof EngineError) || error.code !== 'CONFIG_INVALID') throw error
    const job = await read(options, production)
    if (job.spec.hash === hash) throw error
    return job
  }
}

/** `known`: the tables of sources that are not asked for them. */
async function read(
  { folder, env, home, signal, progress }: RunOptions,
  production?: ProductionRun,
  known: ListedBySource = {},
): Promise<UsableJob> {
  const tables = { ...known }
  const spec = await loadJob(folder, env, {
    signal,
    tables: async connection => {
      tables[connection.name] ??= await listTables(connection, signal)
      return tables[connection.name]!
    },
    ...(production && { read: production.read }),
  })
  return { spec, mask: openMask(home, env, spec, progress.note), tables }
}

/** Fails with CONFIG_INVALID where a run in an environment would have production's state, or the other way round. */
function holdApart({ folder, home, env }: RunOptions, production?: ProductionRun): void {
  const environment = declaredIn(folder).find(name => name === env.NIGHTFREIGHT_ENV)
  const of = environmentOfHome(home)
  if (production && environment !== undefined) {
    markHome(home, environment)
    return
  }
  if (environment === undefined && !production && of === undefined) return
  const name = environment ?? of
  throw new EngineError(
    'CONFIG_INVALID',
    of === undefined
      ? `${name} is an environment of ${folder}, and this command works on production`
      : `${home} is where the environment ${name} works, and this command works on production`,
    {
      hint: `nightfreight run ${shellWord(folder)} --env ${name} works there. For production, leave NIGHTFREIGHT_ENV out, and name its own NIGHTFREIGHT_HOME.`,
    },
  )
}

/** Starts a run, or takes over the one that is to be continued. */
export async function begin(options: RunOptions, spec: JobSpec): Promise<Begun> {
  const { metadata, clock, runAt, fresh, progress, goal = 'load', interval } = options
  const latest = async () => (await metadata.runs(1, spec.job))[0]?.run ?? 'of this job'
  if (options.resume || options.from) return resume(options, options.resume ?? (await latest()), spec)
  const maxActive = interval ? (spec.schedule?.maxActiveRuns ?? 1) : 1
  const active = interval
    ? inTheWay(await metadata.activeRuns(spec.job), interval.claim.start, maxActive, clock.now())
    : await metadata.activeRun(spec.job)
  const own = active?.interval_start === (interval?.claim.start ?? active?.interval_start)
  const { fromPlan, restore } = options
  if (restore && active && !fresh)
    throw new EngineError('RUN_CONFLICT', `${spec.job}: run ${active.run} is not done`, {
      hint: `nightfreight resume ${active.run} ends it, --fresh gives it up.`,
    })
  const interrupted = active?.run === fromPlan && active?.goal === 'load' && active.spec_hash === spec.hash
  if (fromPlan && !interrupted) return reopen(options, fromPlan, spec)
  if (active) {
    if (isRunning(active, clock.now()))
      throw new EngineError('RUN_CONFLICT', `${spec.job}: run ${active.run} is still running`, {
        hint: `nightfreight status ${spec.job}${spec.environment === undefined ? '' : ` --env ${spec.environment}`} shows it.`,
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
    const reason = fresh
      ? 'a fresh run was asked for'
      : !own
        ? 'a scheduled run takes its place'
        : active.goal !== goal
          ? 'it was to be a plan'
          : await otherCommand(metadata, active, spec, runAt)
    if (reason === undefined) return { record, resumed: true }
    progress.note(`run ${active.run} was interrupted and is abandoned: ${reason}`)
    await giveUp(metadata, record, `interrupted, and abandoned: ${reason}`)
    // So that the last step of an orchestrator does not end it after all; its data interval waits, as said by then.
    await metadata.requestCancel(record.run, 2)
  } else if (!fresh) {
    const stopped = await continueStopped(options, spec, goal, maxActive)
    if (stopped) return stopped
  }
  const now = clock.now()
  const record: RunRecord = await metadata.startRun(
    {
      run: runId(now),
      job: spec.job,
      run_at: interval?.end ?? (runAt ?? now).toISOString(),
      spec_hash: spec.hash,
      owner: ownName(),
      goal,
      ...(restore && { trigger: 'restore' as const }),
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

/** Why a run is not what is asked for now: its files are others, or its own time; undefined where it is. */
async function otherCommand(
  metadata: Metadata,
  { run, run_at, spec_hash }: RunRecord,
  spec: JobSpec,
  runAt: Date | undefined,
): Promise<string | undefined> {
  if (spec_hash !== spec.hash) return `changed since: ${(await changedFiles(metadata, run, spec)).join(', ')}`
  return runAt === undefined || runAt.toISOString() === run_at ? undefined : `its own time is ${run_at}`
}

/** The run that a signal has stopped, where this is the same command: it goes on with what is committed. */
async function continueStopped(
  { metadata, interval, restore, runAt, progress }: RunOptions,
  spec: JobSpec,
  goal: RunRecord['goal'],
  maxActive: number,
): Promise<Begun | undefined> {
  const claim = interval?.claim
  const found = await metadata.stoppedRun({ job: spec.job, goal, start: claim?.start ?? null })
  if (!found || (found.trigger === 'restore') !== (restore !== undefined)) return undefined
  const reason = await otherCommand(metadata, found, spec, runAt)
  if (reason !== undefined) {
    progress.note(`run ${found.run} was interrupted and is abandoned: ${reason}`)
    await metadata.requestCancel(found.run, 2)
    return undefined
  }
  const record = await metadata.reopen(found, ownName(), { goal, maxActive, claim })
  return record && { record, resumed: true }
}

/** Ends a run that nobody goes on with. */
export async function giveUp(
  metadata: Metadata,
  { run, job, run_at, fence }: RunRecord,
  reason = 'cancelled',
): Promise<void> {
  const error = new EngineError('INTERRUPTED', reason)
  const nothing = { records: 0, seconds: 0, syncPoints: [] }
  await metadata.endRun({ run, fence, job, status: 'FAILED', runAt: run_at, error, ...nothing })
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

/**
 * Continues a run that failed or was interrupted. Fails with RESUME_REFUSED where there is nothing to resume, with
 * RUN_CONFLICT while it goes on, and with JOB_CHANGED where the job's files are others and `acceptChanges` is not set.
 */
async function resume(options: RunOptions, run: string, spec: JobSpec): Promise<Begun> {
  const { metadata, clock } = options
  const found = await metadata.run(run)
  const refuse = (reason: string, hint: string): never => {
    throw new EngineError('RESUME_REFUSED', `run ${run}: ${reason}`, { hint })
  }
  if (!found || found.job !== spec.job)
    return refuse(
      found ? `it is of the job ${found.job}` : 'there is none of that id',
      'nightfreight status lists the runs.',
    )
  if (isDone(found.status))
    return refuse(
      'it is done: there is nothing to resume',
      `Start another: nightfreight run ${shellWord(spec.folder)}`,
    )
  if (found.status === 'PLANNED' && found.goal === 'plan')
    return refuse('it is a plan', `Load it: nightfreight run ${shellWord(spec.folder)} --from-plan ${run}`)
  if (found.goal === 'plan')
    return refuse('it was to be a plan', `Make it: nightfreight plan ${shellWord(spec.folder)}`)
  if (found.status === 'RUNNING' && isRunning(found, clock.now()))
    throw new EngineError('RUN_CONFLICT', `${spec.job}: run ${run} is still running`, {
      hint: `nightfreight cancel ${run} stops it.`,
    })
  if (found.spec_hash !== spec.hash && !options.acceptChanges) {
    const files = await changedFiles(metadata, run, spec)
    throw new EngineError('JOB_CHANGED', `run ${run}: changed since it began: ${files.join(', ')}`, {
      hint: '--accept-changes goes on with the files as they are now, and does again what they change; --fresh gives the run up and starts another.',
    })
  }
  const record =
    found.status === 'RUNNING'
      ? await metadata.takeOver(found, ownName(), !isAlive(found.owner))
      : await metadata.reopen(found, ownName())
  if (!record)
    throw new EngineError('RUN_CONFLICT', `${spec.job}: another process has just continued run ${run}`)
  return { record, resumed: true }
}

async function reopen({ metadata }: RunOptions, plan: string, spec: JobSpec): Promise<Begun> {
  const record = await metadata.run(plan)
  const refuse = (reason: string, hint: string) => {
    throw new EngineError('PLAN_UNUSABLE', `plan ${plan}: ${reason}`, { hint })
  }
  const again = `Make a new plan: nightfreight plan ${shellWord(spec.folder)}`
  if (!record || record.job !== spec.job)
    return refuse(
      record ? `it is of the job ${record.job}` : 'there is none of that id',
      `nightfreight status ${spec.job} lists the runs of this job.`,
    )
  if (isDone(record.status)) return refuse('it is already loaded', again)
  if (record.spec_hash !== spec.hash)
    return refuse(`changed since: ${(await changedFiles(metadata, plan, spec)).join(', ')}`, again)
  if (record.status === 'RUNNING') return refuse('it is not finished, or was interrupted', again)
  const reopened = await metadata.reopen(record, ownName())
  if (!reopened) return refuse('another process has just taken it', again)
  // Its load may have begun.
  return { record: reopened, resumed: record.goal === 'load' }
}
