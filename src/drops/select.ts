import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { EngineError } from '../../engine/errors.ts'
import { counted } from '../../engine/plural.ts'
import { UnopenedFile } from '../formats/bad.ts'
import { type Moved, movedBy } from './aside.ts'
import { byName, type DropCursor, isTaken, type Taken } from './cursor.ts'
import { matches, reachOf } from './glob.ts'
import type { DropOptions } from './options.ts'
import { readAll } from './ranged.ts'
import type { DropStore, Entry } from './store.ts'

/** Largest file whose content is hashed: its bytes are read once more for that. */
const HASHED = 16 * 1024 * 1024

/** What a run takes from a drop. */
export interface Selection {
  /** In the order that rows are to be read. */
  files: Taken[]
  notes: string[]
}

/** All files that options name, in the order that a run reads them; refused or bad ones not. */
export async function goodFiles(
  store: DropStore,
  options: DropOptions,
  signal: AbortSignal,
): Promise<Taken[]> {
  const every: DropOptions = { ...options, take: 'all', settle: 0 }
  const { files } = await select(store, store.name, every, { taken: [] }, '', signal)
  return files.filter(({ bad }) => bad === undefined)
}

/** The files of a drop that no run has taken (or all of them), by the job's rules. Reads no row. */
export async function select(
  store: DropStore,
  where: string,
  options: DropOptions,
  cursor: DropCursor,
  day: string,
  signal?: AbortSignal,
): Promise<Selection> {
  const notes: string[] = []
  const listing = await listed(store, where, options)
  notes.push(...listing.notes)
  if (listing.files.length === 0) notes.push(nothingMatches(options, listing.names.size))
  const taken = byName(cursor)
  notes.push(...movedNotes(listing.moved, taken))
  const found: Taken[] = []
  for (const entry of listing.files) {
    const fresh = options.take === 'all' ? describe(entry) : await ifNew(store, entry, taken.get(entry.name))
    if (fresh) found.push(fresh)
  }
  const ready = found.filter(({ name }) => {
    if (options.marker === undefined || listing.names.has(markerOf(options.marker, name))) return true
    notes.push(`${shown(name)} waits for its marker ${shown(markerOf(options.marker, name))}`)
    return false
  })
  const steady = options.settle > 0 ? await settled(store, where, options, ready, notes, signal) : ready
  for (const { name } of steady)
    if (options.take === 'new' && taken.has(name))
      notes.push(`${shown(name)} was taken before and has changed: taken as new`)
  steady.sort((a, b) => (options.order === 'mtime' ? a.mtime - b.mtime : 0) || (a.name < b.name ? -1 : 1))
  return { files: steady.map(file => ({ ...file, day })), notes }
}

function nothingMatches({ files }: DropOptions, others: number): string {
  const globs = files.map(glob => JSON.stringify(glob)).join(', ')
  return `no file matches ${globs}${others === 0 ? '' : `; ${others === 1 ? '1 other is' : `${others} others are`} there`}`
}

/** A name for messages: quoted where it is no plain word. */
export function shown(name: string): string {
  return /^[\p{L}\p{N}\p{P}\p{S}]+$/u.test(name) ? name : JSON.stringify(name)
}

/** The marker of a file. */
export function markerOf(marker: string, name: string): string {
  return marker.replaceAll('{name}', () => name)
}

