import type { Logger } from 'pino'
import { errorData } from '../../engine/errors.ts'
import { limitLogs, logStatus } from '../runs/changeLogs.ts'
import type { ServiceAlerts } from './alerts.ts'
import type { ScheduledJob } from './job.ts'

/** What a server keeps of its log for a job. */
export interface KeptLog {
  job: string
  connection: string
  bytes: number
}

/** Milliseconds that a look at the servers of one job may take. */
const LOOK_MS = 20_000

/** Looks at what servers keep of their logs for jobs, whether these run or not; has them drop what is beyond a limit. */
export class KeptLogs {
  /** As it was last seen. */
  logs: KeptLog[] = []
  private readonly log: Logger
  private readonly alerts: ServiceAlerts
  private isLooking = false
  /** Looks at jobs that read no log. */
  private turns = 0

  constructor(log: Logger, alerts: ServiceAlerts) {
    this.log = log
    this.alerts = alerts
  }

  /** One look; nobody waits for it, since a server may not answer. */
  look(jobs: Iterable<ScheduledJob>): void {
    if (this.isLooking) return
    this.isLooking = true
    void this.lookAt([...jobs]).finally(() => {
      this.isLooking = false
    })
  }

  private async lookAt(jobs: ScheduledJob[]): Promise<void> {
    const found: KeptLog[] = []
    for (const job of this.due(jobs)) {
      const { name } = job
      const logged = job.logged!
      try {
        for (const log of await limitLogs(logged, AbortSignal.timeout(LOOK_MS)))
          if (log.extracts.length > 0) await this.alerts.logDropped(job, log)
          else
            this.log.warn(
              { job: name, ...log },
              'a log that it reads no more was kept for it, and is no more',
            )
        for (const { connection, exists, bytes } of await logStatus(logged, AbortSignal.timeout(LOOK_MS)))
          if (exists && bytes !== undefined) found.push({ job: name, connection, bytes })
      } catch (error) {
        // What was seen before is still the best that is known.
        found.push(...this.logs.filter(({ job }) => job === name))
        this.log.warn({ job: name, error: errorData(error) }, 'what is kept of its log is not known')
      }
    }
    this.logs = found
  }

  /** Jobs that read logs, or for which one was kept at the last look; and one of the many others, of which few may ever have read one. */
  private due(jobs: ScheduledJob[]): ScheduledJob[] {
    const isKnown = ({ name, logged }: ScheduledJob) =>
      logged!.extracts.some(({ changes }) => changes) || this.logs.some(({ job }) => job === name)
    const found = Map.groupBy(
      jobs.filter(({ logged }) => logged),
      isKnown,
    )
    const [due, others] = [found.get(true) ?? [], found.get(false) ?? []]
    return others.length === 0 ? due : [...due, others[this.turns++ % others.length]!]
  }
}
