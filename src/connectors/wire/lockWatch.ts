/** Milliseconds that a statement runs before it is asked what it waits for, and between two questions. */
const POLL_INTERVAL_MS = 5000

/** Somebody who asks a server, over a connection of his own, what another connection waits for. */
export interface LockQuestions {
  /** One line a lock: `lock on mart.t, held by process 7 (psql) since 2026-02-01 02:00:00+00`. */
  ask(): Promise<string[]>
  close(): Promise<void>
}

/**
 * Tells what a statement waits for, once for each lock, until the function returned is called. Nobody is asked where it
 * ends soon; what fails in asking is no failure of the statement.
 */
export function watchLocks(open: () => Promise<LockQuestions>, tell: (wait: string) => void): () => void {
  let questions: Promise<LockQuestions> | undefined
  let isOver = false
  const told = new Set<string>()
  const look = async () => {
    questions ??= open()
    for (const wait of await (await questions).ask()) {
      if (isOver || told.has(wait)) continue
      told.add(wait)
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
  return () => {
    isOver = true
    clearInterval(timer)
    questions?.then(opened => opened.close()).catch(() => {})
  }
}
