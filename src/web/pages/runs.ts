import { type SeenRun, seenRuns } from '../../metadata/seen.ts'
import { count, duration, html, moment, percent, table } from '../../report/markup.ts'
import { inWords, statusBadge } from '../../report/tones.ts'
import { jobPath, runPath } from '../../util/site.ts'
import type { PageMaker } from '../context.ts'
import { link } from '../layout.ts'
import { errorText, statusOf } from '../text.ts'

/** Runs of one page. */
const PAGE = 50
const STATUSES = ['RUNNING', 'SUCCESS', 'COMPLETED_WITH_ERRORS', 'FAILED', 'PLANNED']

/** All runs, newest first, by job and status. */
export const runs: PageMaker = async ({ metadata, clock }, { query }) => {
  const job = query.get('job') || undefined
  const status = STATUSES.find(name => name === query.get('status'))
  const [started_at, last] = (query.get('after') ?? '').split(' ')
  const after = started_at && last ? { started_at, run: last } : undefined
  const found = await seenRuns(metadata.database, { job, status, after, limit: PAGE + 1 })
  const shown = found.slice(0, PAGE)
  const end = shown.at(-1)
  const older = new URLSearchParams({
    ...(job && { job }),
    ...(status && { status }),
    ...(end && { after: `${end.started_at} ${end.run}` }),
  })
  return {
    title: 'Runs',
    main: html`<h1>Runs</h1>
<form class="filter" method="get"><label>Job<input name="job" value="${job ?? ''}"></label>
<label>Status<select name="status"><option value="">all</option>${STATUSES.map(
      name =>
        html`<option value="${name}"${name === status ? html` selected` : undefined}>${inWords(name)}</option>`,
    )}</select></label><button>Show</button></form>
${runTable(shown, clock.now())}${found.length > PAGE ? html`<p>${link(`/runs?${older}`, 'Older')}</p>` : undefined}`,
  }
}

export const runTable = (runs: SeenRun[], now: Date) =>
  table(
    ['Status', 'Job', 'Run', 'Began', 'Took', '#Read', '#Loaded', '#Error rate', 'Why'],
    runs.map(each => [
      statusBadge(statusOf(each, now)),
      link(jobPath(each.job), each.job),
      link(runPath(each.run), each.run),
      moment(each.started_at),
      each.ended_at ? duration(Date.parse(each.ended_at) - Date.parse(each.started_at)) : '–',
      ...[each.rows_read, each.rows_loaded].map(rows => (rows === null ? '–' : count(rows))),
      each.error_rate === null ? '–' : percent(each.error_rate),
      errorText(each.error),
    ]),
    'No run.',
  )
