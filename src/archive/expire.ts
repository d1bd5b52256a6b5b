import { partsOf } from '../../engine/staging/image.ts'
import { ABANDONED, type FileStore } from '../stores/store.ts'
import { manifestPath, readArchived, runsIn } from './manifest.ts'

/** What went of a job's archive. */
export interface Expired {
  runs: string[]
  files: number
  bytes: number
}

/**
 * Removes runs of a job that were archived before the retention, and the files that only they were made of; also what
 * killed attempts left, once it is old. The latest run stays. Manifests go first: killed in between, the next time
 * finds the rest.
 */
export async function expire(
  store: FileStore,
  job: string,
  retention: number,
  now: Date,
  dryRun = false,
): Promise<Expired> {
  const listed = await store.list(job)
  const used = new Set<string>()
  const going = new Set<string>()
  const runs = runsIn(listed.map(({ path }) => path)).sort()
  const expired: string[] = []
  for (const [index, run] of runs.entries()) {
    const archived = await readArchived(store, job, run)
    if (!archived) continue
    const old = Date.parse(archived.archivedAt) < now.getTime() - retention && index < runs.length - 1
    if (old) expired.push(run)
    for (const { nights } of archived.extracts)
      for (const night of nights) for (const { path } of partsOf(night)) (old ? going : used).add(path)
    used.add(manifestPath(job, run))
  }
  for (const run of expired) used.delete(manifestPath(job, run))
  const manifests = new Set(expired.map(run => manifestPath(job, run)))
  const orphaned = now.getTime() - ABANDONED
  const gone = listed.filter(
    ({ path, modified }) =>
      !used.has(path) && (manifests.has(path) || going.has(path) || modified.getTime() < orphaned),
  )
  if (!dryRun) {
    for (const path of manifests) await store.delete(path)
    for (const { path } of gone) await store.delete(path)
    await store.sweep(job, new Date(orphaned))
  }
  return { runs: expired, files: gone.length, bytes: gone.reduce((sum, { size }) => sum + size, 0) }
}
