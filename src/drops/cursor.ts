import type { Entry } from './store.ts'

/** A file that was taken. */
export interface Taken extends Pick<Entry, 'name' | 'size' | 'mtime' | 'etag'> {
  /** Day it was taken: `2026-01-31`. */
  day: string
  /** SHA-256 of the content, where reading it cost little. */
  hash?: string
  /** Why nothing of it was loaded; such a file is left where it is. */
  bad?: string
}

/** All that the committed runs have taken from a drop, plain data; a run's own files are among them. */
export interface DropCursor {
  taken: Taken[]
}

/**
 * Whether a listed file is one that was taken: the name, the size, and the store's etag or else the time are the same.
 * Undefined where only the time differs, which moving a file away and back may do: then its content must tell.
 */
export function isTaken(entry: Entry, taken: Omit<Taken, 'day'> | undefined): boolean | undefined {
  if (!taken || taken.size !== entry.size) return false
  if (entry.etag !== undefined && taken.etag !== undefined) return entry.etag === taken.etag
  return taken.mtime === entry.mtime ? true : taken.hash === undefined ? false : undefined
}

/** What was taken, by name; the versions of one name in the order they were taken. */
export function byName({ taken }: DropCursor): Map<string, Taken[]> {
  return Map.groupBy(taken, ({ name }) => name)
}
