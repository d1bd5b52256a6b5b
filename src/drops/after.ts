import { createHash } from 'node:crypto'
import { posix } from 'node:path'
import { byName, type DropCursor, isTaken, type Taken } from './cursor.ts'
import { type DropOptions, takesAway } from './options.ts'
import { ifNew, isNamed, listed, markerOf, shown } from './select.ts'
import type { DropStore, Entry } from './store.ts'

/** Files worked on at a time. */
const AT_ONCE = 8

/** Another extract over the same drop; without a cursor it was not read. */
export interface Beside {
  options: DropOptions
  cursor: DropCursor | undefined
}

/**
 * Does what `after:` says to every file of the cursor that is still in the drop as it was taken. What is done is no
 * longer there, so a repeat does the rest. Let be are files that were bad, others that have come under a name, which are told,
 * and those that another extract reads and has not taken yet: they may have come while this one was read.
 */
export async function clearTaken(
  store: DropStore,
  where: string,
  options: DropOptions,
  cursor: DropCursor,
  beside: Beside[],
): Promise<string[]> {
  if (!takesAway(options)) return []
  const { aside } = options
  const accounts = beside.map(each => ({ ...each, taken: each.cursor && byName(each.cursor) }))
  const taken = byName(cursor)
  const goodIn = async (entry: Entry, account: Map<string, Taken[]> | undefined) => {
    const last = account?.get(entry.name)?.at(-1)
    return last && last.bad === undefined && (await ifNew(store, entry, [last])) === undefined
      ? last
      : undefined
  }
  const waiting: [Entry, Taken][] = []
  const changed: string[] = []
  for (const entry of (await listed(store, where, options)).files) {
    const found = await goodIn(entry, taken)
    const last = taken.get(entry.name)?.at(-1)
    if (!found && last && last.bad === undefined) changed.push(entry.name)
    const readers = accounts.filter(other => isNamed(entry.name, { ...other.options, aside }))
    const isWanted = async () => {
      for (const { taken } of readers) if (!(await goodIn(entry, taken))) return true
      return false
    }
    if (found && !(await isWanted())) waiting.push([entry, found])
  }
  const work = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift())
      if (!(await clear(store, options, ...next))) changed.push(next[0].name)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  return changed
    .sort()
    .map(name => `${shown(name)} has changed since it was taken: it stays, and is new to the next run`)
}

/** Gives false where another file has come under the name. */
async function clear(store: DropStore, options: DropOptions, entry: Entry, taken: Taken): Promise<boolean> {
  // Listed some time ago: what has come since is another's.
  const now = await store.stat(entry.name)
  if (!now) return true
  if (!isTaken(now, entry)) return false
  // First: a marker left behind by a kill would be found by nobody.
  if (options.marker !== undefined) await store.remove(markerOf(options.marker, entry.name))
  const folder = options.after === 'archive' ? taken.day : ''
  if (options.after !== 'delete') return move(store, entry, posix.join(options.to!, folder, entry.name))
  await store.remove(entry.name)
  return true
}

// The name may be taken by an earlier file of the same name, which must not be lost.
async function move(store: DropStore, entry: Entry, to: string): Promise<boolean> {
  const there = await store.stat(to)
  if (!there) return store.move(entry, to)
  // Copied by an attempt that was killed before it removed the original.
  if (there.size === entry.size && there.etag !== undefined && there.etag === entry.etag) {
    await store.remove(entry.name)
    return true
  }
  const mark = createHash('sha256')
    .update(`${entry.size} ${entry.etag ?? entry.mtime}`)
    .digest('hex')
    .slice(0, 8)
  const { dir, name, ext } = posix.parse(to)
  return store.move(entry, posix.join(dir, `${name}.${mark}${ext}`))
}
