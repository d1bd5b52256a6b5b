import { unless } from '../../../engine/errors.ts'
import type { FileStore } from '../../stores/store.ts'
import { hiddenFolder, tableFolder } from './layout.ts'
import type { Commit, Log, Manifest } from './log.ts'

/**
 * A table's newest manifest with the files that are there, each of the size that was written: what hands have left of
 * it. Undefined where the commit knows no such table, or the manifest itself is gone or damaged. `lost`: something is
 * missing.
 */
export async function intact(
  store: FileStore,
  log: Log,
  newest: Commit | undefined,
  table: string,
): Promise<{ manifest: Manifest | undefined; lost: boolean }> {
  if (!newest || !Object.hasOwn(newest.tables, table)) return { manifest: undefined, lost: false }
  const manifest = await unless('STAGING_CORRUPT', () => log.manifest(newest, table))
  if (!manifest) return { manifest, lost: true }
  const sizes = new Map<string, number>()
  // What is not yet shown is hidden; what is moved while this looks is found in its new place.
  for (const folder of [tableFolder(table), hiddenFolder(table), tableFolder(table)])
    for (const { path, size } of await store.list(folder)) sizes.set(path.slice(folder.length + 1), size)
  const files = manifest.files.filter(({ path, bytes }) => sizes.get(path) === bytes)
  return { manifest: { ...manifest, files }, lost: files.length < manifest.files.length }
}
