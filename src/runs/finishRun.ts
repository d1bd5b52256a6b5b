import { taskName } from '../../engine/contracts/taskName.ts'
import type { TaskStore } from '../../engine/contracts/tasks.ts'
import { EngineError, errorData, errorFrom } from '../../engine/errors.ts'
import type { Mask } from '../../engine/mask.ts'
import type { Outcome } from '../../engine/pipeline.ts'
import { counted } from '../../engine/plural.ts'
import { total } from '../../engine/quality/accounts.ts'
import type { Corrected } from '../../engine/runtime/correction.ts'
import { rowsIn } from '../../engine/staging/store.ts'
import { type Counted, countAlert } from '../metadata/alerts.ts'
import type { ErrorRecord } from '../metadata/errorRecords.ts'
import type { Metadata } from '../metadata/metadata.ts'
import { isDone } from '../metadata/runs.ts'
import type { ReportData } from '../report/data.ts'
import { legible } from '../util/printable.ts'
import { redact } from '../util/redact.ts'
import type { ArchiveOutcome } from './archive.ts'
import { deltasOf } from './deltas.ts'
import {
  correctedOf,
  findResolved,
  type JudgedAgain,
  keepErrors,
  queuedAgain,
  settleErrors,
} from './errors.ts'
import { estimateSeconds } from './estimate.ts'
import { changedRows, figuresOf, measuredBy, tablesOf, totalsOf } from './figures.ts'
import type { HeldRun } from './heldRun.ts'
import type { RunOptions } from './options.ts'
import { makeReport, writeReport } from './report.ts'
import type { RunResult } from './result.ts'
import { sendReport } from './sendReport.ts'
import { sendTrace } from './sendTrace.ts'
import type { JobContext } from './session.ts'

/** How far a run got: `context` is absent where not everything could be opened, `error` where nothing failed. */
export interface Reached {
  context?: JobContext
  error?: unknown
  archive?: ArchiveOutcome
}

/**
 * Ends a run, whatever it has got to: error records, report, everything closed (`session`), history, alerts. One of
 * these that fails is told, and keeps none of the others from being tried. Throws only FENCED, where it is not ours to end, and what keeps
 * the store from being told of the end: then it is left to whoever continues the run.
 */
export async function finishRun(
  options: RunOptions,
  held: HeldRun,
  reached: Reached,
  session: AsyncDisposableStack,
): Promise<RunResult> {
  const { metadata, clock, progress } = options
  const { spec, record, outcome, monitor } = held
  const { run, job } = record
  let error = reached.error === undefined ? undefined : held.causeOf(reached.error)
  const rejects = await keepRejects(options, held, reached.context).catch(failure => {
    error ??= failure
    return undefined
  })
  const isEnded = held.isEndedHere(error)
  if (isEnded) error = undefined
  // Drivers and files quote what they were given: mask it once, for history, report and terminal alike.
  if (error !== undefined) error = masked(error, options.secrets, held.mask)
  if (error !== undefined) held.log.error({ error: errorData(error) }, 'run failed')
  const isOurs = !isFenced(error)
  const status = statusOf(outcome, error, options.goal === 'plan' || isEnded)
  const seconds = (clock.now().getTime() - held.started.getTime()) / 1000
  const result = {
    run,
    job,
    ...(spec.environment !== undefined && { environment: spec.environment }),
    status,
    resumed: held.resumed,
    seconds,
    outcome,
    error,
    archive: reached.archive,
    estimates: {},
  } as const
  const tasks = held.isLost ? [] : await metadata.tasks(run).catch(() => [])
  const slaResults = await monitor.judged()
  const { path: report, data } = isOurs
    ? await keepReport(options, held, reached.context, { ...result, tasks, slaResults })
    : NO_REPORT
  await session.disposeAsync().catch(failure => {
    held.log.error({ reason: errorData(failure).message }, 'not everything could be closed')
  })
  if (!isOurs) throw error
  await held.live.end()
  const figures = figuresOf(outcome, held.live, record.run_at)
  const tables = tablesOf(spec, outcome)
  const isLoaded = isDone(status)
  const alert = monitor.alertOf({ ...result, tasks, report })
  let counted: Counted[] | undefined
  try {
    if (isLoaded && rejects) {
      const begun = new Map(tasks.map(({ task, started_at }) => [task, started_at]))
      const asOf = (table: string) =>
        begun.get(taskName('model', table)) ??
        begun.get(taskName('types', table)) ??
        held.started.toISOString()
      await settleErrors(
        metadata,
        { run, asOf },
        rejects.corrected,
        rejects.queued,
        rejects.again,
        progress.note,
      )
      await metadata.errors.resolve(rejects.resolved, run, 'open')
    }
    if (isLoaded) await metadata.checkpoints.clear(run)
    const settled = await metadata.endRun({
      run,
      fence: record.fence,
      job: spec.job,
      status,
      runAt: record.run_at,
      records: changedRows(outcome),
      seconds,
      error,
      ...(outcome.accounts.loads.length > 0 && { rows: total(outcome.accounts.loads) }),
      ...(outcome.quality.worst && { errorRate: outcome.quality.errorRate }),
      // What a verification finds wrong is committed all the same.
      syncPoints:
        outcome.loaded.length === 0
          ? []
          : outcome.extracted
              .filter(({ extract }) => !isLeftOut(outcome, extract))
              .map(({ extract, watermark }) => ({ extract, value: watermark })),
      deltas: deltasOf(spec.job, run, outcome),
      figures,
      tables,
      ...totalsOf(outcome, rejects?.categories ?? new Map(), tables, figures),
      seen: { log: held.live.log, report: data, measured: measuredBy(outcome) },
      // With the end: who is killed before it is sent leaves it to be sent.
      also: async queries => {
        counted = alert && (await countAlert(queries, alert))
      },
    })
    if (settled.length > 0)
      progress.note(`data intervals that had failed are done by this run: ${settled.join(', ')}`)
  } catch (failure) {
    const cause = error ?? failure
    const lost = { ...result, status: 'FAILED', error: cause, tasks, report } as const
    if (!isFenced(failure)) await monitor.ended(lost, monitor.alertOf(lost))
    throw isFenced(failure) ? failure : cause
  }
  await monitor.ended({ ...result, tasks, report }, alert, counted)
  if (status !== 'PLANNED')
    await Promise.all([
      data && sendReport(options, held, data),
      sendTrace(options, held, { status, error, tasks, chunks: held.live.moments, at: clock.now() }),
      options.ended?.({ spec, record, outcome, error, at: clock.now(), note: progress.note }),
    ])
  const estimates = options.goal === 'plan' ? await estimate(metadata, spec.job, outcome) : {}
  return { ...result, report, estimates }
}

