import type { LoadCounts, StagedLoad, StageRequest } from '../../../engine/contracts/load.ts'
import { EngineError } from '../../../engine/errors.ts'

/** How many rows more a table has after a load; undefined where only counting them tells. */
export function rowsAdded(load: StagedLoad, { inserted, deleted }: LoadCounts): number | undefined {
  if (load.whole || load.partitions) return undefined
  // Under scd2 rows end, and marked ones stay.
  const removes = load.mode === 'replace' || load.mode === 'partition' || load.deletes === 'hard'
  return load.mode !== 'scd2' && removes ? inserted - deleted : inserted
}

/** Whether nothing is handed over of a load: no row, and no key. One that keeps partitions may have old ones to drop. */
export const changesNothing = ({ load, paths, keyPaths }: StageRequest): boolean =>
  paths.length + keyPaths.length === 0 && load.identity !== undefined && load.partitions === undefined

/** Fails with TARGET_CHANGED where a change set's table is not the one that it was worked out against. */
export function checkIdentity(load: StagedLoad, now: string | undefined, where: string): void {
  if (load.identity === undefined || load.identity === now) return
  throw new EngineError(
    'TARGET_CHANGED',
    `${where}: ${now === undefined ? 'is gone' : 'was dropped and made anew'} since its rows were compared`,
    { hint: 'Nothing was loaded. Run the job again: it then loads the whole table.' },
  )
}
