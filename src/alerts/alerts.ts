import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Clock } from '../../engine/contracts/tasks.ts'
import {
  type Counted,
  countAlert,
  LOG,
  type RaisedAlert,
  type SettledAlert,
  settleAlert,
} from '../metadata/alerts.ts'
import type { Database } from '../metadata/database.ts'
import { claimUntold, untoldAlerts } from '../metadata/untoldAlerts.ts'
import { type Alert, isCounted, keyOf } from '../spec/alert.ts'
import type { AlertSpec } from '../spec/alerts.ts'
import { legible } from '../util/printable.ts'
import { redact } from '../util/redact.ts'
import { jobPath, runPath } from '../util/site.ts'
import { sendCommand } from './channels/command.ts'
import { sendEmail } from './channels/email.ts'
import { sendWebhook } from './channels/webhook.ts'
import { subject } from './text.ts'

export interface AlertWorld {
  database: Database
  clock: Clock
  log: Logger
  /** Strings that no alert may show. */
  secrets: readonly string[]
  /** Where the dashboard is reached: {@link siteOf}. */
  site: string | undefined
  /** Milliseconds that one wait in a channel may last; all of an alert takes up to four times as long. Default 5 s. */
  patience?: number
}

/** What became of an alert in one channel. */
export interface Delivery {
  channel: string
  /** `held`: sent not long ago, only counted. */
  state: 'sent' | 'held' | 'failed'
  error?: string
}

/** Sends alerts. Never throws: what a channel refuses is logged and kept. */
export class Alerts {
  private readonly spec: AlertSpec | undefined
  private readonly context: AlertWorld
  private readonly patience: number
  private readonly going = new Set<Promise<unknown>>()

  constructor(spec: AlertSpec | undefined, context: AlertWorld) {
    this.spec = spec
    this.context = context
    this.patience = context.patience ?? 5000
  }

  /** An alert as it is to be counted and sent, to the channels of its kind or those named. */
  prepared(
    alert: Alert,
    channels = alert.kind === 'test' ? [] : (this.spec?.on[alert.kind] ?? []),
  ): RaisedAlert {
    const window = isCounted(alert) ? (this.spec?.repeatAfter ?? 0) : 0
    const since = new Date(this.context.clock.now().getTime() - window + 1).toISOString()
    return {
      key: keyOf(alert),
      alert: masked({ ...alert, ...this.page(alert) }, this.context.secrets),
      channels: [...new Set([LOG, ...channels])],
      since: isCounted(alert) ? since : '9999',
    }
  }

  /** Counts an alert and sends it to the channels of its kind (or those named) in which it is due; bounded in time. */
  raise(alert: Alert, channels?: string[]): Promise<Delivery[]> {
    return this.send(this.prepared(alert, channels))
  }

  /** Sends an alert, counted before or counted now. */
  send(raised: RaisedAlert, counted?: Counted[]): Promise<Delivery[]> {
    return this.tracked(this.deliver(raised, counted))
  }

  /** Sends a job's alerts again that no channel took, and those whose sender is gone, where it is time for that. */
  again(job: string): Promise<Delivery[]> {
    return this.tracked(this.deliverAgain(job))
  }

  private tracked<T>(work: Promise<T>): Promise<T> {
    this.going.add(work)
    return work.finally(() => this.going.delete(work))
  }

  /** Waits for alerts that are on their way. */
  async settled(): Promise<void> {
    await Promise.all(this.going)
  }

  private page({ run, job }: Alert): Pick<Alert, 'page'> {
    const { site } = this.context
    return site === undefined ? {} : { page: `${site}${run === undefined ? jobPath(job) : runPath(run)}` }
  }

