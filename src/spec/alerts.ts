import type { KINDS } from './alert.ts'

export type Channel = EmailChannel | WebhookChannel | CommandChannel

/** A job's alerts, as its job.yaml says. */
export interface AlertSpec {
  channels: Record<string, Channel>
  /** Names of channels by kind. */
  on: Record<(typeof KINDS)[number], string[]>
  /** Milliseconds in which an alert of the same cause is counted and not sent again. */
  repeatAfter: number
}

export interface CommandChannel {
  kind: 'command'
  /** Program and arguments; no shell. */
  command: string[]
  /** Working folder. */
  folder: string
}

export interface EmailChannel {
  kind: 'email'
  to: string[]
  from: string
  /** `smtps://user:password@host:465`; `smtp://…` upgrades to TLS where the server offers it. */
  smtp: string
}

export interface WebhookChannel {
  kind: 'webhook'
  url: string
  /** `slack`: a message as Slack, Mattermost and others take it; `json`: the alert as it is. */
  format: 'slack' | 'json'
}
