import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ABANDONED } from './store.ts'

/**
 * A new empty folder in `folder` for an owner's work in progress. Those that processes of it left which are no more are
 * removed, and those of others that are old.
 */
export async function workFolder(folder: string, owner: string): Promise<string> {
  const prefix = `${createHash('sha256').update(owner).digest('hex').slice(0, 16)}-`
  await mkdir(folder, { recursive: true })
  for (const name of await readdir(folder)) {
    const facts = await stat(join(folder, name)).catch(() => undefined)
    const own = name.startsWith(prefix) && !isAlive(Number(name.slice(prefix.length).split('-')[0]))
    const left = own || (facts && facts.mtimeMs < Date.now() - ABANDONED)
    if (left) await rm(join(folder, name), { recursive: true, force: true })
  }
  return mkdtemp(join(folder, `${prefix}${process.pid}-`))
}

/** Whether another process of this machine goes on: one that was stopped does, and wakes up to its files. */
function isAlive(pid: number): boolean {
  if (pid === process.pid) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
