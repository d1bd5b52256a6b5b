import type { LoadSpec, OnDuplicate } from '../contracts/load.ts'
import type { ExtractSpec } from '../contracts/source.ts'
import { quoteName } from '../sql/duckdb.ts'
import type { PlannedRead } from './plan.ts'

/** What becomes of rows of one key in one data set, and SQL that orders them, the newest first. */
export interface KeyPolicy {
  policy: OnDuplicate
  newest: string[]
}

export function loadKeyPolicy({ onDuplicate, newer }: LoadSpec): KeyPolicy {
  return { policy: onDuplicate ?? (newer ? 'newest' : 'fail'), newest: newer ? [newestBy(newer)] : [] }
}

/**
 * Of an extract: what it says itself. Without a word, the newest row stays where it is known which that is (the
 * incremental column; of a source that gives what is new, the last row read); else the rule is that of a load that
 * takes the extract as it is, by the same key.
 */
export function extractKeyPolicy(
  read: Pick<PlannedRead, 'extract' | 'key' | 'incremental' | 'accumulates'>,
  { onDuplicate }: Pick<ExtractSpec, 'onDuplicate'>,
  loads: LoadSpec[],
): KeyPolicy {
  const known = read.incremental
    ? [newestBy(read.incremental.column)]
    : read.accumulates
      ? ['file_row_number DESC']
      : undefined
  if (known) return { policy: onDuplicate ?? 'newest', newest: known }
  const same = loads.find(
    ({ from, key }) =>
      from === read.extract && key.length === read.key.length && key.every(name => read.key.includes(name)),
  )
  const rule: KeyPolicy = same ? loadKeyPolicy(same) : { policy: 'fail', newest: [] }
  return { ...rule, ...(onDuplicate && { policy: onDuplicate }) }
}

const newestBy = (column: string) => `${quoteName(column)} DESC NULLS LAST`
