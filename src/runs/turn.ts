import { setTimeout as delay } from 'node:timers/promises'
import type { Metadata } from '../metadata/metadata.ts'
import type { RunRecord } from '../metadata/runs.ts'
import { isRunning } from '../util/owner.ts'

/** Milliseconds between two looks at the runs before. */
const POLL_INTERVAL_MS = 500

/**
 * Waits until no run of the job is under way that began before this one: several at once read side by side, and load one after
 * another, each compared with what the one before it left. An abort ends the waiting.
 */
export async function waitForTurn(
  { metadata, now, note }: { metadata: Metadata; now(): Date; note(text: string): void },
  { job, run }: Pick<RunRecord, 'job' | 'run'>,
  signal: AbortSignal,
): Promise<void> {
  for (let said: string | undefined; !signal.aborted; ) {
    const active = await metadata.activeRuns(job)
    const before = active.find(other => other.run < run && isRunning(other, now()))
    if (!before) return
    if (said !== before.run) note(`waits for run ${before.run}, which began before it, to load`)
    said = before.run
    await delay(POLL_INTERVAL_MS, undefined, { signal }).catch(() => {})
  }
}
