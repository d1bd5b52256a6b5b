import type { ReportData } from './data.ts'
import { STYLE } from './style.ts'

/** The data-quality report as one self-contained page: no scripts, no requests, prints well. */
export function renderReport(data: ReportData): string {
  const title = `${data.job} · ${data.run}`
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escape(title)}</title><style>${STYLE}</style></head>
<body>
<header><h1>${escape(data.job)} <span class="badge ${data.status.toLowerCase()}">${data.status.replaceAll('_', ' ')}</span></h1>
<p>Run ${escape(data.run)}, ${instant(data.startedAt)}, ${duration(data.finishedAt.getTime() - data.startedAt.getTime())}</p></header>
${failure(data)}${figures(data)}
${section(
  'Loaded',
  table(
    ['Table', 'In', 'Changed rows', 'Inserted', 'Updated', 'Unchanged', 'Duplicate keys'],
    data.loads,
    load => [load.table, load.to, load.staged, load.inserted, load.updated, load.unchanged, load.duplicates],
  ),
)}
${section(
  'Read',
  table(['Extract', 'From', 'Rows', 'Parts', 'Since', 'Note'], data.extracts, extract => [
    extract.name,
    extract.from,
    extract.rows,
    extract.parts,
    extract.since ?? 'everything',
    extract.note ?? '',
  ]),
)}
${section(
  'Models',
  table(['Model', 'Rows', 'Rejected', 'Marked'], data.models, model => [
    model.name,
    model.rows,
    model.rejected,
    model.warned,
  ]),
)}
${section('Checks', data.checks.length === 0 ? '' : data.checks.map(check).join(''))}
${data.profile.map(profile).join('')}
${timeline(data)}
</body></html>
`
}

function failure({ error }: ReportData): string {
  if (!error) return ''
  const hint = error.hint ? `<p>${escape(error.hint)}</p>` : ''
  return `<section class="error"><h2>${escape(error.code)}</h2><pre>${escape(error.message)}</pre>${hint}</section>`
}

function figures(data: ReportData): string {
  const read = data.extracts.reduce((sum, extract) => sum + extract.rows, 0)
  const rejected = data.models.reduce((sum, model) => sum + model.rejected, 0)
  const loaded = data.loads.reduce((sum, load) => sum + load.inserted + load.updated, 0)
  const score = data.minQualityScore === undefined ? '' : `at least ${percent(data.minQualityScore)}`
  const late = data.minQualityScore !== undefined && data.qualityScore < data.minQualityScore
  return `<section class="figures">
${figure(number(read), 'rows read')}
${figure(number(loaded), 'rows inserted or updated')}
${figure(number(rejected), 'rows rejected')}
${figure(percent(data.errorRate), `error rate, at most ${percent(data.maxErrorRate)}`, data.errorRate > data.maxErrorRate)}
${figure(percent(data.qualityScore), `of rows without a finding${score ? `, ${score}` : ''}`, late)}
</section>`
}

const figure = (value: string, label: string, bad = false) =>
  `<div${bad ? ' class="bad"' : ''}><strong>${value}</strong><span>${label}</span></div>`

function check({ name, model, level, rows, samples }: ReportData['checks'][number]): string {
  const head = `<span class="badge ${level}">${level}</span> ${escape(name)}${model ? ` <small>on ${escape(model)}</small>` : ''}${rows > 0 ? ` <b>${number(rows)}</b>` : ''}`
  if (samples.length === 0) return `<p>${head}</p>`
  const lines = table(['Reason', 'Record'], samples, sample => [sample.reason, sample.record])
  return `<details><summary>${head}</summary>${lines}</details>`
}

function profile({ model, columns }: ReportData['profile'][number]): string {
  const rows = table(['Column', 'Type', 'NULL', 'Distinct, about', 'Lowest', 'Highest'], columns, column => [
    column.name,
    column.type,
    percent(column.nullShare),
    column.distinct,
    column.min ?? '',
    column.max ?? '',
  ])
  return section(`Columns of ${model}`, rows)
}

function timeline({ tasks }: ReportData): string {
  if (tasks.length === 0) return ''
  const start = Math.min(...tasks.map(task => task.startMs))
  const span = Math.max(1, Math.max(...tasks.map(task => task.endMs)) - start)
  const bars = tasks.map(({ name, startMs, endMs }) => {
    const left = (((startMs - start) / span) * 100).toFixed(2)
    const width = Math.max(0.3, ((endMs - startMs) / span) * 100).toFixed(2)
    return `<li><span>${escape(name)}</span><div><i style="margin-left:${left}%;width:min(${width}%,calc(100% - ${left}%))"></i></div><em>${duration(endMs - startMs)}</em></li>`
  })
  return section('Where the time went', `<ul class="bars">${bars.join('')}</ul>`)
}

const section = (title: string, body: string) =>
  body === '' ? '' : `<section><h2>${escape(title)}</h2>${body}</section>`

function table<T>(head: string[], rows: T[], cells: (row: T) => (string | number)[]): string {
  if (rows.length === 0) return ''
  const cell = (value: string | number) =>
    typeof value === 'number' ? `<td class="n">${number(value)}</td>` : `<td>${escape(value)}</td>`
  const body = rows.map(row => `<tr>${cells(row).map(cell).join('')}</tr>`).join('\n')
  return `<div class="scroll"><table><thead><tr>${head.map(name => `<th>${escape(name)}</th>`).join('')}</tr></thead><tbody>${body}</tbody></table></div>`
}

const ENTITIES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Text as HTML text or attribute value. */
export const escape = (text: string) => text.replace(/[&<>"']/g, character => ENTITIES[character]!)
const number = (value: number) => value.toLocaleString('en-GB')
const percent = (share: number) => `${(share * 100).toFixed(2)} %`
const instant = (date: Date) => `${date.toISOString().slice(0, 19).replace('T', ' ')} UTC`
const duration = (ms: number) =>
  ms < 60_000
    ? `${(ms / 1000).toFixed(1)} s`
    : `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`
