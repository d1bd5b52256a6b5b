import { counted } from '../../../engine/plural.ts'
import { runsBySpan, type SpanOfRuns, violationsByDay } from '../../metadata/seen.ts'
import { html, moment, section, table } from '../../report/markup.ts'
import { inWords } from '../../report/tones.ts'
import { figure } from '../../sla/targets.ts'
import { jobPath, runPath } from '../../util/site.ts'
import type { PageMaker } from '../context.ts'
import { type HeatCell, heatMap } from '../heatMap.ts'
import { link, more } from '../layout.ts'

const DAY = 24 * 3600_000
const DAYS = 35
/** Of the map, and of what was missed. */
const MAX_ROWS = 200

/** Which SLA targets were kept, by job and day. */
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
  const missedOf = new Map([...Map.groupBy(missed, ({ job }) => job)].map(([job, all]) => [job, all.length]))
  const cell = (job: string, day: string, span: SpanOfRuns | undefined): HeatCell => {
    const wrong = missedOn.get(`${job} ${day}`)
    if (wrong) return { level: 3, text: '✕', title: `${day}: ${wrong.map(({ type }) => type).join(', ')}` }
    if (!span) return { level: 0, text: '·', title: `${day}: no run` }
    const { failed, runs } = span
    if (failed > 0)
      return { level: 2, text: '!', title: `${day}: ${failed} of ${counted(runs, 'run')} failed` }
    return { level: 1, text: '✓', title: `${day}: ${counted(runs, 'run')}` }
  }
  const byJob = [...Map.groupBy(spans, ({ job }) => job)]
  const worst = ([job, own]: [string, SpanOfRuns[]]) =>
    (missedOf.get(job) ?? 0) * days.length + own.filter(({ failed }) => failed > 0).length
  byJob.sort((a, b) => worst(b) - worst(a))
  const rows = byJob.slice(0, MAX_ROWS).map(([job, own]) => {
    const by = new Map(own.map(each => [each.span, each]))
    return { job, cells: days.map(day => cell(job, day, by.get(day))) }
  })
  return {
    title: 'SLA',
    main: html`<h1>SLA</h1><p class="meta">Service level targets of the last ${DAYS} days. ✓ kept · ! a run failed · ✕ missed · no run</p>
${heatMap(
  'SLA by job and day',
  days.map(day => ({ text: day.slice(8), title: day })),
  rows,
)}${more(byJob.length, rows.length, 'job', '/jobs')}
${section(
  'Missed',
  table(
    ['Job', 'Day', 'Target', 'Expected', 'Actual', 'Run'],
    missed
      .slice(-MAX_ROWS)
      .reverse()
      .map(each => [
        link(jobPath(each.job), each.job),
        moment(each.day),
        inWords(each.type),
        figure(each.type, each.expected),
        figure(each.type, each.actual),
        link(runPath(each.run), each.run),
      ]),
    'None was missed.',
  ),
)}${more(missed.length, MAX_ROWS, 'target')}`,
  }
}
