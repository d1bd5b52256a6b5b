import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isAlive, ownName } from '../util/owner.ts'
import { ABANDONED } from './store.ts'

/**
 * A new empty folder in `folder` for an owner's work in progress. Those that processes of it left which are no more are
 * removed, and those of others that are old: a process that was stopped wakes up to its files.
 */
export async function workFolder(folder: string, owner: string): Promise<string> {
  const prefix = `${createHash('sha256').update(owner).digest('hex').slice(0, 16)}-`
  const own = `${prefix}${encodeURIComponent(ownName())}-`
  await mkdir(folder, { recursive: true })
  for (const name of await readdir(folder)) {
    const facts = await stat(join(folder, name)).catch(() => undefined)
    const isLeft = name.startsWith(own) || (name.startsWith(prefix) && !isAlive(processIn(name, prefix)))
    if (isLeft || (facts && facts.mtimeMs < Date.now() - ABANDONED))
      await rm(join(folder, name), { recursive: true, force: true })
  }
  return mkdtemp(join(folder, own))
}

/** The process that a folder is of, before what mkdtemp adds. */
function processIn(name: string, prefix: string): string {
  try {
    return decodeURIComponent(name.slice(prefix.length, name.lastIndexOf('-')))
  } catch {
    return name
  }
}
