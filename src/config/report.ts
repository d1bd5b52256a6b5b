import { z } from 'zod'
import { didYouMean } from '../../engine/nearest.ts'
import type { AlertSpec } from '../spec/alerts.ts'
import type { ReportFile, ReportSpec } from '../spec/report.ts'
import { s3Access, s3Options } from '../stores/s3/settings.ts'
import { pathOf } from './archive.ts'
import type { Document } from './document.ts'
import { secretsIn } from './secrets.ts'

const PLACEHOLDERS = ['job', 'run', 'date']

const file = z
  .string()
  .regex(/[^/]\.(html|json)$/, 'expected a file whose name ends with .html or .json')
  .superRefine((text, context) => {
    for (const [whole, name] of text.matchAll(/\{(.*?)\}/g))
      if (!PLACEHOLDERS.includes(name!))
        context.addIssue({ code: 'custom', message: `expected {job}, {run} or {date}, not ${whole}` })
  })

/** The report's keys in job.yaml. `names`: a text or a list of them. */
export const reportSchema = (names: z.ZodType<string[]>) =>
  z.strictObject({
    to: z
      .union([file, z.array(file)])
      .transform(value => (typeof value === 'string' ? [value] : value))
      .default([]),
    mail: names,
    ...s3Options.shape,
  })

/** Where the report is kept and mailed; problems go to the document. */
export function readReport(
  document: Document,
  { to, mail, ...s3 }: z.output<ReturnType<typeof reportSchema>>,
  alerts: AlertSpec | undefined,
  folder: string,
): ReportSpec {
  const channels = Object.entries(alerts?.channels ?? {})
  const known = channels.filter(([, { kind }]) => kind === 'email').map(([name]) => name)
  for (const name of mail)
    if (!known.includes(name))
      document.problem(
        ['report', 'mail'],
        `report.mail: no channel "${name}" of alerts.channels sends e-mail${didYouMean(name, known)}`,
      )
  const files = to.map((target): ReportFile => {
    const [, bucket, path] = /^(s3:\/\/[^/]+)\/(.+)$/.exec(target) ?? []
    if (bucket && path) return { bucket: s3Access({ ...s3, url: bucket }, 'report', folder), path }
    return { path: pathOf(target, folder) }
  })
  return { files, mail, secrets: secretsIn({ to, ...s3 }) }
}
