import type { Alert } from '../../spec/alert.ts'
import type { EmailChannel } from '../../spec/alerts.ts'
import { body, subject } from '../text.ts'

/** One mail, plain text, and a page that goes with it. */
interface Mail {
  job: string
  subject: string
  text: string
  page?: { name: string; html: string }
}

/** Sends the alert as one plain-text mail; no wait is longer than `patience` milliseconds. */
export const sendEmail = (channel: EmailChannel, alert: Alert, signal: AbortSignal, patience: number) =>
  sendMail(channel, { job: alert.job, subject: subject(alert), text: body(alert) }, signal, patience)

/** Sends one mail; no wait is longer than `patience` milliseconds. */
export async function sendMail(
  { to, from, smtp }: EmailChannel,
  { job, subject, text, page }: Mail,
  signal: AbortSignal,
  patience: number,
): Promise<void> {
  const waits = { connectionTimeout: patience, greetingTimeout: patience, socketTimeout: patience }
  // Most runs send none.
  const { createTransport } = await import('nodemailer')
  const transport = createTransport({ url: smtp, dnsTimeout: patience, ...waits })
  const { promise, reject } = Promise.withResolvers<never>()
  const stop = () => reject(signal.reason)
  signal.addEventListener('abort', stop, { once: true })
  try {
    const mail = {
      to,
      from,
      subject,
      text,
      ...(page && { attachments: [{ filename: page.name, content: page.html, contentType: 'text/html' }] }),
      // No answering machine answers it.
      headers: { 'Auto-Submitted': 'auto-generated', 'X-Nightfreight-Job': job },
    }
    const { rejected } = await Promise.race([transport.sendMail(mail), promise])
    if (rejected.length > 0) throw new Error(`refused for ${rejected.map(String).join(', ')}`)
  } finally {
    signal.removeEventListener('abort', stop)
    transport.close()
  }
}
