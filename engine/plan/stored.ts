import type { Stored } from '../contracts/source.ts'
import { ownValue } from '../ownValue.ts'

/** What of a table's storage the log has not told since, for people: its rows may be others. `emptied`: of what a TRUNCATE makes anew, too. */
export function storedAnew(before: Stored | undefined, now: Stored | undefined, emptied: boolean): string[] {
  if (!before || !now) return []
  const found: string[] = []
  for (const [name, part] of Object.entries(before)) {
    const own = ownValue(now, name)
    if (!own && part.rows) found.push(`${name} is gone`)
    if (own && own.is !== part.is && (emptied || !own.emptied)) found.push(`${name} was made anew`)
  }
  for (const [name, { rows, empty }] of Object.entries(now))
    if (!ownValue(before, name) && rows && !empty) found.push(`${name} came with rows`)
  return found.map(what => `${what}, which its log does not tell`)
}
