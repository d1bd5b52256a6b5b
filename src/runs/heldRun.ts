import type { Logger } from 'pino'
import { taskName } from '../../engine/contracts/taskName.ts'
import { EngineError, systemError } from '../../engine/errors.ts'
import type { Mask } from '../../engine/mask.ts'
import type { Outcome } from '../../engine/pipeline.ts'
import type { Lease } from '../metadata/leases.ts'
import { type RunRecord, runLease } from '../metadata/runs.ts'
import { RunMonitor } from '../sla/runMonitor.ts'
import type { JobSpec } from '../spec/job.ts'
import { shellWord } from '../util/shell.ts'
import type { Begun, UsableJob } from './begin.ts'
import { isCopy, SAME_COPY } from './copies.ts'
import { LiveRun } from './liveRun.ts'
import type { RunOptions } from './options.ts'
import { nothingYet } from './result.ts'
import { watchCancel } from './watchCancel.ts'

/** A run that this process holds: under whose lease it writes, what may end it, who watches it, what it found so far. */
export class HeldRun implements Disposable {
  readonly spec: JobSpec
  readonly record: RunRecord
  readonly resumed: boolean
  readonly step: Lease | undefined
  /** When this process began with it. */
  readonly started: Date
  readonly log: Logger
  readonly monitor: RunMonitor
  readonly live: LiveRun
  readonly mask: Mask
  readonly outcome: Outcome = nothingYet()
  /** Ends it at once. */
  readonly signal: AbortSignal
  /** Ends it at the next commit. */
  readonly stop: AbortSignal
  /** Whether it has kept by what it goes, so that it can be resumed. */
  canResume: boolean
  private readonly options: Pick<RunOptions, 'metadata' | 'progress' | 'home'>
  private readonly lost = new AbortController()
  private readonly until = new AbortController()
  private readonly released: (() => void)[]

  /** `step`: the lease of the step that this process does of a run that it shares with others. */
  constructor(options: RunOptions, { spec, mask }: UsableJob, { record, resumed }: Begun, step?: Lease) {
    const { metadata, clock, home, env, secrets } = options
    const { run, owner, fence } = record
    this.options = options
    this.spec = spec
    this.record = record
    this.resumed = resumed
    this.step = step
    this.canResume = resumed || step !== undefined
    this.mask = mask
    this.started = step ? new Date(record.started_at) : clock.now()
    this.log = options.log.child({ job: spec.job, run })
    this.live = new LiveRun(metadata, { run, fence }, clock)
    const lease = step ?? { name: runLease(run), owner, fence }
    const letGo = metadata.leases.keep(lease, error => this.lost.abort(error))
    const cancel = watchCancel(metadata, run)
    this.released = [cancel.close, letGo]
    this.signal = AbortSignal.any([options.signal, this.lost.signal, cancel.now])
    this.stop = AbortSignal.any([cancel.stop, this.until.signal, ...(options.stop ? [options.stop] : [])])
    const { log, outcome } = this
    const started = resumed ? new Date(record.started_at) : this.started
    this.monitor = new RunMonitor({
      spec,
      record,
      home,
      env,
      metadata,
      clock,
      log,
      secrets,
      outcome,
      started,
      note: options.progress.note,
    })
  }

  /** Whether it is no longer ours to write to, or cannot be reached. */
  get isLost(): boolean {
    return this.lost.signal.aborted
  }

  /** A load waits for a lock: noted, shown by status until it goes on, and told. */
  waits(target: string, wait: string): void {
    const { run, fence } = this.record
    const task = taskName('load', target)
    const text = `${target}: ${wait}`
    this.options.progress.note(text)
    this.log.warn({ task, wait }, 'a load waits for a lock')
    this.options.metadata.noteWait({ run, fence }, task, text).catch(() => {})
    this.live.waits(text)
    this.monitor.waits(target, wait)
  }

  /** Lets the run end as planned before all its tasks are done. */
  endHere(): void {
    this.until.abort()
  }

  /** Whether a failure means that it has ended where it was to end. */
  isEndedHere(error: unknown): boolean {
    return isInterrupted(error) && this.until.signal.aborted && !this.signal.aborted
  }

  /** Why the run failed: what ended it, where something did, and not the statement that this happened to hit. */
  causeOf(thrown: unknown): unknown {
    if (this.lost.signal.aborted) return this.lost.signal.reason
    if (this.signal.aborted) return this.interrupted(`${this.spec.job}: stopped at once, on request`)
    return isInterrupted(thrown) ? this.interrupted(thrown.message) : systemError(thrown)
  }

  [Symbol.dispose](): void {
    for (const release of this.released) release()
  }

  private interrupted(message: string): EngineError {
    return new EngineError('INTERRUPTED', message, { hint: this.wayOn() })
  }

  private wayOn(): string {
    const { run, goal, trigger } = this.record
    const { folder, environment } = this.spec
    if (environment !== undefined)
      return `Production knows nothing of it: nightfreight run ${shellWord(folder)} --env ${environment} starts another.`
    if (isCopy(this.options.home, folder)) return SAME_COPY
    if (trigger === 'restore' && !this.canResume) return 'Nothing was loaded: restore it anew.'
    if (goal === 'plan') return `nightfreight plan ${shellWord(folder)} goes on.`
    return this.canResume
      ? `What is committed is kept: nightfreight resume ${run} goes on.`
      : `Nothing of it is committed: nightfreight run ${shellWord(folder)} begins it again.`
  }
}

const isInterrupted = (error: unknown): error is EngineError =>
  error instanceof EngineError && error.code === 'INTERRUPTED'
