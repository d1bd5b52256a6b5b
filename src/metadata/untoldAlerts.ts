import { isCounted } from '../spec/alert.ts'
import { type AlertPayload, type AlertRecord, isLeft, type SettledAlert } from './alerts.ts'
import type { Database } from './database.ts'

/** Milliseconds until an alert is sent again that a channel did not take: twice as many after each try, up to a last. */
const FIRST_REST_MS = 60_000
const LONGEST_REST_MS = 3600_000
/** For how long: then nobody waits for it any more. */
const LONGEST_MS = 48 * 3600_000

/** Alerts that are to be sent again now, oldest first: no channel took them, or who sent them is gone. Of one job where it is named. */
export async function untoldAlerts(database: Database, now: Date, job?: string): Promise<AlertRecord[]> {
  const found = await database.all<AlertRecord>(
    `SELECT * FROM alerts WHERE state IN ('failed', 'sending') AND kind <> 'test' ${job === undefined ? '' : 'AND job = :job'}
     ORDER BY first_at, key, channel`,
    job === undefined ? {} : { job },
  )
  return found.filter(record => isDue(record, now.getTime()))
}

/** Whether an alert may still be told: its cause stays open until then. */
export const isUntold = (record: AlertRecord, now: Date): boolean =>
  record.state !== 'sent' && isRecent(record, now.getTime())

function isDue(record: AlertRecord, now: number): boolean {
  if (!isRecent(record, now)) return false
  if (record.state === 'sending') return isLeft(record, now)
  const { tries = 1, triedAt } = JSON.parse(record.payload) as AlertPayload
  const rest = Math.min(LONGEST_REST_MS, FIRST_REST_MS * 2 ** (tries - 1))
  // Nor where the clock was put back.
  return triedAt === undefined || Math.abs(now - Date.parse(triedAt)) >= rest
}

const isRecent = ({ payload }: AlertRecord, now: number) =>
  now - Date.parse((JSON.parse(payload) as AlertPayload).alert.at) < LONGEST_MS

/** Claims one of these to send it at `at`; undefined where another process, or a later alert, has it. */
export async function claimUntold(
  database: Database,
  { key, channel, state, payload, times, first_at }: AlertRecord,
  at: string,
): Promise<SettledAlert | undefined> {
  const { alert, tries = 0 } = JSON.parse(payload) as AlertPayload
  const claimed = JSON.stringify({ alert, tries, triedAt: at } satisfies AlertPayload)
  const changed = await database.run(
    `UPDATE alerts SET state = 'sending', sent_at = :at, payload = :claimed
     WHERE key = :key AND channel = :channel AND state = :state AND payload = :payload`,
    { key, channel, state, payload, at, claimed },
  )
  return changed === 0
    ? undefined
    : { key, channel, tries, alert: { ...alert, times: isCounted(alert) ? times : 1, since: first_at } }
}
