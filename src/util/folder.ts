import { mkdirSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { EngineError } from '../../engine/errors.ts'

const find = (path: string) => statSync(path, { throwIfNoEntry: false })

/**
 * Makes a folder and the missing ones above it; gives the first that it made, if any. Fails with
 * CONFIG_INVALID where a file stands there or the file system lets none be made, else as the system says.
 * Not `recursive` of Node: where a system refuses a folder as if its parent were missing, as in /proc, that asks for ever.
 */
export function makeFolder(path: string, mode?: number): string | undefined {
  if (find(path)?.isDirectory()) return
  const above = dirname(path)
  const first = find(above) ? undefined : makeFolder(above, mode)
  try {
    mkdirSync(path, mode)
  } catch (error) {
    // Another process was first.
    if (find(path)?.isDirectory()) return first
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT' && code !== 'EEXIST') throw error
    const why =
      code === 'EEXIST' ? 'it is a file, not a folder' : 'this file system lets no folder be made there'
    throw new EngineError('CONFIG_INVALID', `${path}: ${why}`, { cause: error, hint: 'Name another place.' })
  }
  return first ?? path
}

/** An absolute path without links, as far as what it names is there. */
export function realPathOf(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    const above = dirname(path)
    return above === path ? path : join(realPathOf(above), basename(path))
  }
}
