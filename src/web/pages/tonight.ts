import { counted } from '../../../engine/plural.ts'
import { pausedOf } from '../../metadata/pauses.ts'
import { liveStates } from '../../metadata/runDetails.ts'
import {
  type JobTonight,
  jobsSince,
  jobsThatRan,
  openWarnings,
  runsBySpan,
  type SeenRun,
  type SpanOfRuns,
  seenRuns,
} from '../../metadata/seen.ts'
import { bars, gantt, meter } from '../../report/charts.ts'
import {
  count,
  duration,
  figure,
  type Html,
  html,
  moment,
  percent,
  section,
  table,
} from '../../report/markup.ts'
import { inWords, toneOf } from '../../report/tones.ts'
import type { Catalog } from '../../service/catalog.ts'
import type { Alert } from '../../spec/alert.ts'
import { isRunning } from '../../util/owner.ts'
import { jobPath, runPath } from '../../util/site.ts'
import type { PageMaker } from '../context.ts'
import { type HeatCell, heatMap } from '../heatMap.ts'
import { link, more, part } from '../layout.ts'
import { errorText, statusOf } from '../text.ts'
import { liveTasks } from './live.ts'

const HOUR = 3600_000
const HOURS = 24
/** Runs of a timeline. */
const MAX_RUNS = 2000
/** Rows of each part, jobs of a timeline or a heat map: what failed and what runs comes first. */
const MAX_JOBS = 40

/** What ran, runs, waits, failed and will be late, in the last 24 hours. */
export const tonight: PageMaker = async ({ metadata, catalog, clock, seen }) => {
  const { database } = metadata
  const now = clock.now()
  const since = new Date(now.getTime() - HOURS * HOUR).toISOString()
  const jobs = await jobsSince(database, since)
  const shown = jobs.slice(0, MAX_JOBS)
  const [runs, failed, spans, unended, warnings, open, pauses, ran] = await Promise.all([
    shown.length > 0 ? seenRuns(database, { jobs: shown.map(({ job }) => job), since, limit: MAX_RUNS }) : [],
    seenRuns(database, { status: 'FAILED', since, limit: MAX_JOBS }),
    runsBySpan(database, 'hour', since),
    liveStates(database),
    openWarnings(database),
    metadata.intervals.open(),
    metadata.pauses.list(),
    jobsThatRan(database),
  ])
  const waiting = open.filter(({ state }) => state === 'WAITING')
  const live = unended.filter(run => isRunning(run, now))
  const gone = unended.filter(run => !live.includes(run))
  const sum = (of: Exclude<keyof JobTonight, 'job'>) => jobs.reduce((n, job) => n + job[of], 0)
  const trouble = seen.trouble()
  const use = seen.machine.read()
  return {
    title: 'Tonight',
    isLive: true,
    main: html`<h1>Tonight</h1><p class="meta">The last 24 hours, until ${moment(now.toISOString())}</p>
${part('trouble', trouble ? html`<div class="error" role="alert"><p><b>${trouble}</b></p></div>` : undefined)}
${part(
  'figures',
  html`<div class="figures">${figure('Ran', count(sum('done')), `${counted(rowsChanged(spans), 'row', count)} changed`)}${figure('Running', count(live.length), live.length === 0 ? 'nothing now' : 'see below')}${figure('Waiting', count(waiting.length), 'queue depth')}${figure('Failed', count(sum('failed')), gone.length > 0 ? `and ${count(gone.length)} interrupted` : 'in 24 hours', sum('failed') + gone.length > 0)}${figure('Late, or will be', count(warnings.length), 'by SLA and locks', warnings.length > 0)}</div>`,
)}
${part('running', section('Runs now', running(live)))}
${part('gone', gone.length > 0 ? section('Interrupted: their processes are gone', interrupted(gone)) : undefined)}
${part('late', warnings.length > 0 ? section('Late, or will be', late(warnings)) : undefined)}
${part('failed', failed.length > 0 ? section('Failed', html`${failedRuns(failed)}${more(sum('failed'), failed.length, 'run', '/runs?status=FAILED')}`) : undefined)}
${part('waiting', waiting.length > 0 ? section('Waits', waits(waiting)) : undefined)}
${part('timeline', section('Timeline', html`${timeline(runs, shown, since, now)}${more(jobs.length, shown.length, 'job', '/jobs')}`))}
${part('throughput', section('Throughput', throughput(spans, now)))}
${part('heat', section('Error rate by job and hour', html`${heat(spans, shown, now)}${more(jobs.length, shown.length, 'job', '/jobs')}`))}
${part('machine', section('This machine', html`<div class="tasks">${meter('Processors', use.cpu)}${meter('Memory', use.memory)}${meter('Disk', use.disk)}</div>`))}
${part('next', section('Next', next(catalog, pausedOf(pauses, 'job'), ran, now)))}`,
  }
}

const rowsChanged = (spans: SpanOfRuns[]) => spans.reduce((sum, { processed }) => sum + processed, 0)

function running(live: Awaited<ReturnType<typeof liveStates>>): Html {
  if (live.length === 0) return html`<p class="soft">Nothing runs.</p>`
  return html`${live
    .slice(0, MAX_JOBS)
    .map(
      ({ run, job, live }) =>
        html`<div class="now"><b>${link(runPath(run), job)}</b> <span class="soft">run ${run}${live ? ` · ${percent(live.cpu)} of the processors · ${count(Math.round(live.memory / 1e6))} MB` : ''}</span>${liveTasks(live)}</div>`,
    )}${more(live.length, MAX_JOBS, 'run', '/runs?status=RUNNING')}`
}