/** The files that the globs match, markers left out; all names that a marker could have; what others moved aside; and what was passed over. */
export async function listed(store: DropStore, where: string, options: DropOptions) {
  const { files, marker, on_bad_file } = options
  const found: Entry[] = []
  const names = new Set<string>()
  const notes = new Set<string>()
  const moved: Moved[] = []
  const reaches = new Map(
    files.map(glob => reachOf(where, glob)).map(reach => [JSON.stringify(reach), reach]),
  )
  const ending = marker?.replaceAll('{name}', '')
  for (const { folder, deep } of reaches.values())
    for await (const entry of store.list(folder, deep)) {
      if (entry.passed !== undefined) {
        const name = entry.name.replace(/\/$/, '')
        if (matches(name, files) || (deep && name !== entry.name))
          notes.add(`${shown(entry.name)} ${entry.passed}`)
        continue
      }
      if (names.has(entry.name)) continue
      names.add(entry.name)
      if (!isOwn(entry.name, options)) continue
      const away = movedBy(entry.name, options)
      if (away) {
        moved.push(away)
        continue
      }
      if (entry.refused !== undefined && on_bad_file === 'fail')
        throw new EngineError('PERMISSION_DENIED', `${store.name}: ${shown(entry.name)} ${entry.refused}`, {
          hint: 'Put the file itself into the drop, narrow files: so that it does not match, or set on_bad_file: quarantine.',
        })
      found.push(entry)
    }
  const isMarker = (name: string) =>
    ending !== undefined && found.some(other => other.name !== name && markerOf(marker!, other.name) === name)
  const own = ending === undefined ? found : found.filter(({ name }) => !isMarker(name))
  const read = new Set(own.map(({ name }) => name))
  // By both names its rows would be read twice.
  const isAgain = ({ name, leadsTo }: Entry) => {
    if (leadsTo === undefined || !read.has(leadsTo)) return false
    notes.add(`${shown(name)} is a link to ${shown(leadsTo)}, and passed over: that is read itself`)
    return true
  }
  return { files: own.filter(entry => !isAgain(entry)), names, moved, notes: [...notes] }
}

/** Whether options name a file, and it does not lie where their extract moves what it has taken. */
const isOwn = (name: string, { files, to }: DropOptions): boolean =>
  matches(name, files) && !(to !== undefined && name.startsWith(`${to}/`))

/** Whether options name a file, and it is none that an extract has moved aside. */
export const isNamed = (name: string, options: DropOptions): boolean =>
  isOwn(name, options) && movedBy(name, options) === undefined

/** What is told of files that others have moved aside before they were taken by the names that they had, a line a folder. */
function movedNotes(moved: Moved[], taken: ReadonlyMap<string, unknown>): string[] {
  return [...Map.groupBy(moved, ({ aside }) => aside)].flatMap(([{ folder, extract }, files]) => {
    const unread = files.filter(({ former }) => !taken.has(former))
    if (unread.length === 0) return []
    const [are, them] = unread.length === 1 ? ['is', 'it'] : ['are', 'them']
    const glob = JSON.stringify(unread[0]!.glob)
    const line =
      unread.length === files.length
        ? `add to files: ${glob}`
        : `put ${them} elsewhere: files: ${glob} reads again, too, what was read before it lay there (${counted(files.length - unread.length, 'file')})`
    return `${counted(unread.length, 'file')} in ${shown(folder)}/ ${are} passed over: that is where extract ${extract} moves ${them}; to read ${them}, ${line}`
  })
}

const describe = ({ name, size, mtime, etag, refused }: Entry): Taken => ({
  name,
  day: '',
  size,
  mtime,
  ...(etag !== undefined && { etag }),
  ...(refused !== undefined && { bad: refused }),
})

/** A listed file as it is to be taken; undefined where it was. Of a name the last content counts: one that comes back after another is new. */
export async function ifNew(
  store: DropStore,
  entry: Entry,
  versions: Taken[] = [],
): Promise<Taken | undefined> {
  const last = versions.at(-1)
  const answer = isTaken(entry, last)
  if (answer) return undefined
  const fresh = describe(entry)
  if (entry.etag !== undefined || !store.path || entry.size > HASHED || entry.refused !== undefined)
    return fresh
  try {
    fresh.hash = await hashOf(store, entry)
  } catch (error) {
    // Whoever reads it will say so.
    if (!(error instanceof UnopenedFile)) throw error
  }
  return answer === undefined && last!.hash === fresh.hash ? undefined : fresh
}

async function hashOf(store: DropStore, entry: Entry): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of readAll(store, entry)) hash.update(chunk)
  return hash.digest('hex')
}

// Watched, not computed from the clock: the store's clock may be another.
async function settled(
  store: DropStore,
  where: string,
  options: DropOptions,
  found: Taken[],
  notes: string[],
  signal?: AbortSignal,
): Promise<Taken[]> {
  if (found.length === 0) return found
  await delay(options.settle, undefined, { signal })
  const now = new Map((await listed(store, where, options)).files.map(entry => [entry.name, entry]))
  return found.filter(file => {
    const entry = now.get(file.name)
    const same = entry && entry.size === file.size && entry.mtime === file.mtime && entry.etag === file.etag
    if (!same) notes.push(`${shown(file.name)} is still being written: left for the next run`)
    return same
  })
}
