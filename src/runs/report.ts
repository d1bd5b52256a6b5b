import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { errorData } from '../../engine/errors.ts'
import type { Outcome } from '../../engine/pipeline.ts'
import type { CheckResult } from '../../engine/quality/rowChecks.ts'
import { type RunContext, runFolder } from '../../engine/runtime/context.ts'
import { quoteName } from '../../engine/sql/duckdb.ts'
import { goodRows } from '../../engine/staging/dataSet.ts'
import { atomicWrite, rowsIn } from '../../engine/staging/store.ts'
import { remedy, runInterval } from '../alerts/remedy.ts'
import type { Metadata } from '../metadata/metadata.ts'
import type { TaskRecord } from '../metadata/tasks.ts'
import type { PastNight, ReportCheck, ReportData } from '../report/data.ts'
import { renderReport, reportJson } from '../report/html.ts'
import { figure, type SlaResult } from '../sla/targets.ts'
import type { JobSpec } from '../spec/job.ts'
import { runPath, siteOf } from '../util/site.ts'
import type { HeldRun } from './heldRun.ts'
import type { RunOptions } from './options.ts'
import type { RunResult } from './result.ts'
import type { JobContext } from './session.ts'

/** A run's end, as far as it is known when its report is written. */
interface Finished extends Pick<RunResult, 'run' | 'job' | 'status' | 'outcome' | 'error'> {
  tasks: TaskRecord[]
  slaResults: SlaResult[]
}

/** What the report of a run says. Without a `context` nothing was read that could be profiled. */
export async function makeReport(
  { home, env, clock, metadata }: Pick<RunOptions, 'home' | 'env' | 'clock' | 'metadata'>,
  { spec, started, record }: Pick<HeldRun, 'spec' | 'started' | 'record'>,
  context: JobContext | undefined,
  finished: Finished,
): Promise<ReportData> {
  const profiles = context ? await profile(context, finished.outcome) : []
  const { error, run, tasks } = finished
  const { interval_start: start, trigger } = record
  const site = siteOf(env)
  const isBegun = tasks.some(({ status }) => status === 'SUCCESS')
  const interval = start === null ? undefined : runInterval(start, trigger)
  return {
    ...reportData(spec, started, clock.now(), finished, profiles),
    past: await pastNights(metadata, spec.job, run),
    ...(site && { page: `${site}${runPath(run)}` }),
    ...(error !== undefined && {
      remedy: remedy({ folder: spec.folder, home, env }, error, {
        run,
        isBegun,
        ...(interval && { interval }),
      }),
    }),
  }
}

/** Nights that a report compares with. */
const PAST = 14

async function pastNights(metadata: Metadata, job: string, run: string): Promise<PastNight[]> {
  const nights = await metadata.history({ job, limit: PAST + 1 })
  return nights
    .filter(night => night.run !== run && night.ended_at !== null && night.status !== 'PLANNED')
    .slice(0, PAST)
    .map(night => ({
      run: night.run,
      startedAt: night.started_at,
      status: STATUS[night.status],
      seconds: night.duration_seconds ?? 0,
      read: night.rows_read ?? 0,
      loaded: night.rows_loaded ?? 0,
      errorRate: night.error_rate ?? 0,
    }))
    .reverse()
}

/** Writes a run's report beside its staged data, for people and as JSON; gives the path of the first. */
export async function writeReport(
  home: string,
  run: { spec: JobSpec; run: string },
  data: ReportData,
): Promise<string> {
  const folder = join(home, 'staging', runFolder(run))
  const path = join(folder, 'report.html')
  await atomicWrite(path, temporary => writeFileSync(temporary, renderReport(data)))
  await atomicWrite(join(folder, 'report.json'), temporary => writeFileSync(temporary, reportJson(data)))
  return path
}

/** A check's result as people may see it, with the column that it is of, and how many rows it judged. */
function placed(
  { value, hidden, ...check }: CheckResult,
  { checks }: JobSpec,
  { tables }: Outcome,
): ReportCheck {
  const { name, model } = check
  const column = checks.find(each => each.name === name && each.model === model)?.columns?.[0]
  const judged = model === undefined ? undefined : tables.findLast(table => table.name === model)
  return {
    ...check,
    ...(value !== undefined && !hidden && { value }),
    ...(column && { column }),
    ...(judged && { of: judged.rows }),
  }
}

const STATUS = {
  SUCCESS: 'succeeded',
  COMPLETED_WITH_ERRORS: 'completed with errors',
  FAILED: 'failed',
  PLANNED: 'planned',
  RUNNING: 'running',
} as const

