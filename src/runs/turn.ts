import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '../../engine/contracts/tasks.ts'
import { ownValue } from '../../engine/ownValue.ts'
import { takesAway } from '../drops/options.ts'
import type { Metadata } from '../metadata/metadata.ts'
import type { RunRecord } from '../metadata/runs.ts'
import type { JobSpec } from '../spec/job.ts'
import { isRunning } from '../util/owner.ts'

/** Milliseconds between two looks at the runs before. */
const POLL_INTERVAL_MS = 500

/**
 * Before what a run of the job waits for those that began before it: it reads beside them, and compares with what they have loaded.
 * Where reading takes something away, or goes on where another read to, or a target is open to one process at a time, it waits
 * before its plan.
 */
export function turnOf({ extracts, loads, connections }: JobSpec): 'plan' | 'diff' {
  const isAlone =
    extracts.some(({ changes, options }) => changes || takesAway(options as object)) ||
    loads.some(({ to }) => ownValue(connections, to)?.connector.capabilities.exclusive)
  return isAlone ? 'plan' : 'diff'
}

/** Waits until no run of the job is under way that began before this one. An abort ends the waiting. */
export async function waitForTurn(
  { metadata, clock, note }: { metadata: Metadata; clock: Clock; note(text: string): void },
  { job, run }: Pick<RunRecord, 'job' | 'run'>,
  signal: AbortSignal,
): Promise<void> {
  for (let said: string | undefined; !signal.aborted; ) {
    const active = await metadata.activeRuns(job)
    const before = active.find(other => other.run < run && isRunning(other, clock.now()))
    if (!before) return
    if (said !== before.run) note(`waits for run ${before.run}, which began before it, to load`)
    said = before.run
    await delay(POLL_INTERVAL_MS, undefined, { signal }).catch(() => {})
  }
}
