import { EngineError } from '../errors.ts'
import type { CommitResult, LoadCommit, LoadCounts, StagedLoad, SyncPoint } from '../loads.ts'
import type { Target } from '../ports.ts'
import { pathsOf, rowsIn } from '../staging/store.ts'
import type { Branches } from './branches.ts'
import type { Changes } from './diff.ts'
import { allSettled } from './drive.ts'
import { once } from './once.ts'
import type { World } from './world.ts'

/** What one load did. */
export interface Loaded extends LoadCounts {
  to: string
  /** Rows of the change set. */
  staged: number
  duplicates: number
}

/** The sync points that a commit in a target makes true. */
export type PointsOf = (target: string) => SyncPoint[]

/**
 * Stages and commits the change sets, one transaction a target, several targets at once. A target that lacks one of
 * its change sets gets none: what is loaded together is true together.
 */
export async function load(
  world: World,
  changes: Changes[],
  syncPoints: PointsOf,
  branches: Branches,
): Promise<Loaded[]> {
  const targets = Map.groupBy(changes, change => change.load.to)
  const waiting = [...targets]
  const results = new Map<string, CommitResult>()
  const next = async (): Promise<void> => {
    for (let one = waiting.shift(); one; one = waiting.shift()) {
      const [connection, group] = one
      const all = world.spec.loads.filter(({ to }) => to === connection).map(({ table }) => `load.${table}`)
      const result = await branches.attempt([connection], all, () =>
        once(world, `load.${connection}`, own => loadTarget(own, connection, group, syncPoints(connection))),
      )
      if (result) results.set(connection, result)
    }
  }
  await allSettled(Array.from({ length: world.spec.parallelism.maxParallelLoads }, next))
  return [...targets].flatMap(([to, group]) => {
    const result = results.get(to)
    if (!result) return []
    return group.map(({ load, upserts, counts }) => ({
      ...result.counts.find(c => c.table === load.table)!,
      to,
      staged: rowsIn(upserts),
      duplicates: counts.duplicates,
    }))
  })
}

async function loadTarget(world: World, connection: string, changes: Changes[], syncPoints: SyncPoint[]) {
  const { spec, run, signal, observer, workers } = world
  const target = world.targets.get(connection)!
  const loadId = `${spec.job}/${run}/${connection}`
  // An earlier attempt may have been killed between the target's commit and ours.
  const earlier = await target.committed(loadId, signal)
  if (earlier) {
    await target.abandon(loadId).catch(() => {})
    return earlier
  }
  try {
    const loads: StagedLoad[] = []
    for (const { load, whole, upserts, keys } of changes) {
      const task = `load.${load.table}`
      const rows = rowsIn(upserts)
      observer.started(task, rows)
      const staged = { ...load, whole }
      const files = {
        paths: pathsOf(world.root, upserts),
        rows,
        keyPaths: pathsOf(world.root, keys),
        keys: rowsIn(keys),
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
