import type { Alert } from '../spec/alert.ts'
import type { Database } from './database.ts'

/** What became of an alert in one channel. */
export type AlertState =
  /** On its way. */
  | 'sending'
  | 'sent'
  /** The channel did not take it. */
  | 'failed'
  /** Its cause is gone: the next one is the first again. */
  | 'resolved'

export interface AlertRecord {
  key: string
  channel: string
  job: string
  run: string | null
  kind: Alert['kind']
  severity: Alert['severity']
  state: AlertState
  /** JSON: `alert`, and `error` where the channel failed. */
  payload: string
  /** How often since the cause was last gone. */
  times: number
  first_at: string
  sent_at: string | null
}

/** An alert counted in one channel; `due`: it is to be sent now. */
export interface Counted {
  channel: string
  times: number
  firstAt: string
  due: boolean
}

/** By how much the clock may have been ahead of ours when an alert was sent: beyond that, its time says nothing. */
const MOST_SKEW_MS = 300_000

/**
 * Counts an alert in each channel, and claims those in which it was not sent since `since`: of several processes one
 * sends it.
 */
export function countAlert(
  database: Database,
  key: string,
  alert: Alert,
  channels: string[],
  since: string,
): Promise<Counted[]> {
  const ahead = new Date(Date.parse(alert.at) + MOST_SKEW_MS).toISOString()
  return database.transaction(async queries => {
    const counted: Counted[] = []
    for (const channel of channels) {
      const [known] = await queries.all<AlertRecord>(
        'SELECT * FROM alerts WHERE key = :key AND channel = :channel',
        { key, channel },
      )
      const open = known && known.state !== 'resolved' ? known : undefined
      const due = !open?.sent_at || open.sent_at < since || open.sent_at > ahead
      const row = {
        key,
        channel,
        job: alert.job,
        run: alert.run ?? null,
        kind: alert.kind,
        severity: alert.severity,
        state: due ? 'sending' : open.state,
        payload: JSON.stringify({ alert }),
        times: (open?.times ?? 0) + 1,
        first_at: open?.first_at ?? alert.at,
        sent_at: due ? alert.at : open.sent_at,
      }
      await queries.run(
        `INSERT INTO alerts (key, channel, job, run, kind, severity, state, payload, times, first_at, sent_at)
         VALUES (:key, :channel, :job, :run, :kind, :severity, :state, :payload, :times, :first_at, :sent_at)
         ON CONFLICT (key, channel) DO UPDATE SET run = :run, severity = :severity, state = :state,
           payload = :payload, times = :times, first_at = :first_at, sent_at = :sent_at`,
        row,
      )
      counted.push({ channel, times: row.times, firstAt: row.first_at, due })
    }
    return counted
  })
}

/** Notes what became of a claimed alert; one that failed is due again the next time. */
export async function settleAlert(
  database: Database,
  key: string,
  channel: string,
  alert: Alert,
  error?: string,
): Promise<void> {
  await database.run(
    `UPDATE alerts SET state = :state, payload = :payload, sent_at = CASE WHEN CAST(:state AS TEXT) = 'sent' THEN sent_at END
     WHERE key = :key AND channel = :channel AND state = 'sending'`,
    {
      key,
      channel,
      state: error === undefined ? 'sent' : 'failed',
      payload: JSON.stringify({ alert, ...(error !== undefined && { error }) }),
    },
  )
}

/** A job's alerts whose cause is not gone, oldest first. */
export function openAlerts(database: Database, job: string): Promise<AlertRecord[]> {
  return database.all(
    `SELECT * FROM alerts WHERE job = :job AND state <> 'resolved' ORDER BY first_at, key, channel`,
    { job },
  )
}

/** Notes that the causes of some alerts are gone. */
export async function resolveAlerts(database: Database, keys: string[]): Promise<void> {
  for (const key of new Set(keys))
    await database.run(`UPDATE alerts SET state = 'resolved' WHERE key = :key`, { key })
}

/** The latest alerts, newest first; of one job where it is named. */
export function latestAlerts(database: Database, limit: number, job?: string): Promise<AlertRecord[]> {
  return database.all(
    `SELECT * FROM alerts ${job ? 'WHERE job = :job' : ''}
     ORDER BY coalesce(sent_at, first_at) DESC, key, channel LIMIT :limit`,
    { limit, ...(job && { job }) },
  )
}
