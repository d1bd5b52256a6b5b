import type { StagedLoad } from '../contracts/load.ts'
import type { Part } from '../contracts/staging.ts'
import type { Changes } from '../diff/changeSet.ts'
import { rowsIn } from '../staging/store.ts'

/** What one commit applies of a load's change set. */
export interface CommitBatch {
  load: StagedLoad
  change: Changes
  rows: Part[]
  keys: Part[]
  /** Of the first of its load's: the rows of all. */
  total?: number
  /** Whether it is the last of its load's, and whether there is no other. */
  ends: boolean
  only: boolean
}

/**
 * What a target commits, in the job's order. Loads go into one commit, the last, unless one has more rows than its
 * `batchRows`: that takes a commit a part, what comes before it goes before, and the last commit has what is left, if
 * anything.
 */
export function commitsOf(changes: Changes[]): CommitBatch[][] {
  const commits: CommitBatch[][] = []
  let together: CommitBatch[] = []
  for (const change of changes) {
    const shares = batchesOf(change)
    if (shares.length === 1) {
      together.push(...shares)
      continue
    }
    if (together.length > 0) commits.push(together)
    together = []
    commits.push(...shares.map(share => [share]))
  }
  return [...commits, together]
}

function batchesOf(change: Changes): CommitBatch[] {
  const { load, whole, there, upserts, keys } = change
  const share = (rows: Part[], own: Part[], all: boolean) => ({
    load: { ...load, whole: all, ...(!whole && there && { identity: there.identity }) },
    rows,
    keys: own,
  })
  // What is gone from a whole data set only all its keys can say.
  const first = whole ? [share([], keys, true)] : keys.map(part => share([], [part], false))
  const batches = [...first, ...upserts.map(part => share([part], [], false))]
  const few = load.batchRows === undefined || upserts.length + (whole ? 0 : keys.length) <= 1
  const shares = few ? [share(upserts, keys, whole)] : batches
  return shares.map((one, index) => {
    const ends = index === shares.length - 1
    return {
      ...one,
      load: { ...one.load, ...(!ends && { more: true }) },
      change,
      only: shares.length === 1,
      ...(index === 0 && { total: rowsIn(upserts) }),
      ends,
    }
  })
}
