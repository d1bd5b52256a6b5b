import { unless } from '../../../engine/errors.ts'
import type { FileStore } from '../../stores/store.ts'
import { tableFolder } from './layout.ts'
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
  const folder = tableFolder(table)
  const sizes = new Map((await store.list(folder)).map(({ path, size }) => [path, size]))
  const files = manifest.files.filter(({ path, bytes }) => sizes.get(`${folder}/${path}`) === bytes)
  return { manifest: { ...manifest, files }, lost: files.length < manifest.files.length }
}
