import { stateManifest } from '../../engine/diff/state.ts'
import type { Outcome } from '../../engine/pipeline.ts'
import type { Delta } from '../metadata/deltaTracking.ts'

/** What a run changed, a line for each loaded table and extract that it was made from. */
export function deltasOf(job: string, run: string, outcome: Outcome): Delta[] {
  const { loaded, changes, extracted, feeds } = outcome
  return loaded.flatMap(({ to, table, inserted, updated, deleted }) => {
    const { load, state } = changes.find(change => change.load.table === table)!
    return (feeds[table] ?? []).map(extract => ({
      extract,
      target: `${to}.${table}`,
      key: load.key,
      syncPoint: extracted.find(found => found.extract === extract)?.watermark ?? null,
      inserted,
      updated,
      deleted,
      state: state ? stateManifest(job, run, table) : null,
    }))
  })
}
