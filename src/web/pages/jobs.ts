import { pausedOf } from '../../metadata/pauses.ts'
import { jobsThatRan, seenRuns } from '../../metadata/seen.ts'
import { freshness } from '../../metadata/tableHistory.ts'
import { bars } from '../../report/charts.ts'
import { duration, html, moment, section, table } from '../../report/markup.ts'
import { inWords, toneOf } from '../../report/tones.ts'
import { jobPath, runPath, tablePath } from '../../util/site.ts'
import { mayAct, type PageMaker } from '../context.ts'
import { button, link } from '../layout.ts'
import { runTable } from './runs.ts'

/** Runs of a job's page. */
const RUNS = 60

/** Every job that is served here, or has run. */
export const jobs: PageMaker = async ({ metadata, catalog, clock }) => {
  const [ran, pauses] = await Promise.all([jobsThatRan(metadata.database), metadata.pauses.list()])
  const paused = pausedOf(pauses, 'job')
  const unusable = new Map(catalog.failures.map(({ name, message }) => [name, message]))
  const names = [...new Set([...catalog.jobs.keys(), ...unusable.keys(), ...ran.keys()])].sort()
  const now = clock.now()
  return {
    title: 'Jobs',
    main: html`<h1>Jobs</h1>${table(
      ['Job', 'Begins', 'Next', 'Ran last', 'State'],
      names.map(name => {
        const job = catalog.jobs.get(name)
        const next = job?.cron?.next(now)
        return [
          link(jobPath(name), name),
          job
            ? job.cron
              ? 'by its schedule'
              : job.files
                ? 'when files arrive'
                : job.follow
                  ? 'as its logs change'
                  : job.after.length > 0
                    ? `after ${job.after.join(', ')}`
                    : 'by hand'
            : unusable.has(name)
              ? 'cannot be used'
              : 'is not served here',
          next ? moment(next.toISOString()) : '–',
          ran.has(name) ? moment(ran.get(name)!) : 'never',
          unusable.get(name) ?? (paused.has(name) ? 'paused' : '–'),
        ]
      }),
      'No job is served, and none has run.',
    )}`,
  }
}

/** One job: its runs, intervals and tables. */
export const job: PageMaker = async ({ metadata, catalog, clock }, { params, who }) => {
  const name = params.job!
  const known = catalog.jobs.get(name)
  const [runs, intervals, tables, pauses] = await Promise.all([
    seenRuns(metadata.database, { job: name, limit: RUNS }),
    metadata.intervals.list(name, 20),
    freshness(metadata.database, name),
    metadata.pauses.list(),
  ])
  const wrong = catalog.failures.find(each => each.name === name)
  if (!known && !wrong && runs.length === 0) return undefined
  const pause = pauses.find(each => each.kind === 'job' && each.name === name)
  const path = jobPath(name)
  const readers = [...catalog.jobs.values()].filter(({ after }) => after.includes(name))
  const now = clock.now()
  const next = known?.cron?.next(now)
  return {
    title: name,
    main: html`<header><h1>${name}</h1>${pause ? html`<span class="badge warn">paused</span>` : undefined}
<p class="meta">${next ? `due next at ${moment(next.toISOString())}` : 'no schedule of its own'}${readers.length > 0 ? ` · followed by ${readers.map(each => each.name).join(', ')}` : ''}${pause ? ` · paused by ${pause.paused_by} since ${moment(pause.since)}` : ''}</p></header>
${wrong ? html`<div class="error" role="alert"><p><b>${wrong.message}</b></p></div>` : undefined}
${
  known && mayAct(who)
    ? html`<div class="actions">${button(`${path}/run`, 'Run now')}${pause ? button(`${path}/unpause`, 'Unpause', { quiet: true }) : button(`${path}/pause`, 'Pause', { quiet: true })}</div>`
    : undefined
}
${section(
  'How long it took',
  html`<div class="figure">${bars(
    runs
      .filter(({ ended_at, goal }) => ended_at !== null && goal === 'load')
      .reverse()
      .map(run => {
        const took = Date.parse(run.ended_at!) - Date.parse(run.started_at)
        return {
          value: took,
          tone: toneOf(run.status),
          title: `${moment(run.started_at)}: ${inWords(run.status)} in ${duration(took)}`,
          href: runPath(run.run),
        }
      }),
  )}</div>`,
)}
${section(
  'Tables',
  table(
    ['Table', 'Loaded last'],
    tables.map(each => [link(tablePath(name, each.table), each.table), moment(each.loadedAt)]),
    'It has loaded none.',
  ),
)}
${
  intervals.length > 0
    ? section(
        'Data intervals',
        table(
          ['From', 'To', 'State', 'Run', 'Waits for'],
          intervals.map(each => [
            moment(each.interval_start),
            moment(each.interval_end),
            each.state.toLowerCase(),
            each.run ? link(runPath(each.run), each.run) : '–',
            each.state === 'WAITING' ? (each.waits_for ?? 'its turn') : '–',
          ]),
        ),
      )
    : undefined
}
${section('Runs', runTable(runs, now))}`,
  }
}