/** What the scheduler does not begin again by itself says its own page. */
const interrupted = (gone: { run: string; job: string }[]) =>
  html`${table(
    ['Job', 'Run'],
    gone.slice(0, MAX_JOBS).map(({ run, job }) => [link(jobPath(job), job), link(runPath(run), run)]),
  )}${more(gone.length, MAX_JOBS, 'run', '/runs?status=RUNNING')}`

const late = (warnings: { job: string; payload: string }[]) =>
  html`${table(
    ['Job', 'What'],
    warnings.slice(0, MAX_JOBS).map(({ job, payload }) => {
      const { alert } = JSON.parse(payload) as { alert: Alert }
      return [link(alert.run ? runPath(alert.run) : jobPath(job), job), alert.what]
    }),
  )}${more(warnings.length, MAX_JOBS, 'warning')}`

const failedRuns = (runs: SeenRun[]) =>
  table(
    ['Job', 'Run', 'Began', 'Why'],
    runs.map(({ job, run, started_at, error }) => [
      link(jobPath(job), job),
      link(runPath(run), run),
      moment(started_at),
      errorText(error),
    ]),
  )

const waits = (
  waiting: { job: string; interval_start: string; waits_for: string | null; waits_since: string | null }[],
) =>
  html`${table(
    ['Job', 'Data from', 'Waits for', 'Since'],
    waiting
      .slice(0, MAX_JOBS)
      .map(({ job, interval_start, waits_for, waits_since }) => [
        link(jobPath(job), job),
        moment(interval_start),
        waits_for ?? 'its turn',
        waits_since ? moment(waits_since) : '–',
      ]),
  )}${more(waiting.length, MAX_JOBS, 'data interval')}`

function timeline(runs: SeenRun[], jobs: JobTonight[], since: string, now: Date): Html {
  const byJob = Map.groupBy(runs, ({ job }) => job)
  const rows = jobs.map(({ job, runs }) => ({
    label: link(jobPath(job), job),
    note: counted(runs, 'run', count),
    spans: (byJob.get(job) ?? []).map(run => {
      const end = run.ended_at ? Date.parse(run.ended_at) : now.getTime()
      const status = statusOf(run, now)
      return {
        from: Date.parse(run.started_at),
        to: end,
        tone: toneOf(status),
        title: `${job} ${inWords(status)}, ${moment(run.started_at)}, ${duration(end - Date.parse(run.started_at))}`,
        href: runPath(run.run),
      }
    }),
  }))
  const rest =
    runs.length === MAX_RUNS
      ? html`<p class="soft">The latest ${counted(MAX_RUNS, 'run', count)} of these jobs</p>`
      : undefined
  return html`${gantt(rows, { from: Date.parse(since), to: now.getTime() }, 'Nothing has run.')}${rest}`
}

/** The last 24 hours, as the beginnings of their ISO texts, oldest first. */
const hoursUntil = (now: Date) =>
  Array.from({ length: HOURS }, (_, n) =>
    new Date(now.getTime() - (HOURS - 1 - n) * HOUR).toISOString().slice(0, 13),
  )

function throughput(spans: SpanOfRuns[], now: Date): Html {
  const by = Map.groupBy(spans, ({ span }) => span)
  const hours = hoursUntil(now).map(hour => {
    const processed = rowsChanged(by.get(hour) ?? [])
    return {
      value: processed,
      tone: 'bar' as const,
      title: `${hour.slice(11)}:00: ${counted(processed, 'row', count)} changed`,
    }
  })
  return html`<div class="figure"><span>Rows inserted, updated and deleted, by the hour in which their run began</span>${bars(hours)}</div>`
}

function heat(spans: SpanOfRuns[], jobs: JobTonight[], now: Date): Html {
  const byJob = Map.groupBy(spans, ({ job }) => job)
  const own = jobs.flatMap(({ job }) => (byJob.has(job) ? [[job, byJob.get(job)!] as const] : []))
  if (own.length === 0) return html`<p class="soft">Nothing has run.</p>`
  const hours = hoursUntil(now)
  const columns = hours.map(hour => ({ text: hour.slice(11) }))
  const rows = own.map(([job, hourly]) => {
    const by = new Map(hourly.map(each => [each.span, each]))
    return { job, cells: hours.map(hour => heatCell(by.get(hour))) }
  })
  return html`${heatMap('Error rate by job and hour', columns, rows)}<p class="soft">Of the worst table and run, in percent; ✕: a run failed.</p>`
}

function heatCell(span: SpanOfRuns | undefined): HeatCell {
  if (!span) return { level: 0, text: '·' }
  const { rate, failed } = span
  const level = failed > 0 || rate > 0.05 ? 3 : rate > 0 ? 2 : 1
  const text = `${failed > 0 ? '✕' : ''}${rate > 0 ? (Math.ceil(rate * 1000) / 10).toFixed(1) : failed > 0 ? '' : '0'}`
  return {
    level,
    text,
    title: `error rate ${percent(rate)}, ${failed} of ${counted(span.runs, 'run')} failed`,
  }
}

function next({ jobs }: Catalog, paused: Set<string>, ran: Map<string, string>, now: Date): Html {
  const due = [...jobs.values()]
    .flatMap(({ name, cron }) => {
      const at = cron?.next(now)
      return at && !paused.has(name) ? [{ name, at }] : []
    })
    .sort((a, b) => a.at.getTime() - b.at.getTime())
    .slice(0, 10)
  return table(
    ['Job', 'Due', 'Ran last'],
    due.map(({ name, at }) => [
      link(jobPath(name), name),
      moment(at.toISOString()),
      ran.has(name) ? moment(ran.get(name)!) : 'never',
    ]),
    'No job has a schedule.',
  )
}
