import { setTimeout as delay } from 'node:timers/promises'
import { counted } from '../../../engine/plural.ts'
import type { Alert } from '../../spec/alert.ts'
import type { WebhookChannel } from '../../spec/alerts.ts'
import { ask } from '../../util/ask.ts'
import { body, subject } from '../text.ts'

const ATTEMPTS = 3

/** Posts the alert; what may pass (no answer, 429, 5xx) is tried three times, each for `patience` milliseconds. */
export async function sendWebhook(
  channel: WebhookChannel,
  alert: Alert,
  signal: AbortSignal,
  patience: number,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const answer = await post(channel, alert, AbortSignal.any([signal, AbortSignal.timeout(patience)]))
    if (answer.done) return
    if (!answer.passes || attempt === ATTEMPTS || signal.aborted)
      throw new Error(`${answer.reason}${attempt > 1 ? `, ${counted(attempt, 'time')}` : ''}`)
    await delay((patience / 10) * 2 ** (attempt - 1), undefined, { signal })
  }
}

type Answer = { done: true } | { done: false; reason: string; passes: boolean }

async function post({ url, format }: WebhookChannel, alert: Alert, signal: AbortSignal): Promise<Answer> {
  const message = format === 'slack' ? { text: slack(alert) } : { ...alert, text: body(alert) }
  try {
    const { ok, status, text } = await ask(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(message),
      signal,
    })
    if (ok) return { done: true }
    const passes = status === 429 || status >= 500
    return { done: false, reason: `answered ${status} ${text}`.trim(), passes }
  } catch (error) {
    return { done: false, reason: (error as Error).message, passes: true }
  }
}

// https://api.slack.com/reference/surfaces/formatting#escaping
function slack(alert: Alert): string {
  const plain = (text: string) =>
    text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
  return `*${plain(subject(alert))}*\n\`\`\`${plain(body(alert)).replaceAll('```', "'''")}\`\`\``
}
