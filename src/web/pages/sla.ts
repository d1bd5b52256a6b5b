import { runsBySpan, violationsByDay } from '../../metadata/seen.ts'
import { html, moment, section, table } from '../../report/markup.ts'
import { figure } from '../../sla/targets.ts'
import type { ViolationType } from '../../spec/violation.ts'
import { jobPath, runPath } from '../../util/site.ts'
import type { PageMaker } from '../context.ts'
import { link } from '../layout.ts'

const DAY = 24 * 3600_000
const DAYS = 35

/** Which sla were kept, by job and day. */
export const sla: PageMaker = async ({ metadata, clock }) => {
  const now = clock.now().getTime()
  const days = Array.from({ length: DAYS }, (_, n) =>
    new Date(now - (DAYS - 1 - n) * DAY).toISOString().slice(0, 10),
  )
  const since = days[0]!
  const [spans, missed] = await Promise.all([
    runsBySpan(metadata.database, 'day', since),
    violationsByDay(metadata.database, since),
  ])
  const missedOn = Map.groupBy(missed, ({ job, day }) => `${job} ${day}`)
  const cell = (job: string, day: string, span: (typeof spans)[number] | undefined) => {
    const wrong = missedOn.get(`${job} ${day}`)
    if (wrong) return { level: 3, text: '✕', title: wrong.map(({ type }) => type).join(', ') }
    if (!span) return { level: 0, text: '·', title: 'no run' }
    if (span.failed > 0) return { level: 2, text: '!', title: `${span.failed} of ${span.runs} runs failed` }
    return { level: 1, text: '✓', title: `${span.runs} runs` }
  }
  return {
    title: 'SLA',
    main: html`<h1>SLA</h1><p class="meta">Service level targets of the last ${DAYS} days. ✓ kept · ! a run failed · ✕ missed · no run</p>
<div class="table" role="region" tabindex="0" aria-label="SLA by job and day"><table class="heat"><thead><tr><th scope="col">Job</th>${days.map(
      day => html`<th scope="col" title="${day}">${day.slice(8)}</th>`,
    )}</tr></thead><tbody>${[...Map.groupBy(spans, ({ job }) => job)].slice(0, 200).map(([job, own]) => {
      const by = new Map(own.map(each => [each.span, each]))
      return html`<tr><th scope="row">${link(jobPath(job), job)}</th>${days.map(day => {
        const { level, text, title } = cell(job, day, by.get(day))
        return html`<td class="h${level}" title="${day}: ${title}">${text}</td>`
      })}</tr>`
    })}</tbody></table></div>
${section(
  'Missed',
  table(
    ['Job', 'Day', 'Target', 'Expected', 'Actual', 'Run'],
    missed
      .slice(-200)
      .reverse()
      .map(each => [
        link(jobPath(each.job), each.job),
        moment(each.day),
        each.type.toLowerCase().replaceAll('_', ' '),
        figure(each.type as ViolationType, each.expected),
        figure(each.type as ViolationType, each.actual),
        link(runPath(each.run), each.run),
      ]),
    'None was missed.',
  ),
)}`,
  }
}
