import type { Alert } from '../spec/alert.ts'
import type { Database, Queries } from './database.ts'

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
  /** JSON: {@link AlertPayload}. */
  payload: string
  /** How often since the cause was last gone. */
  times: number
  first_at: string
  sent_at: string | null
}

export interface AlertPayload {
  alert: Alert
  /** Why the channel did not take it, how often in a row, and when it was tried last. */
  error?: string
  tries?: number
  triedAt?: string
}

/** Where every alert is noted, whatever channels there are. */
export const LOG = 'log'

/** An alert counted in one channel; `due`: it is to be sent now. */
export interface Counted {
  channel: string
  times: number
  firstAt: string
  due: boolean
}

/** By how much the clock may have been ahead of ours when an alert was sent: beyond that, its time says nothing. */
const MOST_SKEW_MS = 300_000

/** Milliseconds after which nobody sends an alert any more that is on its way, whatever the clocks of two machines differ by. */
const LONGEST_WAY_MS = 120_000

/** Whether an alert is on its way for so long that whoever sent it is gone. */
export function isLeft({ state, sent_at }: AlertRecord, now: number): boolean {
  const since = now - Date.parse(sent_at!)
  return state === 'sending' && (since > LONGEST_WAY_MS || since < -MOST_SKEW_MS)
}

/** An alert, the channels that it goes to, and since when it must not have been sent to be due. */
export interface RaisedAlert {
  key: string
  alert: Alert
  channels: string[]
  since: string
}

/**
 * Counts an alert in each channel, within a transaction, and claims those in which it was not sent since `since`: of
 * several processes one sends it.
 */
export async function countAlert(
  queries: Queries,
  { key, alert, channels, since }: RaisedAlert,
): Promise<Counted[]> {
  const at = Date.parse(alert.at)
  const ahead = new Date(at + MOST_SKEW_MS).toISOString()
  const counted: Counted[] = []
  for (const channel of channels) {
    const [known] = await queries.all<AlertRecord>(
      'SELECT * FROM alerts WHERE key = :key AND channel = :channel',
      { key, channel },
    )
    const open = known && known.state !== 'resolved' ? known : undefined
    const due = !open?.sent_at || open.sent_at < since || open.sent_at > ahead || isLeft(open, at)
    const row = {
      key,
      channel,
      job: alert.job,
      run: alert.run ?? null,
      kind: alert.kind,
      severity: alert.severity,
      state: due ? 'sending' : open.state,
      payload: JSON.stringify({ alert } satisfies AlertPayload),
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
}

/** A claimed alert that was sent, or was not taken. */
export interface SettledAlert {
  key: string
  channel: string
  alert: Alert
  /** How often it was not taken before. */
  tries: number
}

/** Notes what became of a claimed alert; one that failed is due again the next time. */
export async function settleAlert(
  database: Database,
  { key, channel, alert, tries }: SettledAlert,
  at: Date,
  error?: string,
): Promise<void> {
  const failed = error !== undefined && { error, tries: tries + 1, triedAt: at.toISOString() }
  // Its cause may be gone meanwhile, as the log knows.
  const state = `CASE WHEN CAST(:state AS TEXT) = 'sent' AND EXISTS (
      SELECT 1 FROM alerts noted WHERE noted.key = :key AND noted.channel = '${LOG}' AND noted.state = 'resolved'
    ) THEN 'resolved' ELSE CAST(:state AS TEXT) END`
  await database.run(
    `UPDATE alerts SET state = ${state}, payload = :payload, sent_at = CASE WHEN CAST(:state AS TEXT) = 'sent' THEN sent_at END
     WHERE key = :key AND channel = :channel AND state = 'sending'`,
    {
      key,
      channel,
      state: error === undefined ? 'sent' : 'failed',
      payload: JSON.stringify({ alert, ...failed } satisfies AlertPayload),
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
export async function resolveAlerts(
  database: Database,
  alerts: Pick<AlertRecord, 'key' | 'channel'>[],
): Promise<void> {
  for (const { key, channel } of alerts)
    await database.run(`UPDATE alerts SET state = 'resolved' WHERE key = :key AND channel = :channel`, {
      key,
      channel,
    })
}

/** The latest alerts, newest first; of one job where it is named. */
export function latestAlerts(database: Database, limit: number, job?: string): Promise<AlertRecord[]> {
  return database.all(
    `SELECT * FROM alerts ${job ? 'WHERE job = :job' : ''}
     ORDER BY coalesce(sent_at, first_at) DESC, key, channel LIMIT :limit`,
    { limit, ...(job && { job }) },
  )
}
