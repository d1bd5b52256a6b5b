import { readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** Bytes after which a log is put aside. */
const MAX_BYTES = 32 * 1024 ** 2
/** Of those that were put aside, how many stay. */
const MAX_FILES = 5

let turns = 0

/**
 * Puts a log that has grown beyond 32 MiB aside, as `FILE.TIME-…`, and removes all but the newest five of these. Whoever has it
 * open goes on writing to the one that was put aside. A log that cannot be moved grows on: that ends nothing.
 */
export function rotate(file: string): void {
  try {
    if (statSync(file).size <= MAX_BYTES) return
    // A name of its own: of two that do this at once, the second moves what the first has just begun, and replaces nothing.
    const time = new Date().toISOString().replace(/[-:.]/g, '')
    renameSync(file, `${file}.${time}-${process.pid}-${turns++}`)
    const prefix = `${basename(file)}.`
    const aside = readdirSync(dirname(file)).filter(name => name.startsWith(prefix))
    for (const name of aside.toSorted().slice(0, -MAX_FILES))
      rmSync(join(dirname(file), name), { force: true })
  } catch {}
}

/** What tells the file of a path from one that took its place; undefined where there is none. */
export function identity(file: string): number | undefined {
  try {
    return statSync(file).ino
  } catch {
    return undefined
  }
}
