import { createHash } from 'node:crypto'
import { posix } from 'node:path'
import { byName, type DropCursor, isTaken, type Taken } from './cursor.ts'
import type { DropOptions } from './options.ts'
import { listed, markerOf } from './select.ts'
import type { DropStore, Entry } from './store.ts'

/** Files worked on at a time. */
const AT_ONCE = 8

/**
 * Does what `after:` says to every file of the cursor that is still in the drop as it was taken. What is done is no
 * longer there, so a repeat does the rest. Files that were bad, and others that have come under a name, are let be.
 */
export async function clearTaken(
  store: DropStore,
  where: string,
  options: DropOptions,
  cursor: DropCursor,
): Promise<void> {
  if (options.after === 'keep') return
  const taken = byName(cursor)
  const waiting: [Entry, Taken][] = []
  for (const entry of (await listed(store, where, options)).files) {
    const found = taken.get(entry.name)?.find(version => isTaken(entry, version) === true)
    if (found && found.bad === undefined) waiting.push([entry, found])
  }
  const work = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) await clear(store, options, ...next)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
}

async function clear(store: DropStore, options: DropOptions, entry: Entry, taken: Taken): Promise<void> {
  // First: a marker left behind by a kill would be found by nobody.
  if (options.marker !== undefined) await store.remove(markerOf(options.marker, entry.name))
  if (options.after === 'delete') await store.remove(entry.name)
  else
    await move(
      store,
      entry,
      posix.join(options.to!, options.after === 'archive' ? taken.day : '', entry.name),
    )
}

// The name may be taken by an earlier file of the same name, which must not be lost.
async function move(store: DropStore, entry: Entry, to: string): Promise<void> {
  const there = await store.stat(to)
  if (!there) return store.move(entry, to)
  // Copied by an attempt that was killed before it removed the original.
  if (there.size === entry.size && there.etag !== undefined && there.etag === entry.etag)
    return store.remove(entry.name)
  const mark = createHash('sha256')
    .update(`${entry.size} ${entry.etag ?? entry.mtime}`)
    .digest('hex')
    .slice(0, 8)
  const { dir, name, ext } = posix.parse(to)
  return store.move(entry, posix.join(dir, `${name}.${mark}${ext}`))
}
