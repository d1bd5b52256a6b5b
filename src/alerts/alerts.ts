import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Clock } from '../../engine/contracts/tasks.ts'
import { type Counted, countAlert, settleAlert } from '../metadata/alerts.ts'
import type { Database } from '../metadata/database.ts'
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

/** Where every alert is noted, whatever channels there are. */
const LOG = 'log'

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

  /** Counts an alert and sends it to the channels of its kind (or those named) in which it is due; bounded in time. */
  raise(
    alert: Alert,
    channels = alert.kind === 'test' ? [] : (this.spec?.on[alert.kind] ?? []),
  ): Promise<Delivery[]> {
    const shown = { ...alert, ...this.page(alert) }
    const raised = this.deliver(masked(shown, this.context.secrets), channels)
    this.going.add(raised)
    return raised.finally(() => this.going.delete(raised))
  }

  /** Waits for alerts that are on their way. */
  async settled(): Promise<void> {
    await Promise.all(this.going)
  }

  private page({ run, job }: Alert): Pick<Alert, 'page'> {
    const { site } = this.context
    return site === undefined ? {} : { page: `${site}${run === undefined ? jobPath(job) : runPath(run)}` }
  }

  private async deliver(alert: Alert, channels: string[]): Promise<Delivery[]> {
    const { clock, log } = this.context
    const key = keyOf(alert)
    const window = isCounted(alert) ? (this.spec?.repeatAfter ?? 0) : 0
    const since = new Date(clock.now().getTime() - window + 1).toISOString()
    const all = [...new Set([LOG, ...channels])]
    // A store that does not answer keeps nobody from being told.
    const unknown = all.map(channel => ({ channel, times: 1, firstAt: alert.at, due: true }))
    const counted = await this.inTime(
      countAlert(this.context.database, key, alert, all, isCounted(alert) ? since : '9999'),
      'cannot count an alert',
    )
    return Promise.all((counted ?? unknown).map(each => this.send(key, alert, each))).then(deliveries => {
      const { title, kind, severity } = alert
      log.warn({ alert: kind, severity, title, deliveries }, subject(alert))
      return deliveries.filter(({ channel }) => channel !== LOG)
    })
  }

  private async send(
    key: string,
    alert: Alert,
    { channel, times, firstAt, due }: Counted,
  ): Promise<Delivery> {
    if (!due) return { channel, state: 'held' }
    const told: Alert = { ...alert, times: isCounted(alert) ? times : 1, since: firstAt }
    const error = channel === LOG ? undefined : await this.attempt(channel, told)
    await this.inTime(
      settleAlert(this.context.database, key, channel, told, error),
      'cannot keep what became of an alert',
    )
    return { channel, state: error === undefined ? 'sent' : 'failed', ...(error !== undefined && { error }) }
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
