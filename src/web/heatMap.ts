import { type Html, html } from '../report/markup.ts'
import { jobPath } from '../util/site.ts'
import { link } from './layout.ts'

/** What a job did in one span of time; `level`: 0, nothing, to 3, bad. */
export interface HeatCell {
  level: 0 | 1 | 2 | 3
  text: string
  title?: string
}

/** A job a row, a span of time a column; `title`: more than the heading has room for. */
export function heatMap(
  label: string,
  columns: { text: string; title?: string }[],
  rows: { job: string; cells: HeatCell[] }[],
): Html {
  const titled = (title: string | undefined) => (title === undefined ? undefined : html` title="${title}"`)
  return html`<div class="table" role="region" tabindex="0" aria-label="${label}"><table class="heat"><thead><tr><th scope="col">Job</th>${columns.map(
    ({ text, title }) => html`<th scope="col"${titled(title)}>${text}</th>`,
  )}</tr></thead><tbody>${rows.map(
    ({ job, cells }) =>
      html`<tr><th scope="row">${link(jobPath(job), job)}</th>${cells.map(
        ({ level, text, title }) => html`<td class="h${level}"${titled(title)}>${text}</td>`,
      )}</tr>`,
  )}</tbody></table></div>`
}
