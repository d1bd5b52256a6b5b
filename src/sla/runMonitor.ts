import type { Logger } from 'pino'
import { isOfKind, subjectOf, type TaskName, taskName } from '../../engine/contracts/taskName.ts'
import type { Clock } from '../../engine/contracts/tasks.ts'
import { type ErrorCode, errorData } from '../../engine/errors.ts'
import type { Outcome } from '../../engine/pipeline.ts'
import type { ProgressListener } from '../../engine/runtime/context.ts'
import { Alerts, type Delivery } from '../alerts/alerts.ts'
import { type CommandPlace, runInterval, statusOf } from '../alerts/remedy.ts'
import { type AlertedRun, alertOf, type EndedRun, endAlert, typed } from '../alerts/runAlerts.ts'
import {
  type AlertRecord,
  type Counted,
  LOG,
  openAlerts,
  type RaisedAlert,
  resolveAlerts,
} from '../metadata/alerts.ts'
import type { Metadata } from '../metadata/metadata.ts'
import { isDone, type RunRecord } from '../metadata/runs.ts'
import { isUntold } from '../metadata/untoldAlerts.ts'
import { keepViolations, pastTasks } from '../metadata/violations.ts'
import { type Alert, isOfRun } from '../spec/alert.ts'
import type { JobSpec } from '../spec/job.ts'
import { siteOf } from '../util/site.ts'
import { forecast, type PastTask, type Progress } from './forecast.ts'
import { dataLag, figure, hours, judge, type SlaResult } from './targets.ts'

export interface WatchOptions {
  spec: JobSpec
  record: RunRecord
  /** Where staging and reports are kept. */
  home: string
  env: Record<string, string | undefined>
  metadata: Metadata
  clock: Clock
  log: Logger
  secrets: readonly string[]
  /** Filled by the run as it goes. */
  outcome: Outcome
  /** When the run began, for its duration. */
  started: Date
  /** Tells whoever sees the run's output. */
  note: (text: string) => void
}

/** Milliseconds between two looks at a run that goes on. */
const POLL_INTERVAL_MS = 5000
/** Earlier runs that a forecast goes by. */
const EARLIER = 7
const NOT_TOLD = 'the alerts of the end of the run failed'

/**
 * Watches one run: its targets while it goes on and at its end, and whom to tell. Nothing that fails here fails the
 * run.
 */
export class RunMonitor {
  private readonly options: WatchOptions
  private readonly alerts: Alerts
  private readonly tables = new Map<string, Progress>()
  private readonly told = new Set<string>()
  /** Channels that did not take an alert. */
  private readonly deaf = new Set<string>()
  private timer: NodeJS.Timeout | undefined
  private past: PastTask[] | undefined
  private looking: Promise<void> | undefined
  /** Looks in a row that foresaw the end too late. */
  private lateLooks = 0

  constructor(options: WatchOptions) {
    this.options = options
    const { spec, clock, log, secrets, metadata, env } = options
    this.alerts = new Alerts(spec.alerts, {
      database: metadata.database,
      clock,
      log,
      secrets,
      site: siteOf(env),
    })
    if (spec.sla) this.timer = setInterval(() => this.look(), POLL_INTERVAL_MS).unref()
  }

  private get place(): CommandPlace {
    const { spec, home, env } = this.options
    return { folder: spec.folder, home, env }
  }

  /** The progress given, heard. */
  progress(inner: ProgressListener): ProgressListener {
    const { clock, spec } = this.options
    return {
      ...inner,
      started: (task, rows) => {
        this.tables.set(task, {
          task: connectionTask(spec, task),
          start: clock.now().getTime(),
          rows: 0,
          ...(rows !== undefined && { of: rows }),
        })
        inner.started(task, rows)
      },
      advanced: (task, rows) => {
        const table = this.tables.get(task)
        if (table) table.rows += rows
        inner.advanced(task, rows)
      },
      finished: (task, note) => {
        this.tables.delete(task)
        this.look()
        inner.finished(task, note)
      },
      retried: (task, error) => {
        this.retried(task, error)
        inner.retried?.(task, error)
      },
    }
  }

