import type { LoadAccount } from '../../engine/quality/accounts.ts'
import type { Verification } from '../../engine/verify/result.ts'
import { legible } from '../util/printable.ts'
import type { ProfileColumn, ReportCheck, ReportData, ReportExtract, ReportLoad, ReportPlan } from './data.ts'
import { STYLE } from './style.ts'

/** Text that is HTML already; everything else is escaped where it is put in. */
class Html {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

type Content = Html | string | number | undefined | Content[]

function html(strings: TemplateStringsArray, ...values: Content[]): Html {
  return new Html(strings.reduce((text, part, at) => text + show(values[at - 1]) + part))
}

function show(value: Content): string {
  if (value === undefined) return ''
  if (value instanceof Html) return value.text
  if (Array.isArray(value)) return value.map(show).join('')
  return legible(String(value)).replace(/[&<>"']/g, char => `&#${char.charCodeAt(0)};`)
}

/** The report of one run: a page that needs no other file, no script and no network. */
export function renderReport(data: ReportData): string {
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${data.job} – ${data.status} – ${data.run}</title><style>${new Html(STYLE)}</style></head><body>
${heading(data)}${failure(data)}${figures(data)}${sla(data)}
${data.status === 'planned' ? section('Planned', plans(data.plans ?? [])) : section('Loaded', loads(data.loads))}
${data.accounts.length > 0 ? section('Every row', accounts(data.accounts)) : undefined}
${data.verifications && data.verifications.length > 0 ? section('Verification', verifications(data.verifications)) : undefined}
${section('Read', extracts(data.extracts))}
${section('Models', models(data))}
${checks(data.checks)}
${data.profile.map(({ model, sample, columns }) => section(`Columns of ${model}${sample === undefined ? '' : `, from ${count(sample)} rows`}`, profile(columns)))}
${section('Time by task', tasks(data))}
<footer>Nightfreight · run ${data.run} · times are UTC</footer></body></html>
`.text
}

const BADGE = { succeeded: 'good', failed: 'bad', running: 'plain', planned: 'plain' } as const
const LEVEL = { stop: 'bad', reject: 'bad', warn: 'warn', pass: 'good' } as const
const SEVERITY = ['stop', 'reject', 'warn', 'pass'] as const

function heading(data: ReportData): Html {
  const took =
    data.finishedAt && ` · took ${duration(Date.parse(data.finishedAt) - Date.parse(data.startedAt))}`
  const interval =
    data.interval && html` · data of ${moment(data.interval.from)} – ${moment(data.interval.to)}`
  return html`<header><h1>${data.job}</h1><span class="badge ${BADGE[data.status]}">${data.status}</span>
<p class="meta">Run <code>${data.run}</code> · began ${moment(data.startedAt)}${took}${interval}</p></header>`
}

function failure({ error }: ReportData): Html | undefined {
  if (!error) return undefined
  return html`<div class="error" role="alert"><code>${error.code}</code><p><b>${error.message}</b></p>${
    error.hint ? html`<p>${error.hint}</p>` : undefined
  }</div>`
}

function figures(data: ReportData): Html {
  const total = <T>(list: T[], of: (item: T) => number) => list.reduce((sum, item) => sum + of(item), 0)
  const rejected = total(data.models, model => model.rejected)
  const { minQualityScore } = data
  const scoreMissed = minQualityScore !== undefined && data.qualityScore < minQualityScore
  return html`<div class="figures">
${figure('Rows read', count(total(data.extracts, extract => extract.rows)), `from ${data.extracts.length} ${plural(data.extracts.length, 'table')}`)}
${figure('Rows rejected', count(rejected), `kept in the quarantine`)}
${figure('Error rate', percent(data.errorRate), `limit ${percent(data.maxErrorRate)}`, data.errorRate > data.maxErrorRate)}
${figure('Quality score', score(data.qualityScore), minQualityScore === undefined ? 'rows without a finding' : `target ${score(minQualityScore)}`, scoreMissed)}
${figure('Rows changed', count(total(data.loads, load => load.inserted + load.updated + load.deleted)), `of ${count(total(data.loads, load => load.staged))} staged`)}</div>`
}

const figure = (name: string, value: string, note: string, missed = false) =>
  html`<div class="figure${missed ? ' miss' : ''}"><span>${name}</span><b>${value}</b><span>${note}</span></div>`

function sla({ sla }: ReportData): Html | undefined {
  if (!sla || sla.length === 0) return undefined
  const rows = sla.map(line => [
    line.name,
    line.target,
    line.actual,
    badge(line.kept ? 'kept' : 'missed', line.kept ? 'good' : 'bad'),
  ])
  return section('Service level', table(['Promise', 'Promised', 'Actual', ''], rows))
}

const loads = (list: ReportLoad[]) =>
  table(
    ['Table', 'To', '#Staged', '#Inserted', '#Updated', '#Deleted', '#Unchanged', '#Older', 'Notes'],
    list.map(load => [
      html`<b>${load.table}</b>`,
      load.to,
      ...[load.staged, load.inserted, load.updated, load.deleted, load.unchanged, load.older].map(count),
      html`<span class="soft">${load.reason ? `all rows were compared with the table: ${load.reason}` : '–'}</span>`,
    ]),
    'Nothing was loaded.',
  )

function accounts(list: LoadAccount[]): Html {
  const of = (account: Omit<LoadAccount, 'table' | 'to'>) =>
    [
      account.read,
      account.loaded,
      account.unchanged,
      account.rejected,
      account.superseded,
      account.keptGone,
    ].map(count)
  const rows: Content[][] = list.map(account => [html`<b>${account.table}</b>`, account.to, ...of(account)])
  return table(
    ['Table', 'To', '#Read', '#= Loaded', '#+ Unchanged', '#+ Rejected', '#+ Superseded', '#Gone, kept'],
    rows,
  )
}

const plans = (list: ReportPlan[]) =>
  table(
    [
      'Table',
      'To',
      '#Inserts',
      '#Updates',
      '#Deletes',
      '#Unchanged',
      '#Superseded',
      'Columns updated',
      'Notes',
    ],
    list.map(({ table, to, counts, columns, notes }) => [
      html`<b>${table}</b>`,
      to,
      ...[counts.inserts, counts.updates, counts.deletes, counts.unchanged, counts.superseded].map(count),
      columns.map(({ name, rows }) => `${name} ${count(rows)}`).join(', ') || '–',
      html`<span class="soft">${notes.join('; ') || '–'}</span>`,
    ]),
    'Nothing would be loaded.',
  )

/** Per table: equal, or the ranges of keys that differ from what was loaded, with a few of the rows. */
function verifications(list: Verification[]): Html {
  const rows = list.map(verification => [
    html`<b>${verification.table}</b>`,
    verification.to,
    verification.scope === 'all' ? 'all rows' : 'changed rows',
    ...[verification.rows, verification.ranges, verification.newer, verification.leftAlone].map(count),
    verification.wrong.rows === 0
      ? badge('equal', 'good')
      : badge(`${count(verification.wrong.rows)} differ`, 'bad'),
    html`<span class="soft">${verification.notes.join('; ') || '–'}</span>`,
  ])
  const differing = list.flatMap(verification =>
    verification.differing.map(({ range, rows, samples }) => [
      html`<b>${verification.table}</b>`,
      range,
      count(rows),
      html`<code>${samples.join('; ') || '–'}</code>`,
    ]),
  )
  return html`${table(['Table', 'To', 'Compared', '#Rows', '#Ranges', '#Newer there', '#Left alone', 'Result', 'Notes'], rows)}${
    differing.length > 0 ? table(['Table', 'Range', '#Rows', 'Such as'], differing) : undefined
  }`
}

const extracts = (list: ReportExtract[]) =>
  table(
    ['Extract', 'From', '#Rows', '#Parts', 'Since', 'Notes'],
    list.map(extract => [
      html`<b>${extract.name}</b>`,
      extract.from,
      count(extract.rows),
      count(extract.parts),
      extract.since ?? html`<span class="soft">whole table</span>`,
      html`<span class="soft">${extract.note ?? '–'}</span>`,
    ]),
    'Nothing was read.',
  )

const models = ({ models }: ReportData) =>
  table(
    ['Model', '#Rows', '#Rejected', '#Warned', '#Corrected'],
    models.map(model => [
      html`<b>${model.name}</b>`,
      ...[model.rows, model.rejected, model.warned, model.corrected ?? 0].map(count),
    ]),
    'No model ran.',
  )

function checks(list: ReportCheck[]): Html {
  const ordered = list.toSorted(
    (a, b) => SEVERITY.indexOf(a.level) - SEVERITY.indexOf(b.level) || b.rows - a.rows,
  )
  const rows = ordered.map(check => [
    badge(check.level, LEVEL[check.level]),
    html`<b>${check.name}</b>`,
    check.model ?? 'whole job',
    count(check.rows),
  ])
  const samples = ordered.filter(check => check.samples.length > 0)
  return section(
    'Checks',
    html`${table(['Result', 'Check', 'On', '#Rows'], rows, 'No check ran.')}${samples.map(sampled)}`,
  )
}

function sampled(check: ReportCheck): Html {
  const records = check.samples.some(sample => sample.record !== '')
  const rows = check.samples.map(sample =>
    records ? [sample.reason, html`<code>${sample.record}</code>`] : [sample.reason],
  )
  const open = check.level === 'stop' || check.level === 'reject' ? ' open' : ''
  return html`<details${open}><summary>${badge(check.level, LEVEL[check.level])} <b>${check.name}</b>
<span class="soft">${check.samples.length} of ${count(check.rows)}</span></summary>${table(records ? ['Reason', 'Record'] : ['Message'], rows)}</details>`
}

const profile = (columns: ProfileColumn[]) =>
  table(
    ['Column', 'Type', '#NULL', '#Distinct ≈', 'Least', 'Greatest'],
    columns.map(column => [
      html`<b>${column.name}</b>`,
      html`<span class="soft">${column.type}</span>`,
      percent(column.nullShare),
      count(column.distinct),
      bound(column.min),
      bound(column.max),
    ]),
  )

const bound = (value: string | null) =>
  html`<div class="cut">${value === null ? html`<span class="soft">–</span>` : short(value)}</div>`

function tasks({ tasks }: ReportData): Html {
  if (tasks.length === 0) return html`<p class="soft">No task ran.</p>`
  const end = Math.max(1, ...tasks.map(task => task.endMs))
  const share = (ms: number) => `${((ms / end) * 100).toFixed(2)}%`
  const lines = tasks
    .toSorted((a, b) => a.startMs - b.startMs)
    .map(
      task =>
        html`<div class="task"><span>${task.name}</span><div class="track"><i style="left:${share(task.startMs)};width:${share(
          Math.max(0, task.endMs - task.startMs),
        )}"></i></div><span class="n">${duration(task.endMs - task.startMs)}</span></div>`,
    )
  return html`<div class="tasks">${lines}</div>`
}

