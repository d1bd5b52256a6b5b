import { setTimeout as delay } from 'node:timers/promises'
import { EngineError } from '../errors.ts'
import type { StagedFile } from '../ports.ts'
import { pauseAfter } from './retries.ts'
import type { World } from './world.ts'

/**
 * Runs a task once: its committed output is returned as it stands, whoever committed it. `act` may be repeated
 * until its output is committed, so whatever it leaves behind must be replaceable. It is given the world with the
 * attempt's own signal. A failure with a retryable code is tried again as the job says; a task that takes longer than
 * the job's `timeout` fails with TIMEOUT. Fails with INTERRUPTED where the run is to stop before it.
 *
 * `filesOf` names the staged files that an output refers to: they are kept before it is committed, and brought to this
 * machine where it has been. Fails with STAGING_CORRUPT where they are nowhere.
 */
export async function once<T>(
  world: World,
  task: string,
  act: (world: World) => Promise<T>,
  filesOf?: (output: T) => StagedFile[],
): Promise<T> {
  world.signal.throwIfAborted()
  const committed = await world.ledger.output<T>(task)
  if (committed !== undefined) {
    world.observer.note(`${task}: already done`)
    if (filesOf && !(await world.staging.bring(filesOf(committed))))
      throw new EngineError('STAGING_CORRUPT', `${task}: what it committed is no longer staged`, {
        hint: `Nothing is lost: run ${world.spec.job} anew, with --fresh.`,
      })
    return committed
  }
  for (let attempt = 1; ; attempt++) {
    if (world.stop.aborted) throw stopped(world, task)
    await world.ledger.begin(task)
    try {
      const output = await attemptOf(world, task, act)
      if (filesOf) await world.staging.keep(filesOf(output).map(({ file }) => file))
      await world.ledger.commit(task, output)
      return output
    } catch (error) {
      const pause = world.signal.aborted ? undefined : pauseAfter(error, attempt, world.spec.retries)
      const now = world.clock.now().getTime()
      await world.ledger.fail(task, error, pause === undefined ? undefined : new Date(now + pause))
      if (pause === undefined) throw error
      world.observer.note(`${task}: ${(error as Error).message}; tried again in ${seconds(pause)}`)
      world.observer.retried?.(task, error)
      await idle(world, task, pause)
    }
  }
}

async function attemptOf<T>(world: World, task: string, act: (world: World) => Promise<T>): Promise<T> {
  const { timeout } = world.spec
  const late = new AbortController()
  const timer = timeout === undefined ? undefined : setTimeout(() => late.abort(), timeout)
  const signal = AbortSignal.any([world.signal, late.signal])
  // Extracts run side by side, and what they ask of DuckDB is short; all others have it to themselves.
  const interrupt = () => {
    if (!task.startsWith('extract.')) world.duck.interrupt()
  }
  signal.addEventListener('abort', interrupt, { once: true })
  try {
    return await act({ ...world, signal })
  } catch (cause) {
    if (!late.signal.aborted) throw cause
    throw new EngineError('TIMEOUT', `${task}: not done within ${seconds(timeout!)}`, {
      cause,
      hint: "job.yaml's timeout says how long a task may take.",
    })
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', interrupt)
  }
}

async function idle(world: World, task: string, pause: number): Promise<void> {
  const signal = AbortSignal.any([world.signal, world.stop])
  try {
    await delay(pause, undefined, { signal })
  } catch {
    throw stopped(world, task)
  }
}

const stopped = ({ spec }: World, task: string) =>
  new EngineError('INTERRUPTED', `${spec.job}: stopped on request, before ${task}`)

const seconds = (millis: number) => `${Math.round(millis / 100) / 10} s`