  /** Tells that a run, or one of its tasks, is begun again, and why. */
  retried(what: string, error?: unknown): void {
    const { spec, record, clock } = this.options
    const { code, message } = error === undefined ? {} : errorData(error)
    void this.raise(
      alertOf(record, clock.now(), {
        kind: 'retry',
        severity: 'INFO',
        cause: [what, ...(code ? [code satisfies ErrorCode] : [])].join(' '),
        title: `${spec.job}: ${what} is begun again`,
        what: message ?? 'It goes on where it was interrupted.',
      }),
    )
  }

  /** Tells that a load waits for a lock, and who holds it. */
  waits(target: string, wait: string): void {
    const { spec, record, clock } = this.options
    void this.raise(
      alertOf(record, clock.now(), {
        kind: 'sla',
        severity: 'MEDIUM',
        cause: `lock ${target}`,
        title: `${spec.job}: the load of ${target} waits for a lock`,
        what: `${target}: ${wait}. It goes on once the lock is given back; timeouts.lock of job.yaml says how long it waits.`,
        ...typed(this.place, statusOf(this.place, record.run)),
      }),
    )
  }

  /** Judges the run for good and keeps its violations; each SLA target, kept or not. */
  async judged(): Promise<SlaResult[]> {
    clearInterval(this.timer)
    this.timer = undefined
    await this.looking
    if (!this.options.spec.sla) return []
    const targets = this.judge()
    await this.violated(targets)
    return targets
  }

  /** What is to be told of the run's end, to be counted with it; undefined: nothing. */
  alertOf(ended: EndedRun): RaisedAlert | undefined {
    try {
      const alert = endAlert(this.alerted, ended, this.options.clock.now())
      return alert && this.alerts.prepared(alert)
    } catch (error) {
      this.options.log.error({ reason: errorData(error).message }, NOT_TOLD)
      return undefined
    }
  }

  /**
   * Tells of the run's end, as it was counted, of what could not be told before, and of the recovery from earlier
   * failures; waits until all is told, or for a while.
   */
  async ended(ended: EndedRun, alert: RaisedAlert | undefined, counted?: Counted[]): Promise<void> {
    const { spec, clock, log } = this.options
    try {
      if (alert) this.noteDeaf(await this.alerts.send(alert, counted))
      this.noteDeaf(await this.alerts.again(spec.job))
      // What is told on the way comes first, or it would be noted after its cause is gone.
      await this.alerts.settled()
      if (!isDone(ended.status)) return
      const failed = await this.resolved()
      if (failed.length === 0) return
      const times = failed.reduce((sum, each) => sum + each.times, 0)
      await this.raise({
        ...alertOf(this.alerted, clock.now(), {
          kind: 'recovery',
          severity: 'INFO',
          cause: 'recovery',
          title: `${spec.job}: works again`,
          what: `The run succeeded; before it, the job failed ${times === 1 ? 'once' : `${times} times`} since ${failed[0]!.first_at}.`,
        }),
        targets: this.alerted.targets.map(to => `${to}: committed, complete`),
        report: ended.report,
      })
    } catch (error) {
      log.error({ reason: errorData(error).message }, NOT_TOLD)
    }
  }

  private get alerted(): AlertedRun {
    const { spec, record } = this.options
    const { interval_start: start, trigger } = record
    const interval = start === null ? undefined : runInterval(start, trigger)
    const targets = [...new Set(spec.loads.map(({ to }) => to))]
    return { job: spec.job, run: record.run, ...this.place, targets, ...(interval && { interval }) }
  }

  /** Notes that what was told of the job is over; gives its failures. One that nobody has taken yet is still to be told. */
  private async resolved(): Promise<AlertRecord[]> {
    const { spec, metadata, clock } = this.options
    const now = clock.now()
    const open = await openAlerts(metadata.database, spec.job)
    const gone = open.filter(record => {
      const { kind, key } = record
      if (kind === 'failure') return !isUntold(record, now)
      return kind === 'retry' || (kind === 'sla' && !this.told.has(key))
    })
    await resolveAlerts(metadata.database, gone)
    return open.filter(record => isOfRun(record) && record.channel === LOG)
  }

  private async raise(alert: Alert): Promise<void> {
    this.noteDeaf(await this.alerts.raise(alert))
  }

