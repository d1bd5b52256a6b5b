import type { Outcome } from '../../engine/flow/run.ts'
import type { Delta } from '../metadata/deltaTracking.ts'

/** What a run changed, a line for each loaded table and extract that it was made from. */
export function deltasOf({ loaded, changes, extracted, feeds }: Outcome): Delta[] {
  return loaded.flatMap(({ to, table, inserted, updated, deleted }) => {
    const { load, state = null } = changes.find(change => change.load.table === table)!
    return (feeds[table] ?? []).map(extract => ({
      extract,
      target: `${to}.${table}`,
      key: load.key,
      syncPoint: extracted.find(found => found.extract === extract)?.watermark ?? null,
      inserted,
      updated,
      deleted,
      state,
    }))
  })
}