function reportData(
  spec: JobSpec,
  started: Date,
  now: Date,
  finished: Finished,
  profiles: ReportData['profile'],
): ReportData {
  const { outcome, tasks, slaResults, error } = finished
  const { code, message, hint } = errorData(error)
  const minQualityScore = spec.sla?.minQualityScore
  return {
    job: finished.job,
    ...(spec.environment !== undefined && { environment: spec.environment }),
    run: finished.run,
    status: STATUS[finished.status],
    startedAt: started.toISOString(),
    finishedAt: now.toISOString(),
    extracts: outcome.extracted.map(({ extract, rows, parts, note }) => {
      const read = outcome.reads.find(read => read.extract === extract)!
      const notes = [...read.notes, ...(note ? [note] : [])].join('; ') || undefined
      return {
        name: extract,
        from: read.from,
        rows,
        parts: parts.length,
        since: read.since?.value,
        note: notes,
      }
    }),
    models: outcome.tables
      .filter(table => table.checks.length > 0 || table.taken || table.updated)
      .map(({ name, rows, rejected, marked, corrected, taken, updated }) => ({
        name,
        ...(taken && { takenFrom: taken }),
        ...(updated && { updated }),
        rows,
        rejected,
        warned: marked - rejected,
        corrected: corrected?.applied.length ?? 0,
      })),
    checks: outcome.checks.map(check => placed(check, spec, outcome)),
    loads: outcome.loaded,
    accounts: outcome.accounts.loads,
    plans: outcome.previews,
    verifications: outcome.verifications,
    errorRate: outcome.quality.errorRate,
    maxErrorRate: spec.quality.maxErrorRate,
    qualityScore: outcome.quality.score,
    ...(minQualityScore !== undefined && { minQualityScore }),
    sla: slaResults.map(({ about, type, expected, actual, kept }) => ({
      name: about,
      target: figure(type, expected),
      actual: figure(type, actual),
      kept,
    })),
    profile: profiles,
    tasks: tasks.flatMap(({ task, started_at, ended_at }) =>
      ended_at
        ? [
            {
              name: task,
              startMs: Date.parse(started_at) - started.getTime(),
              endMs: Date.parse(ended_at) - started.getTime(),
            },
          ]
        : [],
    ),
    ...(error !== undefined && { error: { code: code ?? 'UNEXPECTED', message, hint } }),
  }
}

/** Rows of a model that its profile reads at most, spread over all: counting distinct values costs more than the night. */
const PROFILED = 250_000
/** Parts that they are read from at most: to skip rows of a part takes almost as long as to read them. */
const PROFILED_PARTS = 12
/** Columns that are profiled at a time. */
const PROFILED_TOGETHER = 64
/** DuckDB reads so many rows at once, or skips them. */
const VECTOR = 2048

/** Per column of each loaded model's good rows: share of NULLs, distinct values (approximate), range. */
async function profile(
  { duck, root, spec, mask }: RunContext,
  { tables }: Outcome,
): Promise<ReportData['profile']> {
  const profiles: ReportData['profile'] = []
  for (const { name, columns, parts, findings, rows } of tables) {
    if (!parts || !spec.loads.some(load => load.from === name)) continue
    // Findings name rows by their numbers among all.
    const some = findings || rows <= PROFILED ? parts : spread(parts, PROFILED_PARTS)
    const every = Math.ceil(rowsIn(some) / PROFILED)
    const sample = every > 1 ? ` WHERE file_row_number // ${VECTOR} % ${every} = 0` : ''
    const from = `(${goodRows(root, { parts: some, findings }, true)})${sample}`
    const row: Record<string, unknown> = {}
    // The figures of a column take memory of their own.
    for (let start = 0; start < columns.length; start += PROFILED_TOGETHER) {
      const figures = columns.slice(start, start + PROFILED_TOGETHER).map(({ name }, index) => {
        const column = quoteName(name)
        const at = start + index
        return `count(${column}) AS n${at}, approx_count_distinct(${column}) AS d${at}, min(${column})::VARCHAR AS l${at}, max(${column})::VARCHAR AS h${at}`
      })
      Object.assign(row, (await duck.rows(`SELECT count(*) AS total, ${figures.join(', ')} FROM ${from}`))[0])
    }
    const total = Number(row.total)
    const sensitive = mask.columnsOf(name)
    const shown = (column: string, value: unknown) => mask.value(sensitive, column, textOf(value))
    profiles.push({
      model: name,
      ...((every > 1 || some.length < parts.length) && { sample: total }),
      columns: columns.map((column, index) => ({
        name: column.name,
        type: column.native,
        nullShare: total === 0 ? 0 : 1 - Number(row[`n${index}`]) / total,
        distinct: Number(row[`d${index}`]),
        min: shown(column.name, row[`l${index}`]),
        max: shown(column.name, row[`h${index}`]),
      })),
    })
  }
  return profiles
}

/** So many of a list at most, its first and its last among them. */
function spread<T>(list: T[], most: number): T[] {
  if (list.length <= most) return list
  return Array.from(
    { length: most },
    (_, index) => list[Math.round((index * (list.length - 1)) / (most - 1))]!,
  )
}

const textOf = (value: unknown) => (value === null ? null : String(value))
