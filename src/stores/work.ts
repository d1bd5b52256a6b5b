import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ABANDONED } from './store.ts'

/**
 * A new empty folder in `folder` for an owner's work in progress. Those that it left earlier are removed, and those of
 * others that are old.
 */
export async function workFolder(folder: string, owner: string): Promise<string> {
  const prefix = `${createHash('sha256').update(owner).digest('hex').slice(0, 16)}-`
  await mkdir(folder, { recursive: true })
  for (const name of await readdir(folder)) {
    const facts = await stat(join(folder, name)).catch(() => undefined)
    const left = name.startsWith(prefix) || (facts && facts.mtimeMs < Date.now() - ABANDONED)
    if (left) await rm(join(folder, name), { recursive: true, force: true })
  }
  return mkdtemp(join(folder, prefix))
}
