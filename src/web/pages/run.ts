import type { RunDetails } from '../../metadata/runDetails.ts'
import { runDetails } from '../../metadata/runDetails.ts'
import type { RunRecord } from '../../metadata/runs.ts'
import type { ReportData } from '../../report/data.ts'
import { duration, type Html, html, moment, section } from '../../report/markup.ts'
import { reportBody, tasks as taskTimes } from '../../report/sections.ts'
import { statusBadge } from '../../report/tones.ts'
import { isRunning } from '../../util/owner.ts'
import { jobPath, runPath, tablePath } from '../../util/site.ts'
import { mayAct, type PageMaker, type WebContext } from '../context.ts'
import { button, link, part } from '../layout.ts'
import { errorText, statusOf } from '../text.ts'
import { recordTable } from './errors.ts'
import { liveTasks, taskGraph } from './live.ts'

/** Error records that a run's page shows. */
const MAX_RECORDS = 50

/** One run: live while it goes on, its report once it has ended. */
export const run: PageMaker = async (web, { params, who }) => {
  const { metadata, clock, mask } = web
  const record = await metadata.run(params.run!)
  if (!record) return undefined
  const now = clock.now()
  const goesOn = record.status === 'RUNNING' && isRunning(record, now)
  const [details, tasks, records] = await Promise.all([
    runDetails<ReportData>(metadata.database, record.run),
    metadata.tasks(record.run),
    metadata.errors.list({ run: record.run, limit: MAX_RECORDS }),
  ])
  const started = Date.parse(record.started_at)
  const times = tasks.map(({ task, started_at, ended_at }) => ({
    name: task,
    startMs: Date.parse(started_at) - started,
    endMs: (ended_at ? Date.parse(ended_at) : now.getTime()) - started,
  }))
  const { report } = details
  return {
    title: `${record.job}, run ${record.run}`,
    isLive: goesOn,
    main: html`${part('head', head(record, goesOn, now))}
${mayAct(who) ? part('actions', actions(web, record, goesOn, report)) : undefined}
${part('live', goesOn ? section('Now', liveTasks(details.live)) : undefined)}
${part('graph', section('Tasks', taskGraph(details.graph, tasks, details.live)))}
${part('report', goesOn ? undefined : ending(record, report))}
${part('times', section('Time by task', taskTimes({ tasks: times })))}
${section('Rejected rows', html`${recordTable(mask, records, who)}<p>${link(`/errors?${new URLSearchParams({ job: record.job })}`, 'All open rows of the job')}</p>`)}
${part('log', section('Log', log(details)))}`,
  }
}

function head(record: RunRecord, goesOn: boolean, now: Date): Html {
  const end = record.ended_at ? Date.parse(record.ended_at) : now.getTime()
  return html`<header><h1>${link(jobPath(record.job), record.job)}</h1>${statusBadge(statusOf(record, now))}
<p class="meta">Run <code>${record.run}</code> · ${record.trigger} · began ${moment(record.started_at)} · ${record.ended_at || goesOn ? `took ${duration(end - Date.parse(record.started_at))}${goesOn ? ' so far' : ''}` : 'its process is gone'}${record.attempt > 1 ? ` · attempt ${record.attempt}` : ''}${
    record.interval_start
      ? ` · data of ${moment(record.interval_start)} – ${moment(record.interval_end!)}`
      : ''
  }${record.cancel_requested > 0 && goesOn ? ' · is being stopped' : ''}</p></header>`
}

/** The report where there is one; else as much as the history knows. */
function ending({ error, status, run }: RunRecord, report: ReportData | undefined): Html {
  const download = html`<p>${link(`${runPath(run)}/report.html`, 'The report as one file')} · ${link(`${runPath(run)}/report.json`, 'as JSON')}</p>`
  if (report) return html`${reportBody(report)}${download}`
  if (status !== 'FAILED') return html``
  return html`<div class="error" role="alert"><p><b>${errorText(error)}</b></p></div>`
}

function actions(
  { catalog }: WebContext,
  record: RunRecord,
  goesOn: boolean,
  report: ReportData | undefined,
): Html {
  const { run, job, status, goal } = record
  const path = runPath(run)
  if (goesOn)
    return html`<div class="actions">${button(`${path}/cancel`, 'Cancel at the next commit', { quiet: true })}${button(
      `${path}/stop`,
      'Stop at once',
      { quiet: true, confirm: 'Stop this run at once? What is committed is kept, and resume goes on.' },
    )}</div>`
  const isFailed = status === 'FAILED' || status === 'RUNNING'
  const folder = catalog.jobs.get(job)
  const tables = (report?.loads ?? []).map(({ table }) => table)
  return html`<div class="actions">${
    isFailed
      ? html`${button(`${path}/resume`, 'Resume')}${button(`${path}/accept`, 'Resume with the files as they are now', { quiet: true })}`
      : undefined
  }${folder && goal === 'load' ? button(`${jobPath(job)}/run`, 'Run the job again', { quiet: isFailed }) : undefined}${
    folder && status === 'PLANNED' ? button(`${path}/load`, 'Load this plan') : undefined
  }${
    folder && tables.length > 0
      ? button(`${jobPath(job)}/refresh`, 'Full refresh', {
          quiet: true,
          confirm: 'Read whole what this table is made from, and compare every row with the target?',
          extra: html`<label>Table<select name="table">${tables.map(name => html`<option>${name}</option>`)}</select></label>`,
        })
      : undefined
  }</div>${
    report && report.loads.length > 0
      ? html`<p>Tables: ${report.loads.map(({ table, to }, index) => html`${index > 0 ? ', ' : ''}${link(tablePath(job, `${to}.${table}`), `${to}.${table}`)}`)}</p>`
      : undefined
  }`
}

const log = ({ log }: Pick<RunDetails, 'log'>) =>
  log.length === 0
    ? html`<p class="soft">It has said nothing.</p>`
    : html`<div class="log" role="region" tabindex="0" aria-label="Log">${log.map(
        ({ at, text }) => html`<time>${at.slice(11, 19)}</time> ${text}
`,
      )}</div>`
