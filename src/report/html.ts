import type { ReportData } from './data.ts'
import { Html, html, section } from './markup.ts'
import { heading, reportBody, tasks } from './sections.ts'
import { STYLE } from './style.ts'

/** The report of one run: a page that needs no other file, no script and no network. */
export function renderReport(data: ReportData): string {
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${data.job} – ${data.status} – ${data.run}</title><style>${new Html(STYLE)}</style></head><body><main>
${heading(data)}${reportBody(data)}${section('Time by task', tasks(data))}</main>
<footer>Nightfreight · run ${data.run} · times are UTC${data.page ? html` · live at <code>${data.page}</code>` : undefined}</footer></body></html>
`.text
}

/** The same for programs. */
export const reportJson = (data: ReportData): string => `${JSON.stringify(data, null, 2)}\n`
