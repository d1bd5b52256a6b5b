import type { ListedTable } from '../../engine/contracts/source.ts'
import { isOfKind, type TaskName, taskName } from '../../engine/contracts/taskName.ts'
import type { ChunkProgress, Clock, TaskStore } from '../../engine/contracts/tasks.ts'
import { EngineError } from '../../engine/errors.ts'
import { checkResume } from '../../engine/load/resumeChecks.ts'
import type { RunContext } from '../../engine/runtime/context.ts'
import { downstream, type Task, upstream } from '../../engine/runtime/taskGraph.ts'
import { filesIn } from '../../engine/staging/dataSet.ts'
import { keepCheckpoint } from '../metadata/checkpoints.ts'
import type { Metadata } from '../metadata/metadata.ts'
import type { RunRecord } from '../metadata/runs.ts'
import { runLease } from '../metadata/runs.ts'
import { doneTasks, type Held } from '../metadata/tasks.ts'
import type { JobSpec } from '../spec/job.ts'
import { isAlive, isRunning, ownName } from '../util/owner.ts'
import { shellWord } from '../util/shell.ts'

/** What a full checkpoint holds: enough to go back to it. */
export interface RunState {
  /** Tasks whose output is committed. */
  tasks: string[]
}

/** What the one holds that is made whenever a process begins or continues the run: enough to say what changed since. */
interface RunBasis {
  /** The job's folder, and the hash of each of its files. */
  folder: string
  files: Record<string, string>
  /** Per task that leaves an output, what it depends on: see {@link Task.fingerprint}. */
  fingerprints: Record<string, string>
  /** The tables of sources whose globs were listed. */
  tables?: ListedBySource
}

/** Tables of sources, by the connection. */
export type ListedBySource = Record<string, ListedTable[]>

/** Checkpoints of one run that are kept, at the least; old ones go with every so-manieth. */
const KEEP = 50
const PRUNED = 10
/** Milliseconds between two checkpoints of one extract's chunks: each is a write to the metadata store. */
const CHECKPOINT_INTERVAL_MS = 1000

/** A task store that keeps a checkpoint after every commit, and one of the progress of extracts. */
export async function checkpointing(
  metadata: Metadata,
  { run, job, fence }: RunRecord,
  { spec, tables }: { spec: JobSpec; tables: ListedBySource },
  tasks: Map<string, Task>,
  clock: Clock,
  committed: (task: string) => void,
): Promise<TaskStore> {
  const { checkpoints } = metadata
  const of = { job, run, kind: 'full' } as const
  const done = new Set(await doneTasks(metadata.database, run))
  const inner = metadata.taskStore({ run, fence }, (queries, task) => {
    // Of tasks that commit at one time each may name the other, which is kept, then: what is not done is done all the same.
    const state: RunState = { tasks: [...done.add(task)] }
    const keep = done.size % PRUNED === 0 ? KEEP : undefined
    return keepCheckpoint(queries, clock.now(), { ...of, task, state }, fence, keep)
  })
  await keepBasis(metadata, { run, job, fence }, spec, tasks, tables)
  const noted = new Map<string, number>()
  return {
    ...inner,
    async commit(task, output) {
      await inner.commit(task, output)
      committed(task)
    },
    async progress(task, chunk: ChunkProgress) {
      const now = clock.now().getTime()
      if (now - (noted.get(chunk.extract) ?? 0) < CHECKPOINT_INTERVAL_MS) return
      noted.set(chunk.extract, now)
      await checkpoints.create({ job, run, task, kind: 'incremental', state: chunk }, fence)
    },
  }
}

/** Keeps what a process that begins or continues a run goes by. */
export async function keepBasis(
  { checkpoints, database }: Metadata,
  { run, job, fence }: Pick<RunRecord, 'run' | 'job' | 'fence'>,
  spec: JobSpec,
  tasks: Map<string, Task>,
  tables: ListedBySource,
): Promise<void> {
  const fingerprints = Object.fromEntries(
    [...tasks].flatMap(([name, { fingerprint, view }]) => (view ? [] : [[name, fingerprint]])),
  )
  const basis: RunBasis = { folder: spec.folder, files: spec.files, fingerprints, tables }
  const state = { tasks: await doneTasks(database, run), ...basis }
  await checkpoints.create({ job, run, kind: 'full', task: null, state }, fence)
}

