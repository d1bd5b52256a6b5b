import type { Stored, StoredPart } from '../contracts/source.ts'
import { ownValue } from '../ownValue.ts'

/**
 * What of a table's storage the log has not told since, for people: its rows may be others. `mayEmpty`: whether a transaction may be
 * that of the last TRUNCATE that the log tells.
 */
export function storedAnew(
  before: Stored | undefined,
  now: Stored | undefined,
  mayEmpty: (transaction: string) => boolean,
): string[] {
  if (!before || !now) return []
  const found: string[] = []
  for (const [name, part] of Object.entries(before)) {
    const own = ownValue(now, name)
    if (!own && part.rows) found.push(`${name} is gone`)
    if (own && own.is !== part.is && !isEmptied(part, own, mayEmpty)) found.push(`${name} was made anew`)
  }
  for (const [name, { rows, empty }] of Object.entries(now))
    if (!ownValue(before, name) && rows && !empty) found.push(`${name} came with rows`)
  return found.map(what => `${what}, which its log does not tell`)
}

/** Whether a TRUNCATE, and nothing behind it, made a part anew. What an earlier version stored does not say so. */
const isEmptied = (
  { emptied: before }: StoredPart,
  { emptied: now }: StoredPart,
  mayEmpty: (transaction: string) => boolean,
) => before !== undefined && now !== undefined && before.columns === now.columns && mayEmpty(now.last)
