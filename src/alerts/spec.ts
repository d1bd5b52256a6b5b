import type { KINDS } from './alert.ts'
import type { CommandChannel } from './channels/command.ts'
import type { EmailChannel } from './channels/email.ts'
import type { WebhookChannel } from './channels/webhook.ts'

export type Channel = EmailChannel | WebhookChannel | CommandChannel

/** A job's alerts, as its job.yaml says. */
export interface AlertSpec {
  channels: Record<string, Channel>
  /** Names of channels by kind. */
  on: Record<(typeof KINDS)[number], string[]>
  /** Milliseconds in which an alert of the same cause is counted and not sent again. */
  repeatAfter: number
}
