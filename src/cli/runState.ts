import { EngineError } from '../../engine/errors.ts'
import type { Metadata } from '../metadata/metadata.ts'
import type { RunRecord } from '../metadata/runs.ts'
import { jobsThatRan } from '../metadata/seen.ts'
import { isJobFolder } from '../runs/jobName.ts'
import { isRunning } from '../util/owner.ts'
import { systemClock } from './home.ts'
import { parseJob } from './parse.ts'

/** A run's state for people: one whose process is gone, or does not answer, is not running; `run` would continue it. */
export function stateOf(run: Pick<RunRecord, 'status' | 'owner' | 'expires_at'>): string {
  return run.status === 'RUNNING' && !isRunning(run, systemClock.now()) ? 'INTERRUPTED' : run.status
}

/** Seconds from the beginning to the end: `4.5 s`; undefined while there is none. */
export function lasted({
  started_at,
  ended_at,
}: {
  started_at: string
  ended_at: string | null
}): string | undefined {
  if (!ended_at) return undefined
  return `${((Date.parse(ended_at) - Date.parse(started_at)) / 1000).toFixed(1)} s`
}

/** The code of a run's failure; undefined where it has none. */
export const codeOf = ({ error }: { error: string | null }): string | undefined =>
  error ? ((JSON.parse(error) as { code?: string }).code ?? 'UNEXPECTED') : undefined

/**
 * What to say where there is no run of the job that was asked for, by folder or name. Fails with CONFIG_INVALID and the
 * nearest name where neither is known.
 */
export async function noRuns({ database }: Metadata, wanted: string | undefined): Promise<string> {
  const jobs = [...(await jobsThatRan(database)).keys()]
  if (wanted !== undefined && jobs.includes(parseJob(wanted)))
    return `No runs of ${parseJob(wanted)} in that time.`
  if (wanted !== undefined && isJobFolder(wanted))
    return `${parseJob(wanted)} has not run yet. Try: nightfreight run ${wanted}`
  if (jobs.length === 0) return 'No runs yet. Try: nightfreight run queries/members'
  if (wanted === undefined) return 'No runs in that time.'
  const { didYouMean } = await import('../../engine/nearest.ts')
  throw new EngineError('CONFIG_INVALID', `no job ${wanted} has run${didYouMean(wanted, jobs)}`, {
    hint: `Name a job, or its folder. Jobs that have run: ${jobs.join(', ')}.`,
  })
}
