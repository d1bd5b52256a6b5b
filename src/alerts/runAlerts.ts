import { hostname } from 'node:os'
import { taskName } from '../../engine/contracts/taskName.ts'
import { EngineError, type ErrorCode, errorData } from '../../engine/errors.ts'
import type { Outcome } from '../../engine/pipeline.ts'
import type { TaskRecord } from '../metadata/tasks.ts'
import type { Alert } from '../spec/alert.ts'

/** The run that alerts speak of. */
export interface AlertedRun {
  job: string
  run: string
  /** The job's folder, absolute. */
  folder: string
  /** Where staging and reports are kept. */
  home: string
  /** Connections that are loaded into. */
  targets: string[]
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

/** What is to be said of a run's end; undefined: nothing. A stop that somebody asked for is no failure. */
export function endAlert(run: AlertedRun, ended: EndedRun, at: Date): Alert | undefined {
  const { status, outcome, report, error } = ended
  const rows = rowLines(outcome)
  const targets = targetLines(run.targets, ended)
  const common = { rows, targets, ...(report && { report }) }
  if (status === 'PLANNED') return undefined
  if (status === 'FAILED') {
    if (error instanceof EngineError && error.code === 'INTERRUPTED') return undefined
    const { code, message, hint } = errorData(error)
    const task = ended.tasks.findLast(({ status }) => status === 'FAILED')?.task
    return alertOf(run, at, {
      kind: 'failure',
      severity: 'CRITICAL',
      cause: [code ?? 'UNEXPECTED', ...(task ? [task] : [])].join(' '),
      title: `${run.job}: failed${task ? ` in ${task}` : ''}, ${code ?? 'UNEXPECTED'}`,
      what: hint ? `${message}\n${hint}` : message,
      command: remedy(run, ended),
      ...common,
    })
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
      title: `${run.job}: done, ${rejected} rows rejected`,
      what: `The good rows are loaded; ${rejected} bad ones are in the quarantine.`,
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

/** Checks by rows found, and what a verification found wrong. */
function rowLines({ checks, verifications }: Outcome): string[] {
  const found = checks
    .filter(({ level, rows }) => rows > 0 && (level === 'reject' || level === 'stop'))
    .map(({ name, model, rows, samples }) => {
      const reason = samples[0]?.reason
      const where = model ? `${model}, ` : ''
      return `${where}check ${name}: ${rows} ${rows === 1 ? 'row' : 'rows'}${reason ? `, such as: ${reason}` : ''}`
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

/** Mended outside of the job: what is committed stays good. */
const OUTSIDE: ErrorCode[] = ['AUTH_FAILED', 'PERMISSION_DENIED', 'TLS_FAILED', 'DATABASE_MISSING']
/** Mended in the job's files. */
const INSIDE: ErrorCode[] = ['MODEL_INVALID', 'SQL_FAILED', 'CONFIG_INVALID']

/** The one command that is right once the cause is mended: what the sources gave is read again where it was the cause. */
function remedy({ folder, home, run }: AlertedRun, { error, tasks }: EndedRun): string {
  const nightfreight = `NIGHTFREIGHT_HOME=${shell(home)} nightfreight`
  const { code, retryable } = error instanceof EngineError ? error : {}
  if (code === 'VERIFY_FAILED') return `${nightfreight} verify ${shell(folder)}`
  if (code === 'GUARD_STOPPED') return `${nightfreight} plan ${shell(folder)}`
  if (code !== undefined && tasks.some(({ status }) => status === 'SUCCESS')) {
    if (retryable || OUTSIDE.includes(code)) return `${nightfreight} resume ${run}`
    if (INSIDE.includes(code)) return `${nightfreight} resume ${run} --accept-changes`
  }
  return `${nightfreight} run ${shell(folder)}`
}

const shell = (text: string) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`)
