import { EngineError } from '../errors.ts'

/** How often a task that failed transiently is tried again, and after how many milliseconds. */
export interface Retries {
  /** Further attempts after the first. */
  limit: number
  /** Before the first of them; it doubles from one to the next. */
  delay: number
  maxDelay: number
}

/** Milliseconds until the next attempt, where there is one; `random` is from 0 to 1. */
export function pauseAfter(
  error: unknown,
  attempt: number,
  { limit, delay, maxDelay }: Retries,
  random = Math.random(),
): number | undefined {
  if (!(error instanceof EngineError) || !error.retryable || attempt > limit) return undefined
  // Between half and all of it: many tasks that one outage failed do not come back at one instant.
  return Math.round(Math.min(maxDelay, delay * 2 ** (attempt - 1)) * (0.5 + random / 2))
}
