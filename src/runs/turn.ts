import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '../../engine/contracts/tasks.ts'
import { EngineError } from '../../engine/errors.ts'
import type { Metadata } from '../metadata/metadata.ts'
import { type RunRecord, SHARED } from '../metadata/runs.ts'
import { goingStep } from '../metadata/sharedRuns.ts'
import { isRunning } from '../util/owner.ts'

/** Milliseconds between two looks at the runs before. */
const POLL_INTERVAL_MS = 500
/** How long a run whose steps an orchestrator begins is waited for while none of them goes on. */
const IDLE_MS = 600_000

/**
 * Waits until no run of the job is under way that began before this one: several at once read side by side, and load one after
 * another, each compared with what the one before it left. An abort ends the waiting. Fails with RUN_CONFLICT where the steps of
 * that run have not gone on for long: what waits may have the place that they need.
 */
export async function waitForTurn(
  { metadata, clock, note }: { metadata: Metadata; clock: Clock; note(text: string): void },
  { job, run }: Pick<RunRecord, 'job' | 'run'>,
  signal: AbortSignal,
): Promise<void> {
  let idleSince = clock.now()
  for (let said: string | undefined; !signal.aborted; ) {
    const active = await metadata.activeRuns(job)
    const before = active.find(other => other.run < run && isRunning(other, clock.now()))
    if (!before) return
    if (said !== before.run) note(`waits for run ${before.run}, which began before it, to load`)
    if (
      said !== before.run ||
      before.owner !== SHARED ||
      (await goingStep(metadata.database, clock, before.run)) !== undefined
    )
      idleSince = clock.now()
    if (clock.now().getTime() - idleSince.getTime() > IDLE_MS)
      throw new EngineError('RUN_CONFLICT', `${job}: run ${before.run} began before it and has not loaded`, {
        hint: `None of its steps has gone on for ten minutes. nightfreight cancel ${before.run} gives it up.`,
      })
    said = before.run
    await delay(POLL_INTERVAL_MS, undefined, { signal }).catch(() => {})
  }
}
