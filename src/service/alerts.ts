import { join } from 'node:path'
import type { EngineError } from '../../engine/errors.ts'
import { counted } from '../../engine/plural.ts'
import type { AlertWorld } from '../alerts/alerts.ts'
import { Alerts } from '../alerts/alerts.ts'
import {
  backfillOf,
  type CommandPlace,
  doctorOf,
  type FailedRun,
  fullRefreshOf,
  intervalsOf,
  remedy,
} from '../alerts/remedy.ts'
import { alertOf, failureAlert, typed } from '../alerts/runAlerts.ts'
import { readAlertsAlone } from '../config/alertsAlone.ts'
import { untoldAlerts } from '../metadata/untoldAlerts.ts'
import type { LimitedLog } from '../runs/changeLogs.ts'
import type { Alert } from '../spec/alert.ts'
import { siteOf } from '../util/site.ts'
import { someOf } from '../util/someOf.ts'
import { megabytes } from '../util/units.ts'
import type { Blocked } from './dependencies.ts'
import type { ScheduledJob } from './job.ts'
import type { Missed } from './planner.ts'
import type { FailedStarts } from './starts.ts'

/** Milliseconds in which one thing is told once; how often it is sent after that, the job's `repeat_after` says. */
const REPEAT_MS = 600_000

export interface ServiceAlertsOptions extends Omit<AlertWorld, 'secrets' | 'site'> {
  home: string
  env: Record<string, string | undefined>
}

/** Tells what no run can tell: jobs that cannot be used, schedules that stand still, starts that were missed. */
export class ServiceAlerts {
  private readonly options: ServiceAlertsOptions
  private readonly told = new Map<string, number>()
  private sending: Promise<void> | undefined

  constructor(options: ServiceAlertsOptions) {
    this.options = options
  }

  /** A job's files cannot be used: none of its runs is begun. */
  unusable(job: string, folder: string, error: unknown): Promise<void> {
    const { home, env, clock } = this.options
    return this.tell(folder, failureAlert({ job, folder, home, env }, error, clock.now()))
  }

  /** Intervals of a job wait for one that has failed. */
  blocked({ name, folder, cron }: ScheduledJob, { reason, since, waiting, failed }: Blocked): Promise<void> {
    const place = this.placeOf(folder)
    return this.tellOf(name, place, {
      cause: 'blocked',
      title: `${name}: the schedule is blocked`,
      what: `${counted(waiting, 'data interval')} ${waiting === 1 ? 'waits' : 'wait'} since ${since}: ${reason}. Nothing is run until that has succeeded.`,
      // A run by hand settles intervals that are of no schedule of the job's own.
      command: cron ? backfillOf(place, failed) : remedy(place, undefined),
    })
  }

  /** A run of a job is started again and again, and does not begin. */
  stuck({ name, folder, cron }: ScheduledJob, { start, since, reason }: FailedStarts): Promise<void> {
    const place = this.placeOf(folder)
    return this.tellOf(name, place, {
      cause: 'start',
      title: `${name}: its run does not begin`,
      what: `Since ${since.toISOString()} each start of the data interval ${start} has led to no run: ${reason}. It is tried again; ${join(place.home, 'runs.log')} has what its process said.`,
      command: cron ? backfillOf(place, start) : remedy(place, undefined),
    })
  }

  /** A folder whose files are to start a job cannot be read: what arrives there starts nothing. */
  unseen({ name, folder }: ScheduledJob, { message, hint }: EngineError): Promise<void> {
    const place = this.placeOf(folder)
    return this.tellOf(name, place, {
      cause: 'files',
      title: `${name}: files that are to start it cannot be seen`,
      what: `${message}. What arrives there starts no run.${hint ? ` ${hint}` : ''}`,
      command: doctorOf(place),
    })
  }

  /** Jobs of this service that the one which leads does not have. */
  unserved({ name, folder }: ScheduledJob, jobs: readonly string[], leader: string): Promise<void> {
    const place = this.placeOf(folder)
    return this.tellOf(name, place, {
      cause: 'not served',
      title: `${name}: no service begins its runs`,
      what: `Of services on one store only one begins runs, and the one that leads now (${leader}) does not have ${someOf(jobs)}. Start all of them with the same folders, or give each a store of its own.`,
      command: intervalsOf(place, name),
    })
  }

  /** A run was killed so often that it is not begun again. */
  gaveUp({ name, folder }: ScheduledJob, failed: FailedRun, error: EngineError): Promise<void> {
    const { home, env, clock } = this.options
    return this.tell(folder, failureAlert({ job: name, folder, home, env }, error, clock.now(), failed))
  }

