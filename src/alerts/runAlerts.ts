import { hostname } from 'node:os'
import { taskName } from '../../engine/contracts/taskName.ts'
import { EngineError, type ErrorCode, errorData } from '../../engine/errors.ts'
import { missedBy, reconciledText } from '../../engine/extract/reconciled.ts'
import type { Outcome } from '../../engine/pipeline.ts'
import { counted } from '../../engine/plural.ts'
import type { TaskRecord } from '../metadata/tasks.ts'
import type { Alert } from '../spec/alert.ts'
import { neededVariables } from './needs.ts'
import { type CommandPlace, type FailedRun, rejectsOf, remedy } from './remedy.ts'

/** The run that alerts speak of. */
export interface AlertedRun extends CommandPlace {
  job: string
  run: string
  /** Connections that are loaded into. */
  targets: string[]
  interval?: FailedRun['interval']
}

/** A run as it ended. */
export interface EndedRun {
  status: 'SUCCESS' | 'COMPLETED_WITH_ERRORS' | 'FAILED' | 'PLANNED'
  outcome: Outcome
  tasks: TaskRecord[]
  report: string
  error?: unknown
}

export const alertOf = (
  { job, run }: Pick<AlertedRun, 'job'> & { run?: string },
  at: Date,
  given: Pick<Alert, 'kind' | 'severity' | 'cause' | 'title' | 'what'> & Partial<Alert>,
): Alert => ({
  job,
  ...(run !== undefined && { run }),
  host: hostname(),
  at: at.toISOString(),
  rows: [],
  targets: [],
  times: 1,
  since: at.toISOString(),
  ...given,
})

/** The command of an alert, and what a plain shell lacks to type it. */
export function typed(place: CommandPlace, command: string): Pick<Alert, 'command' | 'needs'> {
  const needs = neededVariables(place)
  return { command, ...(needs.length > 0 && { needs }) }
}

/** What is to be said of a run's end; undefined: nothing. A stop that somebody asked for is no failure. */
export function endAlert(run: AlertedRun, ended: EndedRun, at: Date): Alert | undefined {
  const { status, outcome, report, error } = ended
  const rows = rowLines(outcome)
  const targets = targetLines(run.targets, ended)
  const common = { rows, targets, ...(report && { report }) }
  if (status === 'PLANNED') return undefined
  if (status === 'FAILED') {
    if (error instanceof EngineError && error.code === 'INTERRUPTED') return undefined
    const isBegun = ended.tasks.some(each => each.status === 'SUCCESS')
    const task = ended.tasks.findLast(({ status }) => status === 'FAILED')?.task
    const failed = { run: run.run, isBegun, ...(run.interval && { interval: run.interval }) }
    return { ...failureAlert(run, error, at, failed, task), ...common }
  }
  const loaded = outcome.loaded.map(
    ({ table, to, inserted, updated, deleted }) =>
      `${to}.${table}: ${inserted} inserted, ${updated} updated, ${deleted} deleted`,
  )
  const rejected = outcome.tables.reduce((sum, table) => sum + table.rejected, 0)
  if (rejected > 0)
    return alertOf(run, at, {
      kind: 'errors',
      severity: 'MEDIUM',
      cause: 'rejected rows',
      title: `${run.job}: done, ${counted(rejected, 'row')} rejected`,
      what: `The good rows are loaded; ${rejected === 1 ? 'a bad one is' : `${rejected} bad ones are`} in the quarantine.`,
      ...typed(run, rejectsOf(run, run.run)),
      ...common,
    })
  const missed = outcome.extracted.flatMap(({ extract, reconciled }) =>
    reconciled && missedBy(reconciled) > 0 ? [`${extract}: ${reconciledText(reconciled)}`] : [],
  )
  if (missed.length > 0)
    return alertOf(run, at, {
      kind: 'errors',
      severity: 'MEDIUM',
      cause: 'missed changes',
      title: `${run.job}: done, and a log had missed changes`,
      what: missed.join('\n'),
      ...common,
    })
  return alertOf(run, at, {
    kind: 'success',
    severity: 'INFO',
    cause: 'success',
    title: `${run.job}: done`,
    what: loaded.join('\n') || 'Nothing was to be loaded.',
    ...common,
  })
}

/** What is to be said of a failure, also of one that kept a run from being begun. */
export function failureAlert(
  job: CommandPlace & { job: string },
  error: unknown,
  at: Date,
  failed?: FailedRun,
  task?: string,
): Alert {
  const { code, message, hint } = errorData(error)
  return alertOf({ job: job.job, ...(failed?.run !== undefined && { run: failed.run }) }, at, {
    kind: 'failure',
    severity: 'CRITICAL',
    cause: [code ?? 'UNEXPECTED', ...(task ? [task] : [])].join(' '),
    title: `${job.job}: failed${task ? ` in ${task}` : ''}, ${code ?? 'UNEXPECTED'}`,
    what: hint ? `${message}\n${hint}` : message,
    ...typed(job, remedy(job, error, failed)),
  })
}

/** Checks by rows found, and what a verification found wrong. */
function rowLines({ checks, verifications }: Outcome): string[] {
  const found = checks
    .filter(({ level, rows }) => rows > 0 && (level === 'reject' || level === 'stop'))
    .map(({ name, model, rows, samples }) => {
      const reason = samples[0]?.reason
      const where = model ? `${model}, ` : ''
      return `${where}check ${name}: ${counted(rows, 'row')}${reason ? `, such as: ${reason}` : ''}`
    })
  const wrong = verifications.flatMap(({ to, table, differing }) =>
    differing.map(
      ({ range, rows, samples }) => `${to}.${table}, ${range}: ${rows} differ (${samples.join('; ')})`,
    ),
  )
  const lines = [...wrong, ...found]
  return lines.length > 10 ? [...lines.slice(0, 10), `and ${lines.length - 10} more, see the report`] : lines
}

const UNSURE: (ErrorCode | string | null)[] = ['CONNECTION_LOST', 'CONNECTION_FAILED', 'TIMEOUT']

/** Whether each target is as it was before. A load is one transaction: all of it is there, or nothing. */
function targetLines(targets: string[], { tasks }: EndedRun): string[] {
  return targets.map(to => {
    const load = tasks.find(({ task }) => task === taskName('load', to))
    if (load?.status === 'SUCCESS') return `${to}: committed, complete`
    if (load?.status === 'FAILED' && UNSURE.includes(load.code))
      return `${to}: not known, the connection was lost; the next run asks it, and loads nothing twice`
    return `${to}: untouched`
  })
}
