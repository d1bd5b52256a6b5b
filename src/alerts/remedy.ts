import { EngineError, type ErrorCode } from '../../engine/errors.ts'
import type { RunRecord } from '../metadata/runs.ts'
import { setAside, shellWord } from '../util/shell.ts'

/** Where a job's command is typed, and what it needs of the shell. */
export interface CommandPlace {
  /** The job's folder, absolute. */
  folder: string
  /** Where staging and reports are kept. */
  home: string
  env: Record<string, string | undefined>
}

/** The run that failed, or that could not be begun. */
export interface FailedRun {
  run?: string
  /** Some task of it is committed. */
  isBegun: boolean
  /** The data interval that it is for; `isPlanned` where it is one of the job's own cron. */
  interval?: { start: string; isPlanned: boolean }
}

/** Mended outside of the job: what is committed stays good. */
const OUTSIDE: ErrorCode[] = [
  'AUTH_FAILED',
  'PERMISSION_DENIED',
  'TLS_FAILED',
  'DATABASE_MISSING',
  // Something in the target alters what is written.
  'VERIFY_FAILED',
]
/** Mended in the job's files. */
const INSIDE: ErrorCode[] = ['MODEL_INVALID', 'SQL_FAILED', 'CONFIG_INVALID']

/**
 * The one command that is right once the cause is mended: what the sources gave is read again where it was the cause, and
 * the data interval of the run is done with it, too.
 */
export function remedy(place: CommandPlace, error: unknown, failed?: FailedRun): string {
  const { code, retryable } = error instanceof EngineError ? error : {}
  const { run, isBegun, interval } = failed ?? {}
  const again = interval?.isPlanned
    ? backfillOf(place, interval.start)
    : typed(place, 'run', shellWord(place.folder))
  if (code === 'METADATA_CORRUPT') return `${setAside(place.home)} && ${again}`
  // A run of now settles the intervals whose own time is over.
  if (code === 'RUN_OUTDATED') return typed(place, 'run', shellWord(place.folder))
  if (code === 'GUARD_STOPPED') return typed(place, 'plan', shellWord(place.folder))
  if (code !== undefined && run !== undefined && isBegun) {
    if (retryable || OUTSIDE.includes(code)) return typed(place, 'resume', run)
    if (INSIDE.includes(code)) return typed(place, 'resume', run, '--accept-changes')
  }
  return again
}

/** The data interval of a run that `trigger` made: those of events and of other jobs are of no cron. */
export const runInterval = (start: string, trigger: RunRecord['trigger']) => ({
  start,
  isPlanned: trigger !== 'event' && trigger !== 'after',
})

/** The command that runs one data interval, or all from one to a last. */
export const backfillOf = (place: CommandPlace, start: string, last = start): string =>
  typed(place, 'backfill', shellWord(place.folder), '--from', start, '--to', last)

/** The command that reads all tables of a job whole. */
export const fullRefreshOf = ({ folder, ...place }: CommandPlace): string =>
  typed({ folder, ...place }, 'run', shellWord(folder), '--full-refresh')

/** The command that says what is missing of a job's connections. */
export const doctorOf = (place: CommandPlace): string => typed(place, 'doctor', shellWord(place.folder))

/** The command that shows a run, or a job's latest. */
export const statusOf = (place: CommandPlace, of: string): string => typed(place, 'status', of)

/** The command that shows the data intervals of a job, and what they wait for. */
export const intervalsOf = (place: CommandPlace, job: string, ...options: string[]): string =>
  typed(place, 'intervals', job, ...options)

/** The command that shows the rows a run rejected. */
export const rejectsOf = (place: CommandPlace, run: string): string =>
  typed(place, 'errors', 'list', '--run', run)

/** A command as it is typed in a plain shell. */
function typed({ home, env: { NIGHTFREIGHT_ENV: name } }: CommandPlace, ...words: string[]): string {
  const settings = [
    `NIGHTFREIGHT_HOME=${shellWord(home)}`,
    ...(name ? [`NIGHTFREIGHT_ENV=${shellWord(name)}`] : []),
  ]
  return [...settings, 'nightfreight', ...words].join(' ')
}
