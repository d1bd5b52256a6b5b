import { counted } from '../../engine/plural.ts'
import type { LoadAccount } from '../../engine/quality/accounts.ts'
import type { Verification } from '../../engine/verify/result.ts'
import { bars, gantt } from './charts.ts'
import {
  jobText,
  type ProfileColumn,
  type ReportCheck,
  type ReportData,
  type ReportExtract,
  type ReportLoad,
  type ReportPlan,
} from './data.ts'
import {
  badge,
  type Content,
  count,
  duration,
  figure,
  type Html,
  html,
  moment,
  percent,
  plural,
  score,
  section,
  short,
  table,
} from './markup.ts'
import { LEVEL_TONE } from './tones.ts'

const BADGE = {
  succeeded: 'good',
  'completed with errors': 'warn',
  failed: 'bad',
  running: 'plain',
  planned: 'plain',
} as const
const SEVERITY = ['stop', 'reject', 'warn', 'pass'] as const

export function heading(data: ReportData): Html {
  const took =
    data.finishedAt && ` · took ${duration(Date.parse(data.finishedAt) - Date.parse(data.startedAt))}`
  const interval =
    data.interval && html` · data of ${moment(data.interval.from)} – ${moment(data.interval.to)}`
  return html`<header><h1>${jobText(data)}</h1><span class="badge ${BADGE[data.status]}">${data.status}</span>
<p class="meta">Run <code>${data.run}</code> · began ${moment(data.startedAt)}${took}${interval}</p></header>`
}

function failure({ error, remedy }: ReportData): Html | undefined {
  if (!error) return undefined
  return html`<div class="error" role="alert"><code>${error.code}</code><p><b>${error.message}</b></p>${
    error.hint ? html`<p>${error.hint}</p>` : undefined
  }${remedy ? html`<p>Once the cause is mended, type:</p><p><code>${remedy}</code></p>` : undefined}</div>`
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

const loadNotes = ({ reason, cascades = [] }: ReportLoad) => [
  ...(reason ? [`all rows were compared with the table: ${reason}`] : []),
  ...cascades,
]

const loads = (list: ReportLoad[]) =>
  table(
    ['Table', 'To', '#Staged', '#Inserted', '#Updated', '#Deleted', '#Unchanged', '#Older', 'Notes'],
    list.map(load => [
      html`<b>${load.table}</b>`,
      load.to,
      ...[load.staged, load.inserted, load.updated, load.deleted, load.unchanged, load.older].map(count),
      html`<span class="soft">${loadNotes(load).join('; ') || '–'}</span>`,
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

const notesOf = ({ takenFrom, updated }: ReportData['models'][number]) =>
  takenFrom
    ? `unchanged, taken from run ${takenFrom}`
    : updated
      ? `${counted(updated.keys, 'changed key', count)}, other rows taken from run ${updated.run}`
      : '–'

const models = ({ models }: ReportData) =>
  table(
    ['Model', '#Rows', '#Rejected', '#Warned', '#Corrected', 'Notes'],
    models.map(model => [
      html`<b>${model.name}</b>`,
      ...[model.rows, model.rejected, model.warned, model.corrected ?? 0].map(count),
      html`<span class="soft">${notesOf(model)}</span>`,
    ]),
    'No model ran.',
  )

function checks(list: ReportCheck[]): Html {
  const ordered = list.toSorted(
    (a, b) => SEVERITY.indexOf(a.level) - SEVERITY.indexOf(b.level) || b.rows - a.rows,
  )
  const rows = ordered.map(check => [
    badge(check.level, LEVEL_TONE[check.level]),
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
  return html`<details${open}><summary>${badge(check.level, LEVEL_TONE[check.level])} <b>${check.name}</b>
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

export const tasks = ({ tasks }: Pick<ReportData, 'tasks'>) =>
  gantt(
    tasks
      .toSorted((a, b) => a.startMs - b.startMs)
      .map(({ name, startMs, endMs }) => ({
        label: name,
        note: duration(endMs - startMs),
        spans: [{ from: startMs, to: endMs, tone: 'plain', title: `${name}: ${duration(endMs - startMs)}` }],
      })),
    { from: 0, to: Math.max(1, ...tasks.map(({ endMs }) => endMs)) },
    'No task ran.',
  )

/** This night beside those before it, the latest last. */
function past({ past = [], ...data }: ReportData): Html | undefined {
  if (past.length === 0) return undefined
  const total = (of: (account: LoadAccount) => number) => data.accounts.reduce((n, each) => n + of(each), 0)
  const now = {
    run: data.run,
    startedAt: data.startedAt,
    status: data.status,
    seconds: data.finishedAt ? (Date.parse(data.finishedAt) - Date.parse(data.startedAt)) / 1000 : 0,
    read: total(each => each.read),
    loaded: total(each => each.loaded),
    errorRate: data.errorRate,
  }
  const nights = [...past, now]
  const chart = (name: string, of: (night: typeof now) => number, text: (value: number) => string) =>
    html`<div class="figure"><span>${name}</span><b>${text(of(now))}</b>${bars(
      nights.map(night => ({
        title: `${moment(night.startedAt)}: ${text(of(night))}`,
        value: of(night),
        tone: night.run === now.run ? 'bar' : night.status === 'failed' ? 'bad' : 'plain',
      })),
    )}<span>median of ${count(past.length)} before: ${text(median(past.map(of)))}</span></div>`
  return section(
    'Beside past nights',
    html`<div class="figures">${chart(
      'Took',
      night => night.seconds,
      value => duration(value * 1000),
    )}${chart('Rows read', night => night.read, count)}${chart('Rows loaded', night => night.loaded, count)}${chart('Error rate', night => night.errorRate, percent)}</div>`,
  )
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]!
}

/** Everything that a report says of a run, from the failure on: on its page, and in the dashboard. */
export function reportBody(data: ReportData): Html {
  return html`${failure(data)}${figures(data)}${sla(data)}
${data.status === 'planned' ? section('Planned', plans(data.plans ?? [])) : section('Loaded', loads(data.loads))}
${data.accounts.length > 0 ? section('Every row', accounts(data.accounts)) : undefined}
${data.verifications && data.verifications.length > 0 ? section('Verification', verifications(data.verifications)) : undefined}
${past(data)}
${section('Read', extracts(data.extracts))}
${section('Models', models(data))}
${checks(data.checks)}
${data.profile.map(({ model, sample, columns }) => section(`Columns of ${model}${sample === undefined ? '' : `, from ${counted(sample, 'row', count)}`}`, profile(columns)))}`
}
