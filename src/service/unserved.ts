import type { Logger } from 'pino'
import type { Held } from '../metadata/leases.ts'
import type { ServiceAlerts } from './alerts.ts'
import type { ScheduledJob } from './job.ts'

/** Milliseconds in which the service that leads must have read a job's files, too. */
const READ_MS = 90_000

/** Jobs of a service that stands by, and that the one which leads does not have: nobody begins their runs. */
export class Unserved {
  private readonly log: Logger
  private readonly alerts: Pick<ServiceAlerts, 'unserved'> | undefined
  private readonly since = new Map<string, number>()
  /** For a while already. */
  names: readonly string[] = []

  constructor(log: Logger, alerts: Pick<ServiceAlerts, 'unserved'> | undefined) {
    this.log = log
    this.alerts = alerts
  }

  /** Compares jobs with those that the leader tells of. */
  look(own: ReadonlyMap<string, ScheduledJob>, { owner, note }: Held, now: Date): void {
    // One of an older version tells of none.
    const led = note === null ? undefined : new Set<string>(JSON.parse(note))
    const lacking = new Set(led ? [...own.keys()].filter(name => !led.has(name)) : [])
    for (const name of this.since.keys()) if (!lacking.has(name)) this.since.delete(name)
    for (const name of lacking) if (!this.since.has(name)) this.since.set(name, now.getTime())
    const names = [...this.since].filter(([, from]) => now.getTime() - from >= READ_MS).map(([name]) => name)
    if (names.some(name => !this.names.includes(name)))
      this.log.warn({ jobs: names, leader: owner }, 'nobody begins runs of these jobs: who leads has others')
    this.names = names
    if (names.length > 0) void this.alerts?.unserved(own.get(names[0]!)!, names, owner)
  }
}

/** What is told of jobs that a leader has. */
export const noteOf = (jobs: ReadonlyMap<string, ScheduledJob>): string =>
  JSON.stringify([...jobs.keys()].sort())
