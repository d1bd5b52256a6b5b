import { EngineError } from '../errors.ts'
import type { CommitResult, LoadCommit, LoadCounts, Part, StagedLoad, SyncPoint, Target } from '../ports.ts'
import { pathsOf } from '../staging/store.ts'
import type { Changes } from './diff.ts'
import { once, type World } from './world.ts'

/** What one load did. */
export interface Loaded extends LoadCounts {
  to: string
  /** Rows of the change set. */
  staged: number
  duplicates: number
}

/** Stages and commits the change sets, one transaction a target. */
export async function load(world: World, changes: Changes[], syncPoints: SyncPoint[]): Promise<Loaded[]> {
  const loaded: Loaded[] = []
  for (const [connection, group] of Map.groupBy(changes, change => change.load.to)) {
    const result = await once(world, `load.${connection}`, () =>
      loadTarget(world, connection, group, syncPoints),
    )
    for (const { load, upserts, counts } of group)
      loaded.push({
        ...result.counts.find(c => c.table === load.table)!,
        to: connection,
        staged: rowsOf(upserts),
        duplicates: counts.duplicates,
      })
  }
  return loaded
}

async function loadTarget(world: World, connection: string, changes: Changes[], syncPoints: SyncPoint[]) {
  const { spec, run, signal, observer, workers } = world
  const target = world.targets.get(connection)!
  const loadId = `${spec.job}/${run}/${connection}`
  // An earlier attempt may have been killed between the target's commit and ours.
  const earlier = await target.committed(loadId, signal)
  if (earlier) return earlier
  try {
    const loads: StagedLoad[] = []
    for (const { load, whole, upserts, keys } of changes) {
      const task = `load.${load.table}`
      const rows = rowsOf(upserts)
      observer.started(task, rows)
      const staged = { ...load, whole }
      const files = {
        paths: pathsOf(world.root, upserts),
        rows,
        keyPaths: pathsOf(world.root, keys),
        keys: rowsOf(keys),
      }
      const means = {
        offload: workers.offload,
        lanes: spec.resources.threads,
        progress: (sent: number) => observer.advanced(task, sent),
      }
      await target.stage({ loadId, job: spec.job, load: staged, ...files, ...means }, signal)
      observer.finished(task, 'staged')
      loads.push(staged)
    }
    return await commit(target, { loadId, job: spec.job, run, runAt: world.runAt, loads, syncPoints }, signal)
  } catch (error) {
    await target.abandon(loadId).catch(() => {})
    throw error
  }
}

async function commit(target: Target, what: LoadCommit, signal: AbortSignal): Promise<CommitResult> {
  try {
    return await target.commit(what, signal)
  } catch (error) {
    // Lost at COMMIT: only the target knows whether it happened.
    if (!(error instanceof EngineError) || error.code !== 'CONNECTION_LOST') throw error
    const result = await target.committed(what.loadId, signal)
    if (!result) throw error
    return result
  }
}

const rowsOf = (parts: Part[]) => parts.reduce((sum, part) => sum + part.rows, 0)