interface Rejects {
  queued: ErrorRecord[]
  /** Rejected rows by category. */
  categories: Map<string, number>
  corrected: Map<string, Corrected>
  again: Map<string, JudgedAgain>
  resolved: string[]
}

const NO_REPORT = { path: '', data: undefined }

/** A report that cannot be made or written is told; the run ends as it ends all the same. */
async function keepReport(
  options: RunOptions,
  held: HeldRun,
  context: JobContext | undefined,
  finished: Parameters<typeof makeReport>[3],
): Promise<{ path: string; data: ReportData | undefined }> {
  const lost = (failure: unknown) => options.progress.note(`no report: ${errorData(failure).message}`)
  try {
    const data = await makeReport(options, held, context, finished)
    const run = { spec: held.spec, run: finished.run }
    const path = await writeReport(options.home, run, data).catch(failure => {
      lost(failure)
      return ''
    })
    return { path, data }
  } catch (failure) {
    lost(failure)
    return NO_REPORT
  }
}

/** A run that fails by its bad rows is the one whose bad rows are wanted most. */
async function keepRejects(
  { metadata, progress }: RunOptions,
  held: HeldRun,
  context: JobContext | undefined,
): Promise<Rejects | undefined> {
  if (!context || held.isLost) return undefined
  const { spec, outcome } = held
  const queued = await metadata.errors.list({ job: spec.job, state: 'queued' })
  const { rejected, kept, categories } = await keepErrors(context, metadata, outcome)
  if (kept < rejected)
    progress.note(
      `of ${counted(rejected, 'rejected row')}, ${kept} stand as error records; the quarantine holds all`,
    )
  return {
    queued,
    categories,
    corrected: await correctedOf(context, outcome),
    again: await queuedAgain(context, queued, outcome),
    resolved: await findResolved(context, metadata, outcome),
  }
}

function statusOf({ tables }: Outcome, error: unknown, isPlanned: boolean): RunResult['status'] {
  if (error !== undefined) return 'FAILED'
  if (isPlanned) return 'PLANNED'
  return tables.some(({ rejected }) => rejected > 0) ? 'COMPLETED_WITH_ERRORS' : 'SUCCESS'
}

async function estimate(
  metadata: Metadata,
  job: string,
  { changes }: Outcome,
): Promise<Record<string, number>> {
  const estimates: Record<string, number> = {}
  for (const [to, group] of Map.groupBy(changes, change => change.load.to)) {
    const rows = group.reduce((sum, { upserts, keys }) => sum + rowsIn(upserts) + rowsIn(keys), 0)
    const seconds = estimateSeconds(await metadata.loads(job, to, 10), rows)
    if (seconds !== undefined) estimates[to] = seconds
  }
  return estimates
}

const isFenced = (error: unknown) => error instanceof EngineError && error.code === 'FENCED'

/** Whether a table made from an extract has not been loaded: its next read goes on from an earlier one. */
const isLeftOut = ({ feeds, loaded }: Outcome, extract: string) =>
  Object.entries(feeds).some(
    ([table, from]) => from.includes(extract) && !loaded.some(one => one.table === table),
  )

/** A store that keeps failures as people may see them. */
export function maskedStore(store: TaskStore, { mask }: HeldRun, secrets: string[]): TaskStore {
  return { ...store, fail: (task, error, at) => store.fail(task, masked(error, secrets, mask), at) }
}

/** The same error without secrets and sensitive values, and without what steers a terminal. */
export function masked(error: unknown, secrets: string[], sensitive: Mask): Error {
  const { message, hint, stack, ...rest } = errorData(sensitive.error(error))
  const mask = (text: string) => legible(redact(text, secrets))
  return errorFrom({ ...rest, message: mask(message), hint: hint && mask(hint), stack: stack && mask(stack) })
}
