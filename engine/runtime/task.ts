import { setTimeout as delay } from 'node:timers/promises'
import type { StagedFile } from '../contracts/staging.ts'
import { isOfKind, type TaskName } from '../contracts/taskName.ts'
import type { TaskStore } from '../contracts/tasks.ts'
import { EngineError } from '../errors.ts'
import type { RunContext } from './context.ts'
import { pauseAfter } from './retries.ts'

/**
 * Runs a task once: its committed output is returned as it stands, whoever committed it. `act` may be repeated
 * until its output is committed, so whatever it leaves behind must be replaceable. It is given the context with the
 * attempt's own signal. A failure with a retryable code is tried again as the job says; a task that takes longer than
 * the job's `timeout` fails with TIMEOUT. Fails with INTERRUPTED where the run is to stop before it.
 *
 * `filesOf` names the staged files that an output refers to: they are kept before it is committed, and brought to this
 * machine where it has been. Fails with STAGING_CORRUPT where they are nowhere.
 */
export async function runTask<T>(
  context: RunContext,
  task: TaskName,
  act: (context: RunContext) => Promise<T>,
  filesOf?: (output: T) => StagedFile[],
): Promise<T> {
  context.signal.throwIfAborted()
  const committed = await context.tasks.output<T>(task)
  if (committed !== undefined) {
    context.progress.note(`${task}: already done`)
    if (filesOf && !(await context.staging.bring(filesOf(committed))))
      throw new EngineError('STAGING_CORRUPT', `${task}: what it committed is no longer staged`, {
        hint: `Nothing is lost: run ${context.spec.job} anew, with --fresh.`,
      })
    return committed
  }
  if (!isOurs(context, task))
    throw new EngineError('INTERRUPTED', `${context.spec.job}: ${task} is for another step of the run`)
  for (let attempt = 1; ; attempt++) {
    if (context.stop.aborted) throw stopped(context, task)
    await context.tasks.begin(task)
    try {
      const output = await attemptOf(context, task, act)
      if (filesOf) await context.staging.keep(filesOf(output).map(({ file }) => file))
      await context.tasks.commit(task, output)
      return output
    } catch (error) {
      const pause = context.signal.aborted ? undefined : pauseAfter(error, attempt, context.spec.retries)
      const now = context.clock.now().getTime()
      await context.tasks.fail(task, error, pause === undefined ? undefined : new Date(now + pause))
      if (pause === undefined) throw error
      context.progress.note(`${task}: ${(error as Error).message}; tried again in ${seconds(pause)}`)
      context.progress.retried?.(task, error)
      await idle(context, task, pause)
    }
  }
}

/** Keeps nothing: of a task that is to be done each time. */
export const FORGETFUL: TaskStore = {
  output: async () => undefined,
  begin: async () => {},
  commit: async () => {},
  fail: async () => {},
  progress: async () => {},
}

/** Whether this process may do a task. */
export const isOurs = ({ isOurs }: RunContext, task: TaskName): boolean => isOurs?.(task) ?? true

/** Tasks that this process may do, before those that end what it does. */
export const oursFirst = <T>(context: RunContext, all: T[], taskOf: (each: T) => TaskName): T[] =>
  all.toSorted((a, b) => Number(isOurs(context, taskOf(b))) - Number(isOurs(context, taskOf(a))))

async function attemptOf<T>(
  context: RunContext,
  task: TaskName,
  act: (context: RunContext) => Promise<T>,
): Promise<T> {
  const { timeout } = context.spec
  const late = new AbortController()
  const timer = timeout === undefined ? undefined : setTimeout(() => late.abort(), timeout)
  const signal = AbortSignal.any([context.signal, late.signal])
  // Extracts run side by side, and what they ask of DuckDB is short; all others have it to themselves.
  const release = context.duck.interruptOn(isOfKind(task, 'extract') ? context.signal : signal)
  try {
    return await endedWith(context.signal, act({ ...context, signal }))
  } catch (cause) {
    if (!late.signal.aborted) throw cause
    throw new EngineError('TIMEOUT', `${task}: not done within ${seconds(timeout!)}`, {
      cause,
      hint: "job.yaml's timeout says how long a task may take.",
    })
  } finally {
    clearTimeout(timer)
    release()
  }
}

/** Milliseconds that what a task is at has to end by itself, once the run is ended. */
const GRACE_MS = 8000

/** What `act` gives; a run that is ended at once does not wait for what cannot be ended. */
async function endedWith<T>(signal: AbortSignal, act: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  let timer: NodeJS.Timeout | undefined
  const abort = () => {
    timer = setTimeout(() => reject(signal.reason), GRACE_MS)
  }
  if (signal.aborted) abort()
  else signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([act, promise])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', abort)
  }
}

async function idle(context: RunContext, task: TaskName, pause: number): Promise<void> {
  const signal = AbortSignal.any([context.signal, context.stop])
  try {
    await delay(pause, undefined, { signal })
  } catch {
    throw stopped(context, task)
  }
}

const stopped = ({ spec }: RunContext, task: string) =>
  new EngineError('INTERRUPTED', `${spec.job}: stopped on request, before ${task}`)

const seconds = (millis: number) => `${Math.round(millis / 100) / 10} s`