/** What the process went by that was the last to begin or continue a run; undefined where it has no checkpoints. */
export async function basisOf(metadata: Metadata, run: string): Promise<RunBasis | undefined> {
  const found = await metadata.checkpoints.latest(run, 'full', true)
  return found?.state as RunBasis | undefined
}

/** The tables of sources that a run's plan goes by, where it is made: what came or went since is of the next run. */
export async function plannedTables(metadata: Metadata, run: string): Promise<ListedBySource> {
  if (!(await doneTasks(metadata.database, run)).includes('plan')) return {}
  return (await basisOf(metadata, run))?.tables ?? {}
}

/** Files of a job, and values that references gave, that are other than those a run went by, `job.yaml` first. */
export async function changedFiles(metadata: Metadata, run: string, spec: JobSpec): Promise<string[]> {
  const before = (await basisOf(metadata, run))?.files
  if (!before) return ["the job's files"]
  const names = new Set([...Object.keys(spec.files), ...Object.keys(before)])
  return [...names].filter(name => before[name] !== spec.files[name])
}

/**
 * Fails with RESUME_REFUSED where a run cannot begin again at `from` or end after `until`: the job has no such task, one
 * that comes before `from` is not done yet, or `until` is done already.
 */
export async function checkTasks(
  metadata: Metadata,
  spec: JobSpec,
  run: string,
  tasks: Map<string, Task>,
  { from, until }: { from?: string; until?: string },
): Promise<void> {
  const refuse = (message: string, hint: string) => {
    throw new EngineError('RESUME_REFUSED', message, { hint })
  }
  const real = (task: string) => !tasks.get(task)?.view
  for (const task of [from, until])
    if (task !== undefined && (!tasks.has(task) || !real(task)))
      refuse(
        `${spec.job} has no task ${task}${tasks.has(task) ? ': that model stays a view' : ''}`,
        `Its tasks: ${[...tasks.keys()].filter(real).join(', ')}.`,
      )
  const done = await doneTasks(metadata.database, run)
  const before = from === undefined ? [] : upstream(tasks, from).filter(task => task !== from && real(task))
  const missing = before.find(task => !done.includes(task))
  if (missing)
    refuse(
      `run ${run} cannot begin at ${from}: ${missing} is not done`,
      `nightfreight resume ${run} does all that is left.`,
    )
  if (
    until !== undefined &&
    done.includes(until) &&
    (from === undefined || !downstream(tasks, from).includes(until))
  )
    refuse(`run ${run}: ${until} is done already`, `--from ${until} does it again.`)
}

/**
 * Makes a run fit what it goes on with: forgets the tasks that the job's changed files give another output, and those
 * from `from` on. Fails with RESUME_REFUSED or JOB_CHANGED where one of them is loaded, or a target holds another run's
 * data.
 */
