import type { LoadMode, PlannedLoad } from '../contracts/load.ts'
import { ageColumn, decidingColumns, markColumn, removesGone } from '../contracts/semantics.ts'
import { columnNamed } from '../types/logical.ts'

/** What a load's options made of its table, as far as a later load with others must know it. */
export interface Meaning {
  mode: LoadMode
  key: string[]
  /** Columns in which its rows equal those of the data set. */
  deciding: string[]
  /** The column by which rows of the table were newer than the data set's, and stayed. */
  newer?: string
  /** Whether it took rows away that the data set does not have. */
  removes: boolean
  /** The column by which it marked such rows. */
  mark?: string
}

export function meaningOf(load: PlannedLoad): Meaning {
  const newer = ageColumn(load)
  const mark = markColumn(load)
  return {
    mode: load.mode,
    key: load.key,
    deciding: decidingColumns(load),
    ...(newer !== undefined && { newer }),
    removes: removesGone(load),
    ...(mark !== undefined && { mark }),
  }
}

/**
 * Why the rows that a load left do not tell what its table holds by what the load means now, so that only the table can;
 * undefined where they do. Pure.
 */
export function otherMeaning(
  was: Meaning,
  load: PlannedLoad,
  columns: PlannedLoad['columns'],
): string | undefined {
  const now = meaningOf(load)
  const list = (names: string[]) => names.join(', ') || 'none'
  if (now.key.length !== was.key.length || now.key.some(name => !was.key.includes(name)))
    return `the load's key is ${list(now.key)}, and was ${list(was.key)}`
  if (now.mode !== was.mode && (was.mode === 'append' || [was.mode, now.mode].includes('scd2')))
    return `the load's mode is ${now.mode}, and was ${was.mode}`
  if (now.removes && !was.removes)
    return 'the load deletes what is gone from its source, which the last one kept'
  if (was.mark !== undefined && now.mark !== was.mark)
    return `the last load marked rows as gone in ${was.mark}`
  if (was.newer !== undefined && now.newer !== was.newer)
    return `the last load kept rows that were newer by ${was.newer}`
  const more = now.deciding.filter(name => !was.deciding.includes(name) && columnNamed(columns, name))
  // Of a key alone nothing was compared.
  return more.length > 0 ? `the last load did not compare ${list(more)}` : undefined
}
