import { resolve } from 'node:path'
import type { Logger } from 'pino'
import type { Clock } from '../../engine/contracts/tasks.ts'
import { Alerts } from '../alerts/alerts.ts'
import { runInterval } from '../alerts/remedy.ts'
import { failureAlert } from '../alerts/runAlerts.ts'
import { readAlertsAlone } from '../config/alertsAlone.ts'
import type { Database } from '../metadata/database.ts'
import { siteOf } from '../util/site.ts'
import { jobNameOf } from './jobName.ts'
import type { RunOptions } from './options.ts'

export interface Refusal {
  folder: string
  env: Record<string, string | undefined>
  home: string
  clock: Clock
  log: Logger
  secrets: string[]
  /** The data interval that the run was to be for. */
  interval?: RunOptions['interval']
}

/** A store that is not there: who tells of that cannot count how often. */
const NOWHERE: Database = {
  all: () => Promise.reject(new Error('there is no metadata store')),
  run: () => Promise.reject(new Error('there is no metadata store')),
  transaction: () => Promise.reject(new Error('there is no metadata store')),
  migrate: () => Promise.reject(new Error('there is no metadata store')),
  close: async () => {},
}

/** Tells of what kept a job's run from being begun: its files cannot be used, or the metadata store cannot be opened. */
export async function tellRefused(
  { folder: given, env, home, clock, log, secrets, interval }: Refusal,
  error: unknown,
  database: Database = NOWHERE,
): Promise<void> {
  const folder = resolve(given)
  try {
    const { alerts, secrets: own } = await readAlertsAlone(folder, home, env)
    secrets.push(...own)
    const job = jobNameOf(folder)
    const failed = interval && {
      isBegun: false,
      interval: runInterval(interval.claim.start, interval.trigger),
    }
    await new Alerts(alerts, { database, clock, log, secrets, site: siteOf(env) }).raise(
      failureAlert({ job, folder, home, env }, error, clock.now(), failed),
    )
  } catch (failure) {
    log.error({ reason: String(failure) }, 'what kept a run from being begun could not be told')
  }
}