  /** An interval was planned long after its end, or intervals were passed over. */
  missed({ name, folder }: ScheduledJob, { due, passedOver }: Missed): Promise<void> {
    const place = this.placeOf(folder)
    const minutes = Math.round((this.options.clock.now().getTime() - due.getTime()) / 60_000)
    const what = `It was due at ${due.toISOString()} and begins only now, ${counted(minutes, 'minute')} later: no scheduler was running.`
    const command = passedOver
      ? backfillOf(place, passedOver.first.toISOString(), passedOver.last.toISOString())
      : intervalsOf(place, name)
    return this.tellOf(name, place, {
      cause: 'missed start',
      title: `${name}: did not start when it should`,
      what: passedOver
        ? `${what} ${passedOver.isMore ? 'More than ' : ''}${counted(passedOver.count, 'earlier data interval')} ${passedOver.count === 1 ? 'is' : 'are'} passed over (catchup: false).`
        : what,
      command,
    })
  }

  /** What is planned of a job ends in the future: nothing more is planned until then. */
  ahead({ name, folder }: ScheduledJob, end: Date): Promise<void> {
    const place = this.placeOf(folder)
    return this.tellOf(name, place, {
      cause: 'clock',
      title: `${name}: nothing is planned before ${end.toISOString()}`,
      what: `Data intervals of it end as late as ${end.toISOString()}, and this machine's clock was ahead when they were planned, or is behind now. Where its time is right, forget them.`,
      command: intervalsOf(place, name, '--forget-future'),
    })
  }

  /** A server kept more of its log for a job than allowed, and keeps none now. */
  logDropped(
    { name, folder }: ScheduledJob,
    { connection, extracts, bytes, limit }: LimitedLog,
  ): Promise<void> {
    const place = this.placeOf(folder)
    return this.tellOf(name, place, {
      cause: `log of ${connection}`,
      title: `${name}: ${connection} keeps no log for it any more`,
      what: `The server kept ${megabytes(bytes)} of its log for ${extracts.join(', ')}, and may keep ${megabytes(limit)} (max_kept_log): its replication slot was dropped. Changes since the last run can only be found by reading the tables whole.`,
      command: fullRefreshOf(place),
    })
  }

  /** Sends alerts again that no channel took, and those whose sender was killed, of all jobs that are served. */
  again(jobs: ReadonlyMap<string, Pick<ScheduledJob, 'folder'>>): void {
    this.sending ??= this.sendAgain(jobs)
      .catch(error => this.options.log.error({ reason: String(error) }, 'alerts could not be sent again'))
      .finally(() => {
        this.sending = undefined
      })
  }

  private async sendAgain(jobs: ReadonlyMap<string, Pick<ScheduledJob, 'folder'>>): Promise<void> {
    const { database, clock } = this.options
    for (const job of new Set((await untoldAlerts(database, clock.now())).map(each => each.job))) {
      const found = jobs.get(job)
      if (found) await (await this.alertsOf(found.folder)).again(job)
    }
  }

  private async alertsOf(folder: string): Promise<Alerts> {
    const { home, env, ...world } = this.options
    const { alerts, secrets } = await readAlertsAlone(folder, home, env)
    return new Alerts(alerts, { ...world, secrets, site: siteOf(env) })
  }

  private placeOf(folder: string): CommandPlace {
    const { home, env } = this.options
    return { folder, home, env }
  }

  /** Tells of a job's schedule, with what to type. */
  private tellOf(
    job: string,
    place: CommandPlace,
    { command, ...said }: Pick<Alert, 'cause' | 'title' | 'what'> & { command: string },
  ): Promise<void> {
    const alert = { kind: 'failure', severity: 'HIGH', ...said, ...typed(place, command) } as const
    return this.tell(place.folder, alertOf({ job }, this.options.clock.now(), alert))
  }

  private async tell(folder: string, alert: Alert): Promise<void> {
    const key = `${alert.job} ${alert.cause} ${alert.what}`
    const now = performance.now()
    if (now - (this.told.get(key) ?? Number.NEGATIVE_INFINITY) < REPEAT_MS) return
    this.told.set(key, now)
    try {
      await (await this.alertsOf(folder)).raise(alert)
    } catch (error) {
      this.options.log.error({ reason: String(error) }, 'an alert of the service failed')
    }
  }
}
