import type { LoadCommit, SyncPoint } from '../contracts/load.ts'
import { EngineError } from '../errors.ts'

/** The extract of the sync point that a run leaves with each of its batches: no extract has an empty name. */
export const BEGUN = ''

/**
 * The run whose data a target holds, by its sync points; undefined where there is none. Where another run than `own`
 * was interrupted among its batches, what it gives is no run's id: the target holds nobody's data whole.
 */
export function lastRunOf(points: SyncPoint[], own?: string): string | undefined {
  // The point of an extract that the job no longer has stays behind: run ids sort by time.
  const runs = points.filter(({ extract }) => extract !== BEGUN).map(({ run }) => run)
  const last = runs.sort().at(-1)
  const begun = points.find(({ extract }) => extract === BEGUN)?.run
  return begun === undefined || begun === own || begun <= (last ?? '') ? last : `${begun}${IN_PART}`
}

const IN_PART = ' (in part)'

/**
 * How a target, by its sync points, has moved since `run` compared its rows with what run `base` left there; undefined where it has
 * not. What the run itself has committed is none: batches, which hide the part that another had left, or by another connection.
 */
export function movedSince(base: string | null, points: SyncPoint[], run: string): string | undefined {
  const holds = lastRunOf(points, run) ?? null
  const isOwn =
    holds === run ||
    (base?.endsWith(IN_PART) &&
      points.some(point => point.extract === BEGUN && point.run === run) &&
      points.every(point => point.run <= run))
  if (holds === base || isOwn) return undefined
  return `it was compared as ${base === null ? 'never loaded' : `run ${base} left it`}, and ${
    holds === null ? 'knows of no load now' : `run ${holds} has loaded it since`
  }`
}

/** Fails with RUN_OUTDATED where a target holds another run's data than a commit's rows were compared with. */
export function refuseMoved(points: SyncPoint[], { base, job, run }: LoadCommit, target: string): void {
  const moved = base === undefined ? undefined : movedSince(base, points, run)
  if (moved === undefined) return
  throw new EngineError('RUN_OUTDATED', `${target}: ${moved}`, {
    hint: `Nothing was loaded. Run ${job} anew, with --fresh.`,
  })
}
