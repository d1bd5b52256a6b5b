import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { isOfKind, taskName } from '../../engine/contracts/taskName.ts'
import { EngineError, errorFrom, systemError } from '../../engine/errors.ts'
import { didYouMean } from '../../engine/nearest.ts'
import { run as runFlow } from '../../engine/pipeline.ts'
import { bucketOf, type Task, taskGraph, upstream } from '../../engine/runtime/taskGraph.ts'
import { graphOf } from '../../engine/sql/graph.ts'
import { secretsIn } from '../config/secrets.ts'
import type { Lease } from '../metadata/leases.ts'
import { runId } from '../metadata/runId.ts'
import { isDone, type RunRecord, SHARED, stepLease } from '../metadata/runs.ts'
import { isLoadedAfter, runOfKey, shareRun } from '../metadata/sharedRuns.ts'
import { doneTasks } from '../metadata/tasks.ts'
import type { JobSpec } from '../spec/job.ts'
import { isRunning } from '../util/owner.ts'
import { shellWord } from '../util/shell.ts'
import { archive } from './archive.ts'
import { type Planned, readJob } from './begin.ts'
import { basisOf, invalidateChanged, keepBasis, type ListedBySource, plannedTables } from './checkpoints.ts'
import { finishRun, masked, maskedStore, type Reached } from './finishRun.ts'
import { HeldRun } from './heldRun.ts'
import { jobNameOf } from './jobName.ts'
import type { RunMeans } from './options.ts'
import type { RunResult } from './result.ts'
import { openSession } from './session.ts'
import { acquire } from './slots.ts'

/** Milliseconds between two looks whether another attempt of a step has ended. */
const POLL_INTERVAL_MS = 500

export interface StepOptions extends RunMeans {
  /** What the orchestrator calls the run; the same in each of its steps. */
  key: string
  /** One of {@link stepsOf}. */
  step: string
}

/** What a step came to; of the last one, and of a run that was done before, the run's end. */
export interface StepResult {
  run: string
  step: string
  /** Whether the run had ended before. */
  isOver: boolean
  /** Of the step that ends the run. */
  result?: RunResult
}

/**
 * The steps of a job, in their order; those of a kind (`extract.CONNECTION`, `bucket.NUMBER`, `load.CONNECTION`) may be done
 * at one time, on different machines. They are the same whatever tables its globs stand for.
 */
export function stepsOf({
  extracts,
  models,
  loads,
  globs,
}: Pick<JobSpec, 'extracts' | 'models' | 'loads' | 'globs'>): string[] {
  const buckets = Math.max(0, ...models.map(model => model.buckets?.count ?? 0))
  const each = (kind: 'extract' | 'load', of: string[]) => [...new Set(of)].map(name => taskName(kind, name))
  return [
    'check',
    'plan',
    ...each(
      'extract',
      [...extracts, ...globs.extracts].map(({ from }) => from),
    ),
    ...(buckets > 0 ? [PREPARE] : []),
    ...Array.from({ length: buckets }, (_, number) => taskName('bucket', String(number))),
    'models',
    ...each(
      'load',
      [...loads, ...globs.loads].map(({ to }) => to),
    ),
    'finish',
  ]
}

/** The step that does what buckets are made from, where a model is made in buckets. */
const PREPARE = 'prepare'

/** Tells which tasks a step does: `finish` does what is left once everything is loaded. */
function doneBy(step: string, tasks: Map<string, Task>): (task: string) => boolean {
  // Buckets, and what is made from them: tasks stand after those that they read.
  const late = new Set<string>()
  for (const [task, { after }] of tasks)
    if (isOfKind(task, 'bucket') || after.some(each => late.has(each))) late.add(task)
  return task => {
    if (task === 'probe') return step === 'check' || step === 'plan'
    if (task === 'plan' || isOfKind(task, 'extract') || isOfKind(task, 'load')) return step === task
    if (isOfKind(task, 'bucket')) return step === taskName('bucket', String(bucketOf(task)))
    if (isOfKind(task, 'types') || isOfKind(task, 'model'))
      return step === (late.size > 0 && !late.has(task) ? PREPARE : 'models')
    return step === (isOfKind(task, 'diff') ? 'models' : 'finish')
  }
}

/**
 * Does one step of a run whose steps an orchestrator runs as processes of their own, on whatever machine: what they share is
 * in the metadata store and in staging. The step `check` begins the run, `finish` ends it, with report, history and alerts.
 * May be repeated, and begun twice at one time: the second attempt waits for the first, or takes its place once it is gone;
 * what is committed is not done again. Throws what failed the step.
 */
