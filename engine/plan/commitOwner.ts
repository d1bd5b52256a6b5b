import type { SyncPoint } from '../contracts/load.ts'

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
  return begun === undefined || begun === own || begun <= (last ?? '') ? last : `${begun} (in part)`
}
