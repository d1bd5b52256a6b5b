import { setTimeout as delay } from 'node:timers/promises'
import { EXIT } from '../../engine/errors.ts'
import type { Claim, IntervalRecord, IntervalState, Intervals, OpenInterval } from '../metadata/intervals.ts'
import type { Metadata } from '../metadata/metadata.ts'
import { isDone } from '../metadata/runs.ts'
import type { Interval } from '../schedule/due.ts'
import { isLeft, reasonToWait } from './dependencies.ts'
import type { ScheduledJob } from './job.ts'
import type { Runner } from './runner.ts'

export interface BackfillOptions {
  metadata: Metadata
  job: ScheduledJob
  intervals: Interval[]
  /** Runs at once. */
  parallel: number
  /** Also those that have succeeded. */
  again: boolean
  runner: Runner
  signal: AbortSignal
  /** Told of each interval that has ended, what it waits for, or why it is not run. */
  note: (interval: Interval, what: string) => void
  /** Milliseconds until an interval that must wait is tried again. */
  pause?: number
}

/** Exit code of the first run that failed; 0. */
export type BackfillResult = number

/**
 * Runs the intervals of a job, oldest first. One that somebody else runs is left to them; one that must wait (for the
 * interval before it, or a free slot) is waited for, and a failure ends the backfill where the next depends on it.
 */
export async function backfill(options: BackfillOptions): Promise<BackfillResult> {
  const { intervals, parallel, signal, note, job } = options
  const left = [...intervals]
  let exit: number = EXIT.ok
  const lane = async () => {
    for (let interval = left.shift(); interval; interval = left.shift()) {
      if (signal.aborted) return
      const { code, what } = await runOne(options, interval)
      note(interval, what)
      if (code !== EXIT.ok) exit ||= code
      if (code !== EXIT.ok && job.dependsOnPast) left.length = 0
    }
  }
  await Promise.all(Array.from({ length: parallel }, lane))
  return signal.aborted ? EXIT.interrupted : exit
}

async function runOne(options: BackfillOptions, interval: Interval): Promise<{ code: number; what: string }> {
  const { metadata, job, runner, again, signal, note, pause = 2_000 } = options
  const { intervals } = metadata
  let told: string | undefined
  while (!signal.aborted) {
    const record = await intervals.demand({ job: job.name, ...interval })
    if (!isWanted(record.state, again)) return { code: EXIT.ok, what: `${record.state} already` }
    const found = await openOf(intervals, record)
    if (found && record.state === 'RUNNING' && isRun(found, intervals))
      return { code: EXIT.ok, what: `run ${found.run ?? ''} has it` }
    const wait = await reasonToWait(intervals, job, record)
    if (wait?.failed) return { code: EXIT.data, what: `not run: ${wait.reason}` }
    if (wait && wait.reason !== told) {
      told = wait.reason
      note(interval, `waits: ${told}; nightfreight intervals ${job.name} shows who has it`)
    }
    const [claim] = wait ? [] : await intervals.take([record])
    if (claim) {
      const end = interval.end.toISOString()
      const started = runner.start({ job, claim, end, trigger: 'backfill' })
      const code = (await started.catch(error => givenBack(intervals, claim, error))) ?? EXIT.retryable
      const begun = !(await intervals.letGo(claim))
      const { state } = (await intervals.find(job.name, record.interval_start))!
      // Its owner, thought to be gone, has ended it.
      if (code === EXIT.retryable && !isWanted(state, again)) return { code: EXIT.ok, what: state }
      // Where the run has not begun there was no free slot for it, or its owner, thought to be gone, goes on with it.
      const left = await openOf(intervals, record)
      const isOthers = state === 'RUNNING' && left !== undefined && isRun(left, intervals)
      // Nor where the process could not reach the store that its run was to be taken over in.
      const isUntouched = left !== undefined && left.run === found?.run && left.attempt === found?.attempt
      if (code !== EXIT.retryable || (begun && !isOthers && !isUntouched)) return { code, what: state }
    }
    await delay(pause, undefined, { signal }).catch(() => {})
  }
  return { code: EXIT.interrupted, what: 'not run: stopped' }
}

/** Gives an interval back whose process could not be started, and fails as that did. */
async function givenBack(intervals: Intervals, claim: Claim, error: unknown): Promise<never> {
  await intervals.letGo(claim)
  throw error
}

/** An interval with the state of its run; undefined where it has ended. */
const openOf = async (intervals: Intervals, record: IntervalRecord): Promise<OpenInterval | undefined> =>
  (await intervals.open()).find(each => isSame(each, record))

/** Whether somebody has an interval who is still there. */
const isRun = (interval: OpenInterval, intervals: Intervals) => !isLeft(interval, intervals.now())

/** Whether a backfill runs an interval that is in this state. */
export const isWanted = (state: IntervalState | undefined, again: boolean) =>
  state === undefined || again || !isDone(state)

const isSame = (a: OpenInterval, b: { job: string; interval_start: string }) =>
  a.job === b.job && a.interval_start === b.interval_start
