import { EngineError } from '../../../engine/errors.ts'

/** Milliseconds that a statement runs before it is asked what it waits for, and between two questions. */
const POLL_INTERVAL_MS = 5000

/** Somebody who asks a server, over a connection of his own, what another connection waits for. */
export interface LockQuestions {
  /** One line a lock: `lock on mart.t, held by process 7 (psql) since 2026-02-01 02:00:00+00`. */
  ask(): Promise<string[]>
  close(): Promise<void>
}

/** A statement that is watched. */
export interface LockWatch {
  /** What it was last seen to wait for. */
  readonly last: string | undefined
  stop(): void
}

export const LOCK_HINT =
  'Another session keeps the lock: end it, or wait until it ends. How long a load waits, timeouts.lock of job.yaml says.'

/** A failure that says who kept the lock, where it is one of that and somebody was seen. */
export function withWait(error: unknown, wait: string | undefined): unknown {
  if (!(error instanceof EngineError) || error.code !== 'LOCK_TIMEOUT' || wait === undefined) return error
  const { cause, hint } = error
  return new EngineError('LOCK_TIMEOUT', `${error.message}: it ${wait}`, { cause, hint })
}

/**
 * Tells what a statement waits for, once for each lock, until that is stopped. Nobody is asked where it
 * ends soon; what fails in asking is no failure of the statement.
 */
export function watchLocks(open: () => Promise<LockQuestions>, tell: (wait: string) => void): LockWatch {
  let questions: Promise<LockQuestions> | undefined
  let isOver = false
  const told = new Set<string>()
  let last: string | undefined
  const look = async () => {
    questions ??= open()
    for (const wait of await (await questions).ask()) {
      if (isOver || told.has(wait)) continue
      told.add(wait)
      last = wait
      tell(wait)
    }
  }
  let isLooking = false
  const timer = setInterval(() => {
    if (isLooking) return
    isLooking = true
    look()
      .catch(() => {
        questions = undefined
      })
      .finally(() => {
        isLooking = false
      })
  }, POLL_INTERVAL_MS)
  return {
    get last() {
      return last
    },
    stop() {
      isOver = true
      clearInterval(timer)
      questions?.then(opened => opened.close()).catch(() => {})
    },
  }
}
