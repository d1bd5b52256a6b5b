import type { Mask } from '../../../engine/mask.ts'
import { type ErrorQuery, type ErrorRecord, type ErrorState, UNCLOSED } from '../../metadata/errorRecords.ts'
import { count, type Html, html, moment, section, table } from '../../report/markup.ts'
import { shownRecord } from '../../runs/mask.ts'
import { jobPath, runPath } from '../../util/site.ts'
import type { Identity } from '../access.ts'
import { mayAct, type PageMaker } from '../context.ts'
import { button, link, more } from '../layout.ts'

const STATES: ErrorState[] = ['open', 'queued', 'reprocessed', 'resolved', 'discarded']
/** Records of one page. */
const PAGE = 100
/** Columns of a row that a list shows. */
const MAX_COLUMNS = 8

export const recordPath = (id: string) => `/errors/${encodeURIComponent(id)}`

/** What a query of the page asks for. Keys are not asked for: whoever sees no value could try them. */
export function errorQuery(query: URLSearchParams): Omit<ErrorQuery, 'limit'> {
  const of = (name: string) => query.get(name)?.trim() || undefined
  const state = of('state') ?? 'open'
  const known = STATES.find(each => each === state)
  return {
    job: of('job'),
    table: of('table'),
    run: of('run'),
    reason: of('reason'),
    ...(known && { state: known }),
  }
}

/** The quarantine: rows that were rejected, by job, table, state and reason. */
export const errors: PageMaker = async ({ metadata, mask }, { query, who }) => {
  const wanted = errorQuery(query)
  const [records, counts] = await Promise.all([
    metadata.errors.list({ ...wanted, limit: PAGE }),
    metadata.errors.count(wanted),
  ])
  const all = counts.reduce((sum, { records }) => sum + Number(records), 0)
  const field = (name: 'job' | 'table' | 'run' | 'reason', text: string) =>
    html`<label>${text}<input name="${name}" value="${wanted[name] ?? ''}"></label>`
  const states = [...STATES, 'all']
  const state = wanted.state ?? 'all'
  return {
    title: 'Errors',
    main: html`<h1>Errors</h1><p class="meta">${count(all)} ${state === 'all' ? '' : state} rejected rows; a correction joins the next run</p>
<form class="filter" method="get">${field('job', 'Job')}${field('table', 'Model or extract')}${field('reason', 'Reason has')}${field('run', 'Run')}
<label>State<select name="state">${states.map(name => html`<option${name === state ? html` selected` : undefined}>${name}</option>`)}</select></label><button>Show</button>
<button class="quiet" formaction="/errors.csv">Export as CSV</button></form>
${section(
  'By reason',
  table(
    ['#Rows', 'Job', 'Table', 'Check', 'State', 'Such as'],
    counts
      .slice(0, PAGE)
      .map(each => [
        count(Number(each.records)),
        each.job,
        link(
          `/errors?${new URLSearchParams({ job: each.job, table: each.table_name, state: each.state })}`,
          each.table_name,
        ),
        each.check_name,
        each.state,
        each.reason,
      ]),
    'No rejected rows.',
  ),
)}${more(counts.length, PAGE, 'reason')}
${records.length > 0 ? section(records.length < all ? `Rows, the latest ${PAGE}` : 'Rows', recordTable(mask, records, who)) : undefined}`,
  }
}

/** Rows with boxes to choose them by, for whoever may act. */
export function recordTable(mask: Mask, records: ErrorRecord[], who: Identity): Html {
  const acts = mayAct(who) && records.some(({ state }) => state === 'open')
  const rows = table(
    [...(acts ? ['Chosen'] : []), 'Row', 'Table', 'Why', 'Values', 'State', 'Found'],
    records.map(record => {
      const shown = shownRecord(mask, record)
      const values = Object.entries(shown.record).slice(0, MAX_COLUMNS)
      const box = html`<input type="checkbox" name="id" value="${record.id}" aria-label="Choose ${shown.row_key ?? record.id}">`
      return [
        ...(acts ? [record.state === 'open' ? box : ''] : []),
        link(recordPath(record.id), shown.row_key ?? record.id.slice(0, 8)),
        record.table_name,
        html`${record.reason}<br><span class="soft">${record.check_name}</span>`,
        html`<code>${values.map(([name, value]) => `${name}=${value ?? 'NULL'}`).join(', ')}</code>`,
        record.state,
        moment(record.created_at),
      ]
    }),
    'None that it was the first to find.',
  )
  if (!acts) return rows
  return html`<form method="post" action="/errors/reprocess"><div class="actions"><label class="row"><input type="checkbox" data-all> all of these</label>
<button>Reprocess chosen</button><button class="quiet" formaction="/errors/discard">Discard chosen</button></div>${rows}</form>`
}

/** One rejected row, to be corrected in place. */
export const errorPage: PageMaker = async ({ metadata, mask, catalog }, { params, who }) => {
  const found = await metadata.errors.find(params.id!)
  if (!found) return undefined
  const shown = shownRecord(mask, found)
  const path = recordPath(found.id)
  const mends = mayAct(who) && found.state === 'open'
  const columns = Object.entries(shown.record)
  return {
    title: `Rejected row of ${found.table_name}`,
    main: html`<header><h1>Rejected row of ${found.table_name}</h1><span class="badge ${found.state === 'open' ? 'warn' : 'plain'}">${found.state}</span>
<p class="meta">${found.job} · key ${shown.row_key ?? 'none'} · found first by run ${link(runPath(found.run), found.run)}, ${moment(found.created_at)}</p></header>
<div class="error"><code>${found.check_name} · ${found.category}</code><p><b>${found.reason}</b></p></div>
${
  mends
    ? section(
        'Correct it',
        html`<p class="soft">The corrected row takes the place of this one in the next run and in later ones, as long as the source gives it, and nothing later with the key that it is given.${
          found.sensitive.length > 0
            ? ' Values of sensitive columns are not shown: what stands for them is left as it is.'
            : ''
        }</p>
<form class="form" method="post" action="${path}/correct">${columns.map(
          (
            [name, value],
            index,
          ) => html`<div class="field"><label>${name}${field(`value-${index}`, value ?? '')}</label>
<label class="row"><input type="checkbox" name="null-${index}"${value === null ? html` checked` : undefined}> NULL</label></div>`,
        )}<button>Correct and reprocess</button></form>
`,
      )
    : section(
        'Row',
        table(
          ['Column', 'Value', 'Correction'],
          columns.map(([name, value]) => [
            html`<b>${name}</b>`,
            value ?? html`<span class="soft">NULL</span>`,
            shown.correction && Object.hasOwn(shown.correction, name)
              ? (shown.correction[name] ?? 'NULL')
              : '–',
          ]),
        ),
      )
}
${mayAct(who) && UNCLOSED.includes(found.state) ? html`<div class="actions">${button('/errors/discard', 'Discard', { quiet: true, confirm: 'Discard this row? It is not told of again, and a correction of it holds no more.', fields: { id: found.id } })}</div>` : undefined}
${mayAct(who) && found.state === 'queued' && catalog.jobs.has(found.job) ? html`<div class="actions">${button(`${jobPath(found.job)}/run`, 'Run the job now')}</div>` : undefined}`,
  }
}

/** What a value is written into: one of several lines would lose their ends in a line. */
const field = (name: string, value: string) =>
  /\n/.test(value)
    ? html`<textarea name="${name}" rows="4">
${value}</textarea>`
    : html`<input name="${name}" value="${value}">`
