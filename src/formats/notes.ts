import type { Column } from '../../engine/types/logical.ts'
import { hasOffset, saysOffset } from './strptime.ts'

/** What is said of columns that a file has and nobody reads, and of those that are read and it has not. */
export function unread(what: string, names: string[], andMore = false): string[] {
  if (names.length === 0) return []
  const more = andMore || names.length > 10 ? ', …' : ''
  return [`has ${what} that are not read: ${names.slice(0, 10).map(shown).join(', ')}${more}`]
}
export const absent = (what: string, names: string[]) =>
  names.map(name => `has no ${what} ${shown(name)}: NULL in its rows`)
/** What is said of moments whose type has an offset where their text has none, and of the other way round. */
export function offsetNotes(format: string | undefined, columns: Column[]): string[] {
  if (format === undefined) return []
  const named = (zoned: boolean) =>
    columns.flatMap(({ name, type }) =>
      type.kind === 'timestamp' && type.zoned === zoned ? [shown(name)] : [],
    )
  const [plain, zoned] = [named(false), named(true)]
  if (hasOffset(format) && plain.length > 0)
    return [`has moments with an offset, which are kept as UTC without it: ${plain.join(', ')}`]
  if (!saysOffset(format) && zoned.length > 0)
    return [`has moments without an offset, which are read as UTC: ${zoned.join(', ')}`]
  return []
}
const shown = (name: string) => (/^[\p{L}\p{N}_.-]+$/u.test(name) ? name : JSON.stringify(name))
