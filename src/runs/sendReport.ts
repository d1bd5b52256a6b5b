import { writeFile } from 'node:fs/promises'
import { errorData } from '../../engine/errors.ts'
import { atomicWrite } from '../../engine/staging/store.ts'
import { sendMail } from '../alerts/channels/email.ts'
import type { ReportData } from '../report/data.ts'
import { renderReport, reportJson } from '../report/html.ts'
import type { EmailChannel } from '../spec/alerts.ts'
import type { ReportFile } from '../spec/report.ts'
import { openStore } from '../stores/open.ts'
import { legible } from '../util/printable.ts'
import { redact } from '../util/redact.ts'
import type { HeldRun } from './heldRun.ts'
import type { RunOptions } from './options.ts'

/** Milliseconds that one wait of a mail may take. */
const PATIENCE_MS = 10_000

/** Keeps and mails a run's report where the job says so. Never throws: what fails is told, and the run ends as it ends. */
export async function sendReport(
  { progress, secrets }: Pick<RunOptions, 'progress' | 'secrets'>,
  { spec, record, log }: Pick<HeldRun, 'spec' | 'record' | 'log'>,
  data: ReportData,
): Promise<void> {
  const { files = [], mail = [] } = spec.report ?? {}
  const told = async (what: string, work: Promise<unknown>) => {
    try {
      await work
    } catch (failure) {
      const reason = legible(redact(errorData(failure).message, secrets))
      log.error({ reason }, what)
      progress.note(`${what}: ${reason}`)
    }
  }
  const names = { job: spec.job, run: data.run, date: record.run_at.slice(0, 10) }
  await Promise.all([
    ...files.map(file => {
      const path = file.path.replace(/\{(job|run|date)\}/g, (_, name: keyof typeof names) => names[name])
      return told(`the report is not kept at ${path}`, keep({ ...file, path }, data))
    }),
    ...mail.map(name => {
      const channel = spec.alerts!.channels[name] as EmailChannel
      return told(`the report is not mailed to ${name}`, send(channel, data))
    }),
  ])
}

async function keep({ bucket, path }: ReportFile, data: ReportData): Promise<void> {
  const text = path.endsWith('.json') ? reportJson(data) : renderReport(data)
  if (bucket) return openStore({ s3: bucket }).put(path, text)
  await atomicWrite(path, temporary => writeFile(temporary, text))
}

function send(channel: EmailChannel, data: ReportData): Promise<void> {
  const { job, run, status, page, remedy } = data
  const text = [
    `${job}: ${status}, run ${run}. The report is attached; it needs no network.`,
    ...(page ? [`Live at ${page}`] : []),
    ...(remedy ? [`Type: ${remedy}`] : []),
  ].join('\n')
  const mail = {
    job,
    subject: `[nightfreight] report: ${job} ${status}`,
    text,
    page: { name: `${job}-${run}.html`, html: renderReport(data) },
  }
  return sendMail(channel, mail, AbortSignal.timeout(PATIENCE_MS * 4), PATIENCE_MS)
}
