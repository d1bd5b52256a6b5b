import { ownValue } from '../../../engine/ownValue.ts'
import type { FileStore } from '../../stores/store.ts'
import { hiddenFolder, tableFolder } from './layout.ts'
import { type Commit, Log, type ManifestRef } from './log.ts'

/** Milliseconds that files stay which no current version refers to: for readers under way, and to go back to. */
const KEEP = 7 * 24 * 3600 * 1000

/**
 * Removes files of tables that no version of the last {@link KEEP} milliseconds refers to and that are older than
 * that themselves: what crashed writers left, and what newer versions replaced.
 */
export async function collect(store: FileStore, tables: string[], now: Date, keep = KEEP): Promise<void> {
  const log = new Log(store)
  const horizon = now.getTime() - keep
  const commits: Commit[] = []
  // Back to the version that was the newest at the horizon.
  for (let commit = await log.newest(); commit; commit = await log.commit(commit.version - 1)) {
    commits.push(commit)
    if (Date.parse(commit.at) <= horizon || commit.version <= (commit.oldest ?? 1)) break
  }
  for (const table of tables) {
    const folders = [tableFolder(table), hiddenFolder(table)]
    const used = new Set([`${folders[0]}/_current.sql`])
    const refs = new Map<string, ManifestRef>()
    for (const { tables } of commits) {
      const ref = ownValue(tables, table)
      if (ref) refs.set(ref.path, ref)
    }
    const [newest, ...former] = refs.values()
    // Of a former version the manifest may be gone already, and with it what only it referred to.
    for (const ref of [newest, ...former]) {
      if (!ref || (ref !== newest && !(await store.get(ref.path)))) continue
      used.add(ref.path)
      for (const { path } of (await log.manifestOf(ref)).files)
        for (const folder of folders) used.add(`${folder}/${path}`)
    }
    for (const folder of folders) {
      for (const { path, modified } of await store.list(folder))
        if (!used.has(path) && modified.getTime() < horizon) await store.delete(path)
      await store.sweep(folder, new Date(horizon))
    }
  }
}