  private async deliver(raised: RaisedAlert, before?: Counted[]): Promise<Delivery[]> {
    const { alert, channels } = raised
    // A store that does not answer keeps nobody from being told.
    const unknown = channels.map(channel => ({ channel, times: 1, firstAt: alert.at, due: true }))
    const { database, log } = this.context
    const counting = before
      ? Promise.resolve(before)
      : database.transaction(queries => countAlert(queries, raised))
    const counted = await this.inTime(counting, 'cannot count an alert')
    const deliveries = await Promise.all((counted ?? unknown).map(each => this.sendCounted(raised, each)))
    const { title, kind, severity } = alert
    log.warn({ alert: kind, severity, title, deliveries }, subject(alert))
    if (!counted) {
      // It may be counted yet, and would be sent again by whoever finds it on its way: callers may close the store behind us.
      const kept = counting.then(
        () =>
          Promise.all(
            deliveries.map(({ channel, error }) =>
              this.settle({ key: raised.key, channel, alert, tries: 0 }, error),
            ),
          ),
        // Why has been logged.
        () => {},
      )
      await this.inTime(kept, 'cannot keep what became of an alert')
    }
    return deliveries.filter(({ channel }) => channel !== LOG)
  }

  private async sendCounted(
    { key, alert }: RaisedAlert,
    { channel, times, firstAt, due }: Counted,
  ): Promise<Delivery> {
    if (!due) return { channel, state: 'held' }
    const told: Alert = { ...alert, times: isCounted(alert) ? times : 1, since: firstAt }
    return this.sendClaimed({ key, channel, alert: told, tries: 0 })
  }

  private async deliverAgain(job: string): Promise<Delivery[]> {
    const { database, clock, log } = this.context
    const found = await this.inTime(
      untoldAlerts(database, clock.now(), job),
      'cannot find alerts to send again',
    )
    const sent = (found ?? []).map(async record => {
      const { channel, kind, severity } = record
      if (channel !== LOG && !this.spec?.channels[channel]) return []
      const claim = await this.inTime(
        claimUntold(database, record, clock.now().toISOString()),
        'cannot send an alert again',
      )
      if (!claim) return []
      const delivery = await this.sendClaimed(claim)
      log.warn({ alert: kind, severity, title: claim.alert.title, delivery }, 'an alert was sent again')
      return channel === LOG ? [] : [delivery]
    })
    return (await Promise.all(sent)).flat()
  }

  /** Sends a claimed alert, and keeps what became of it. */
  private async sendClaimed(claim: SettledAlert): Promise<Delivery> {
    const { channel, alert } = claim
    const error = channel === LOG ? undefined : await this.attempt(channel, alert)
    await this.settle(claim, error)
    return { channel, state: error === undefined ? 'sent' : 'failed', ...(error !== undefined && { error }) }
  }

  private settle(claim: SettledAlert, error: string | undefined): Promise<void> {
    const { database, clock } = this.context
    return this.inTime(
      settleAlert(database, claim, clock.now(), error),
      'cannot keep what became of an alert',
    )
  }

  /** Sends to one channel; why it failed, where it did. */
  private async attempt(name: string, alert: Alert): Promise<string | undefined> {
    const channel = this.spec!.channels[name]!
    const signal = AbortSignal.timeout(this.patience * 4)
    try {
      switch (channel.kind) {
        case 'email':
          await sendEmail(channel, alert, signal, this.patience)
          break
        case 'webhook':
          await sendWebhook(channel, alert, signal, this.patience)
          break
        case 'command':
          await sendCommand(channel, alert, signal)
      }
      return undefined
    } catch (error) {
      const reason = redact(error instanceof Error ? error.message : String(error), this.context.secrets)
      this.context.log.error({ channel: name, kind: channel.kind, reason }, 'an alert could not be sent')
      return reason
    }
  }

  private async inTime<T>(work: Promise<T>, problem: string): Promise<T | undefined> {
    const stop = new AbortController()
    const late = delay(this.patience, undefined, { signal: stop.signal }).then(() => {
      throw new Error('the metadata store does not answer')
    })
    try {
      return await Promise.race([work, late])
    } catch (error) {
      work.catch(() => {})
      this.context.log.error({ reason: redact(String(error), this.context.secrets) }, problem)
      return undefined
    } finally {
      late.catch(() => {})
      stop.abort()
    }
  }
}

function masked(alert: Alert, secrets: readonly string[]): Alert {
  const mask = (value: unknown): unknown =>
    typeof value === 'string'
      ? legible(redact(value, secrets))
      : Array.isArray(value)
        ? value.map(mask)
        : value
  return Object.fromEntries(
    Object.entries(alert).map(([name, value]) => [name, mask(value)]),
  ) as unknown as Alert
}