  /** A channel that does not take an alert is told to whoever sees the run's output, once. */
  private noteDeaf(deliveries: Delivery[]): void {
    for (const { channel, state, error } of deliveries) {
      if (state !== 'failed' || this.deaf.has(channel)) continue
      this.deaf.add(channel)
      this.options.note(`an alert was not sent to ${channel}: ${error}`)
    }
  }

  private look(): void {
    if (!this.timer || this.looking) return
    this.looking = this.lookNow()
      .catch(error => this.options.log.error({ reason: errorData(error).message }, 'the SLA was not checked'))
      .finally(() => {
        this.looking = undefined
      })
  }

  private async lookNow(): Promise<void> {
    const targets = this.judge()
    await this.violated(targets)
    if (targets.some(({ type, kept }) => type === 'DURATION_EXCEEDED' && kept)) await this.foresee()
  }

  private judge(): SlaResult[] {
    const { spec, record, clock, outcome, started } = this.options
    const { quality } = outcome
    const lag = dataLag(outcome.extracted, new Date(record.run_at))
    return judge(spec.sla!, {
      duration: clock.now().getTime() - started.getTime(),
      ...(lag && { dataLag: lag.millis }),
      errorRate: quality.errorRate,
      qualityScore: quality.score,
      of: {
        ...(lag && { dataLag: lag.extract }),
        ...(quality.worst && { errorRate: quality.worst.name }),
        ...(quality.lowest !== undefined && { qualityScore: quality.lowest }),
      },
    })
  }

  private async violated(targets: SlaResult[]): Promise<void> {
    const { spec, record, metadata, clock, log } = this.options
    const missed = targets.filter(({ kept }) => !kept)
    try {
      const kept = missed.map(({ type, severity, expected, actual }) => ({
        type,
        severity,
        expected,
        actual,
      }))
      await keepViolations(metadata.database, record, kept, clock.now().toISOString())
    } catch (error) {
      log.error({ reason: errorData(error).message }, 'SLA violations were not kept')
    }
    for (const { type, severity, expected, actual, about } of missed)
      this.tell(
        type,
        severity,
        `${about}: ${figure(type, actual)}; target ${figure(type, expected)}.`,
        spec.job,
      )
  }

  private async foresee(): Promise<void> {
    const { spec, record, metadata, clock, started } = this.options
    this.past ??= await pastTasks(metadata.database, spec.job, EARLIER)
    const tasks = (await metadata.tasks(record.run)).map(({ task, started_at, ended_at }) => ({
      task,
      start: Date.parse(started_at),
      ...(ended_at !== null && { end: Date.parse(ended_at) }),
    }))
    const end = forecast(clock.now().getTime(), tasks, [...this.tables.values()], this.past)
    const expected = end === undefined ? 0 : end - started.getTime()
    const limit = spec.sla!.maxDuration!
    this.lateLooks = expected > limit ? this.lateLooks + 1 : 0
    // One look may fall on a moment that says little.
    if (this.lateLooks < 2) return
    this.tell(
      'DURATION_AT_RISK',
      'MEDIUM',
      `Run time: will be about ${hours(expected / 3600_000)}, going by its progress and earlier runs; target ${hours(limit / 3600_000)}. It goes on.`,
      spec.job,
    )
  }

  private tell(cause: string, severity: 'HIGH' | 'MEDIUM', what: string, job: string): void {
    const { record, clock } = this.options
    const alert = alertOf(record, clock.now(), {
      kind: 'sla',
      severity,
      cause,
      title: `${job}: ${cause}`,
      what,
      ...typed(this.place, statusOf(this.place, record.run)),
    })
    const key = `${job}/sla/${cause}`
    if (this.told.has(key)) return
    this.told.add(key)
    this.options.note(`SLA: ${what}`)
    void this.raise(alert)
  }
}

// Progress is by table; tasks are by connection.
function connectionTask({ extracts, loads }: JobSpec, task: TaskName): TaskName {
  const table = subjectOf(task)
  const read = isOfKind(task, 'extract') ? extracts.find(({ name }) => name === table) : undefined
  if (read) return taskName('extract', read.from)
  const load = isOfKind(task, 'load') ? loads.find(each => each.table === table) : undefined
  return load ? taskName('load', load.to) : task
}