export async function runStep(options: StepOptions): Promise<StepResult> {
  const { step, metadata, clock, progress } = options
  const usable = await readJob(options, undefined, await plannedBy(options))
  const { spec } = usable
  options.secrets.push(...spec.secrets, ...secretsIn(options.env.STAGING_URL))
  const steps = stepsOf(spec)
  if (!steps.includes(step))
    throw new EngineError('CONFIG_INVALID', `${spec.job} has no step ${step}${didYouMean(step, steps)}`, {
      hint: `Its steps: ${steps.join(', ')}.`,
    })
  const { run } = await openRun(options, spec)
  const lease = await takeStep(options, run)
  try {
    // Another attempt may have ended it meanwhile.
    const found = (await metadata.run(run))!
    if (isDone(found.status)) {
      progress.note(`run ${run} is done: there is nothing left for ${step}`)
      return { run, step, isOver: true }
    }
    if (found.status !== 'RUNNING')
      throw errorFrom({ message: `run ${run} failed`, ...(found.error && JSON.parse(found.error)) })
    const record = await shareRun(metadata.database, clock, run)
    using held = new HeldRun(options, usable, { record, resumed: false }, lease)
    held.log.info({ step, fence: record.fence }, 'step started')
    await using session = new AsyncDisposableStack()
    const reached: Reached = {}
    try {
      reached.context = await openSession(options, held, session)
      await perform(options, held, reached, usable.tables)
    } catch (error) {
      if (step === 'finish') reached.error = error
      else throw await noted(options, held, lease, error)
    }
    const ended = step === 'finish' ? { result: await finishRun(options, held, reached, session) } : {}
    held.log.info({ step, seconds: (clock.now().getTime() - held.started.getTime()) / 1000 }, 'step done')
    return { run: record.run, step, isOver: false, ...ended }
  } finally {
    await metadata.leases.release(lease)
  }
}

/** What failed a step, as it is told; also where no task of the step failed, so that the run's end says it. */
async function noted({ metadata, step, secrets }: StepOptions, held: HeldRun, lease: Lease, error: unknown) {
  const told = masked(held.causeOf(error), secrets, held.mask)
  const { run, fence } = held.record
  const store = metadata.taskStore({ run, fence, step: lease })
  const isNoted = (await metadata.tasks(run)).some(({ status }) => status === 'FAILED')
  if (!isNoted && !held.isLost) await store.begin(step).then(() => store.fail(step, told))
  return told
}

/** What the run's plan goes by; undefined where it is not begun. */
async function plannedBy({ metadata, folder, key }: StepOptions): Promise<Planned | undefined> {
  const found = await runOfKey(metadata.database, jobNameOf(folder), endingOf(key))
  return found && { tables: await plannedTables(metadata, found.run), hash: found.spec_hash }
}

/** What the id of the run of a key ends with. */
const endingOf = (key: string) => createHash('sha256').update(key).digest('hex').slice(0, 12)

/** The run that the orchestrator means, begun by its first step, set going again where it had failed and the step may mend it. */
async function openRun(options: StepOptions, spec: JobSpec): Promise<RunRecord> {
  const { metadata, clock, key, step, runAt } = options
  const ending = endingOf(key)
  const found = await runOfKey(metadata.database, spec.job, ending)
  if (!found && step !== 'check')
    throw new EngineError('RESUME_REFUSED', `${spec.job}: the step check has not begun the run ${key}`, {
      hint: 'All steps of a run need the same METADATA_URL, or the same NIGHTFREIGHT_HOME.',
    })
  if (!found) {
    const { maxActiveRuns = 1 } = spec.schedule ?? {}
    const now = clock.now()
    const run = {
      run: runId(now, ending),
      job: spec.job,
      run_at: (runAt ?? now).toISOString(),
      spec_hash: spec.hash,
      owner: SHARED,
    }
    for (const left of await metadata.activeRuns(spec.job))
      if (!isRunning(left, now)) throw interrupted(spec, left)
    try {
      return await metadata.startRun(run, maxActiveRuns)
    } catch (error) {
      // Another attempt has just begun it.
      const begun = await runOfKey(metadata.database, spec.job, ending)
      if (!begun) throw error
      return begun
    }
  }
  if (found.status === 'FAILED' && (step !== 'finish' || (await hasFailedAtItsEnd(metadata, found))))
    return (await metadata.reopen(found, SHARED)) ?? openRun(options, spec)
  if (found.status === 'RUNNING' && found.owner !== SHARED)
    throw new EngineError(
      'RUN_CONFLICT',
      `${spec.job}: run ${found.run} has been taken over by a process of its own`,
      {
        hint: `nightfreight status ${found.run} shows it.`,
      },
    )
  return found
}

/**
 * Whether a run that has failed lacks nothing but its end, so that the step `finish` alone can mend it. What another step has
 * left undone fails it again, with no more to tell; and one that was cancelled or given up stays so, as does one that a later
 * run has loaded after: the job's state and history are that run's.
 */