export async function invalidateChanged(
  context: RunContext & { spec: JobSpec },
  metadata: Metadata,
  held: Held & Pick<RunRecord, 'spec_hash'>,
  tasks: Map<string, Task>,
  from: string | undefined,
): Promise<void> {
  const { spec, run } = context
  const done = await doneTasks(metadata.database, run)
  const found = await checkResume(context)
  const loaded: string[] = found.loaded.map(target => taskName('load', target))
  const forget = new Set<string>()
  for (const { table, reason } of found.disturbed) {
    context.progress.note(`${table} is compared again: ${reason}`)
    for (const task of downstream(tasks, taskName('diff', table))) forget.add(task)
  }
  for (const task of await damagedTasks(context, done, tasks, loaded)) forget.add(task)
  if (held.spec_hash !== spec.hash) {
    const before = (await basisOf(metadata, run))?.fingerprints ?? {}
    const known = done.filter(task => tasks.has(task) || before[task] !== undefined)
    for (const task of known) if (tasks.get(task)?.fingerprint !== before[task]) forget.add(task)
    const kept = [...forget].find(task => task === 'plan' || loaded.includes(task) || isOfKind(task, 'load'))
    if (kept)
      throw new EngineError(
        'JOB_CHANGED',
        `run ${run}: ${kept} is done, and would be another with the files as they are now`,
        {
          hint: '--fresh gives the run up and starts another.',
        },
      )
  }
  if (from !== undefined) for (const task of downstream(tasks, from)) forget.add(task)
  const gone = [...forget].filter(task => done.includes(task) || loaded.includes(task))
  const committed = gone.find(task => isOfKind(task, 'load'))
  if (committed)
    throw new EngineError(
      'RESUME_REFUSED',
      `run ${run}: ${committed} is committed and cannot be done again in this run`,
      {
        hint: `Start another: nightfreight run ${shellWord(spec.folder)}`,
      },
    )
  await metadata.forgetTasks(held, gone)
  if (gone.length > 0) context.progress.note(`done again: ${gone.join(', ')}`)
  if (held.spec_hash !== spec.hash) await metadata.acceptChanges(held, spec.hash)
}

/** Tasks whose files are gone or not what they were, with all that is made from them; but for what is loaded. */
async function damagedTasks(
  { tasks: store, staging, progress }: RunContext,
  done: string[],
  tasks: Map<string, Task>,
  loaded: string[],
): Promise<Set<string>> {
  const damaged = new Set<string>()
  for (const task of done) {
    const made = tasks.has(task) ? downstream(tasks, task) : []
    // What is loaded was made of it as it was, and it is needed no more.
    if (
      made.length === 0 ||
      made.some(each => loaded.includes(each) || (isOfKind(each, 'load') && done.includes(each)))
    )
      continue
    if (await staging.bring(filesIn(await store.output(task as TaskName)))) continue
    progress.note(`${task} is done again: its staged files are gone or damaged`)
    for (const each of made) damaged.add(each)
  }
  return damaged
}

/**
 * Takes a run that has stopped back to a full checkpoint: the outputs of later tasks are forgotten. Gives these tasks.
 * Fails with RESUME_REFUSED where it cannot be, since a load was committed after it.
 */
export async function restoreCheckpoint(
  metadata: Metadata,
  id: string,
  clock: Clock,
): Promise<{ run: string; forgotten: string[] }> {
  const refuse = (reason: string, hint: string): never => {
    throw new EngineError('RESUME_REFUSED', `checkpoint ${id}: ${reason}`, { hint })
  }
  const found = await metadata.checkpoints.find(id)
  if (!found) return refuse('there is none of that id', 'nightfreight checkpoints list shows them.')
  if (found.kind !== 'full')
    return refuse(
      'it notes how far an extract was; its chunks are of a snapshot that is no more',
      'Restore one of a task.',
    )
  const run = (await metadata.run(found.run))!
  if (run.status === 'RUNNING' && isRunning(run, clock.now()))
    return refuse(`run ${run.run} is still running`, `nightfreight cancel ${run.run} stops it.`)
  const { tasks } = found.state as RunState
  const later = (await metadata.tasks(run.run)).map(({ task }) => task).filter(task => !tasks.includes(task))
  const load = later.find(task => isOfKind(task, 'load'))
  if (load) return refuse(`${load} began after it and may be committed`, 'Resume the run, or start another.')
  const dead = isAlive(run.owner) ? undefined : run.owner
  const lease = await metadata.leases.acquire(runLease(run.run), ownName(), undefined, dead)
  if (!lease) return refuse(`run ${run.run} is still held`, 'Try again in half a minute.')
  try {
    await metadata.restore(found, later)
  } finally {
    await metadata.leases.release(lease)
  }
  return { run: run.run, forgotten: later }
}