const section = (title: string, content: Html) => html`<section><h2>${title}</h2>${content}</section>`

/** A heading that begins with # is of a column of numbers. */
function table(headings: string[], rows: Content[][], empty = ''): Html {
  if (rows.length === 0) return html`<p class="soft">${empty}</p>`
  const kind = (at: number) => (headings[at]!.startsWith('#') ? ' class="n"' : '')
  return html`<div class="table"><table><thead><tr>${headings.map(
    (name, at) => html`<th${new Html(kind(at))}>${name.replace(/^#/, '')}</th>`,
  )}</tr></thead><tbody>${rows.map(
    row => html`<tr>${row.map((cell, at) => html`<td${new Html(kind(at))}>${cell}</td>`)}</tr>`,
  )}</tbody></table></div>`
}

const badge = (text: string, kind: string) => html`<span class="badge ${kind}">${text}</span>`
const plural = (n: number, word: string) => (n === 1 ? word : `${word}s`)
const count = (n: number) => n.toLocaleString('en-US')
const short = (text: string) => (text.length > 60 ? `${text.slice(0, 59)}…` : text)
const moment = (iso: string) =>
  iso
    .replace('T', ' ')
    .replace(/(:\d\d)\.\d+/, '$1')
    .replace(/Z$/, '')

// Rounded towards the worse side: 4.999 % over a limit of 4.99 % must not read as equal, nor 0.9499 as 0.95.
const percent = (share: number) => `${(Math.ceil(share * 10_000 - 1e-9) / 100).toFixed(2)} %`
const score = (share: number) => (Math.floor(share * 10_000 + 1e-9) / 10_000).toFixed(4)

function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  const seconds = ms / 1000
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  const hours = Math.floor(whole / 3600)
  const minutes = Math.floor((whole % 3600) / 60)
  return hours > 0 ? `${hours} h ${minutes} min` : `${minutes} min ${whole % 60} s`
}