async function hasFailedAtItsEnd(metadata: StepOptions['metadata'], found: RunRecord): Promise<boolean> {
  const { run, cancel_requested } = found
  const basis = await basisOf(metadata, run)
  if (!basis || cancel_requested > 0 || (await isLoadedAfter(metadata.database, found))) return false
  const done = new Set(await doneTasks(metadata.database, run))
  return Object.keys(basis.fingerprints).every(task => done.has(task))
}

const interrupted = ({ job, folder }: JobSpec, { run }: RunRecord) =>
  new EngineError('RUN_CONFLICT', `${job}: run ${run} was interrupted, and its load may have begun`, {
    hint: `nightfreight resume ${run} ends it; nightfreight run ${shellWord(folder)} --fresh gives it up.`,
  })

/** The lease of the step, once no other attempt at it goes on. */
async function takeStep({ metadata, step, progress, signal }: StepOptions, run: string): Promise<Lease> {
  const name = stepLease(run, step)
  for (let said = false; ; said = true) {
    signal.throwIfAborted()
    const lease = await acquire(metadata.leases, name)
    if (lease) return lease
    const holder = await metadata.leases.holder(name)
    if (!said && holder)
      progress.note(`${step}: another attempt goes on (${holder.owner}); waits for its end`)
    await delay(POLL_INTERVAL_MS, undefined, { signal })
  }
}

async function perform(
  options: StepOptions,
  held: HeldRun,
  reached: Reached,
  tables: ListedBySource,
): Promise<void> {
  const { metadata, step, secrets } = options
  const { spec, record, outcome } = held
  const context = reached.context!
  const tasks = taskGraph(spec, (await graphOf(context.duck, spec)).models)
  const isOwn = doneBy(step, tasks)
  const stillMissing = () => notDone(record.run, metadata, step, tasks, isOwn)
  const basis = await basisOf(metadata, record.run)
  // Where all that the run began with is done, what the job says now is of its next run.
  const isDone = async () =>
    Object.keys(basis?.fingerprints ?? {}).every(task => tasks.has(task)) &&
    (await stillMissing()) === undefined
  if (record.spec_hash !== spec.hash && (step !== 'finish' || !(await isDone())))
    await invalidateChanged(context, metadata, record, tasks, undefined)
  const isPlanned = (await doneTasks(metadata.database, record.run)).includes('plan')
  if (!basis || (step === 'plan' && !isPlanned)) await keepBasis(metadata, record, spec, tasks, tables)
  const missing = await stillMissing()
  if (missing !== undefined && step !== 'finish')
    throw new EngineError(
      'RESUME_REFUSED',
      `run ${record.run}: ${step} cannot be done, ${missing} is not done`,
      {
        hint: 'Run the steps before it.',
      },
    )
  context.tasks = maskedStore(context.tasks, held, secrets)
  // An earlier attempt at it may have failed where no task did.
  if (!tasks.has(step)) await metadata.forgetTasks({ ...record, step: held.step }, [step])
  context.isOurs = isOwn
  try {
    await runFlow(context, outcome)
  } catch (error) {
    const isElsewhere =
      error instanceof EngineError &&
      error.code === 'INTERRUPTED' &&
      !held.signal.aborted &&
      !held.stop.aborted
    if (!isElsewhere) throw systemError(error)
    if (step === 'finish') throw await whyNotDone(metadata, record, missing)
    return
  }
  if (step === 'finish' && spec.archive) reached.archive = await archive(context, metadata, spec.archive)
}

/** A task that a step stands on, and that is not done. */
async function notDone(
  run: string,
  { database }: StepOptions['metadata'],
  step: string,
  tasks: Map<string, Task>,
  isOwn: (task: string) => boolean,
): Promise<string | undefined> {
  const done = await doneTasks(database, run)
  const all = [...tasks.keys()]
  const needed = new Set(step === 'finish' ? all : all.filter(isOwn).flatMap(task => upstream(tasks, task)))
  return all.find(task => needed.has(task) && !isOwn(task) && !tasks.get(task)!.view && !done.includes(task))
}

/** What kept a run from its end: the task that failed, or the step that was never done. */
async function whyNotDone(
  metadata: StepOptions['metadata'],
  { run }: RunRecord,
  missing: string | undefined,
) {
  const failed = (await metadata.tasks(run)).find(
    ({ status, error }) => status === 'FAILED' && error !== null,
  )
  if (failed) return errorFrom({ message: `${failed.task} failed`, ...JSON.parse(failed.error!) })
  return new EngineError('RESUME_REFUSED', `run ${run} ends before ${missing} is done`, {
    hint: 'Clear that step in the orchestrator, and those after it: what is committed is not done again.',
  })
}
