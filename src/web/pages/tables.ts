import { freshness, type TableNight, tableNights } from '../../metadata/tableHistory.ts'
import { bars } from '../../report/charts.ts'
import { count, duration, type Html, html, moment, percent, section, table } from '../../report/markup.ts'
import { statusBadge, toneOf } from '../../report/tones.ts'
import { jobPath, runPath, tablePath } from '../../util/site.ts'
import type { PageMaker } from '../context.ts'
import { link, more } from '../layout.ts'

/** Nights of a table's page. */
const NIGHTS = 60

/** Every loaded table, and how old it is. */
export const tables: PageMaker = async ({ metadata, clock }, { query }) => {
  const wanted = query.get('name')?.trim().toLowerCase() ?? ''
  const all = (await freshness(metadata.database)).filter(each => each.table.toLowerCase().includes(wanted))
  const shown = all.slice(0, 500)
  const now = clock.now().getTime()
  return {
    title: 'Tables',
    main: html`<h1>Tables</h1><form class="filter" method="get"><label>Name has<input name="name" value="${wanted}"></label><button>Show</button></form>
${table(
  ['Table', 'Job', 'Loaded last', '#Age'],
  shown.map(each => [
    link(tablePath(each.job, each.table), each.table),
    link(jobPath(each.job), each.job),
    moment(each.loadedAt),
    duration(Math.max(0, now - Date.parse(each.loadedAt))),
  ]),
  'No table was loaded.',
)}${more(all.length, shown.length, 'table')}`,
  }
}

/** One table over its nights: rows, changes, quality, time, columns, and who reads it. */
export const tablePage: PageMaker = async ({ metadata, catalog }, { params }) => {
  const { job, table: name } = params as { job: string; table: string }
  const nights = await tableNights(metadata.database, job, name, NIGHTS)
  const latest = nights[0]
  if (!latest) return undefined
  const readers = [...catalog.jobs.values()].filter(({ after }) => after.includes(job)).map(each => each.name)
  const oldestFirst = nights.toReversed()
  const chart = (title: string, of: (night: TableNight) => number, text: (value: number) => string) =>
    html`<div class="figure"><span>${title}</span><b>${text(of(latest))}</b>${bars(
      oldestFirst.map(night => ({
        value: of(night),
        tone: toneOf(night.status),
        title: `${moment(night.loadedAt)}: ${text(of(night))}`,
        href: runPath(night.run),
      })),
    )}</div>`
  const rejected = ({ read, rejected }: TableNight) => (read > 0 ? rejected / read : 0)
  return {
    title: name,
    main: html`<header><h1>${name}</h1>${statusBadge(latest.status)}<p class="meta">loaded by ${link(jobPath(job), job)} · last at ${moment(latest.loadedAt)} · made from ${latest.madeFrom.join(', ') || 'nothing that is known'}${readers.length > 0 ? ` · read by jobs that follow: ${readers.join(', ')}` : ''}</p></header>
<div class="figures">${chart('Rows read', night => night.read, count)}${chart('Rows changed', night => night.inserted + night.updated + night.deleted, count)}${chart('Rejected', rejected, percent)}${chart(
      'The run took',
      night => night.seconds,
      value => duration(value * 1000),
    )}</div>
${section(
  'Nights',
  table(
    [
      'Loaded',
      'Run',
      '#Read',
      '#= Loaded',
      '#+ Unchanged',
      '#+ Rejected',
      '#+ Superseded',
      '#Inserted',
      '#Updated',
      '#Deleted',
    ],
    nights.map(night => [
      moment(night.loadedAt),
      link(runPath(night.run), night.run),
      ...[
        night.read,
        night.loaded,
        night.unchanged,
        night.rejected,
        night.superseded,
        night.inserted,
        night.updated,
        night.deleted,
      ].map(count),
    ]),
  ),
)}
${section(
  'Columns',
  table(
    ['Column', 'Type'],
    latest.columns.map(each => [html`<b>${each.name}</b>`, each.type]),
    'Its columns are not known.',
  ),
)}
${section('Schema history', schemaChanges(oldestFirst))}`,
  }
}

function schemaChanges(nights: TableNight[]): Html {
  const rows = nights.slice(1).flatMap((night, index) => {
    const before = new Map(nights[index]!.columns.map(({ name, type }) => [name, type]))
    const now = new Map(night.columns.map(({ name, type }) => [name, type]))
    const changes = [
      ...[...now].flatMap(([name, type]) =>
        !before.has(name)
          ? [`${name} is new (${type})`]
          : before.get(name) !== type
            ? [`${name}: ${before.get(name)} became ${type}`]
            : [],
      ),
      ...[...before.keys()].filter(name => !now.has(name)).map(name => `${name} is gone`),
    ]
    return changes.length > 0
      ? [[moment(night.loadedAt), link(runPath(night.run), night.run), changes.join('; ')]]
      : []
  })
  return table(['Since', 'Run', 'What'], rows.reverse(), 'Its columns have not changed in these nights.')
}
