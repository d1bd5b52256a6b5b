import { EngineError } from '../errors.ts'
import type { CommitResult, LoadCommit, LoadCounts, SyncPoint } from '../loads.ts'
import type { Target } from '../ports.ts'
import { pathsOf, rowsIn } from '../staging/store.ts'
import type { Branches } from './branches.ts'
import { commitsOf, type Share } from './commits.ts'
import type { Changes } from './diff.ts'
import { allSettled } from './drive.ts'
import { BEGUN } from './holding.ts'
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
 * Stages and commits the change sets, one transaction a target (a batch, where a load asks for it), several targets at
 * once. A target that lacks one of its change sets gets none: what is loaded together is true together.
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
  const { spec, run } = world
  const target = world.targets.get(connection)!
  const last = `${spec.job}/${run}/${connection}`
  const commits = commitsOf(changes)
  const results: CommitResult[] = []
  for (const [index, shares] of commits.entries()) {
    const whole = index === commits.length - 1
    const loadId = whole ? last : `${last}/${index}`
    const points = whole ? syncPoints : [{ extract: BEGUN, value: null, run }]
    results.push(await loadShares(world, target, loadId, shares, points))
  }
  return { counts: sum(results.flatMap(({ counts }) => counts)), repeated: results.at(-1)!.repeated }
}

async function loadShares(
  world: World,
  target: Target,
  loadId: string,
  shares: Share[],
  syncPoints: SyncPoint[],
): Promise<CommitResult> {
  const { spec, run, runAt, signal, observer } = world
  // An earlier attempt may have been killed between the target's commit and ours.
  const earlier = await target.committed(loadId, signal)
  try {
    for (const share of shares) {
      const task = `load.${share.load.table}`
      if (share.total !== undefined) observer.started(task, share.total)
      if (earlier) observer.advanced(task, rowsIn(share.rows))
      else await stage(world, target, loadId, share)
      if (share.ends) observer.finished(task, earlier ? 'already loaded' : 'staged')
    }
    if (earlier) {
      await target.abandon(loadId).catch(() => {})
      return earlier
    }
    const loads = shares.map(({ load }) => load)
    return await commit(target, { loadId, job: spec.job, run, runAt, loads, syncPoints }, signal)
  } catch (error) {
    await target.abandon(loadId).catch(() => {})
    throw error
  }
}

async function stage(world: World, target: Target, loadId: string, { load, rows, keys }: Share) {
  const { root, spec, signal, observer, workers } = world
  const files = {
    paths: pathsOf(root, rows),
    rows: rowsIn(rows),
    keyPaths: pathsOf(root, keys),
    keys: rowsIn(keys),
  }
  const means = {
    offload: workers.offload,
    lanes: spec.resources.threads,
    progress: (sent: number) => observer.advanced(`load.${load.table}`, sent),
  }
  await target.stage({ loadId, job: spec.job, load, ...files, ...means }, signal)
}

/** The counts of each table, over all its batches. */
function sum(counts: LoadCounts[]): LoadCounts[] {
  const sums = new Map<string, LoadCounts>()
  for (const { table, ...more } of counts) {
    const { inserted = 0, updated = 0, deleted = 0, unchanged = 0 } = sums.get(table) ?? {}
    sums.set(table, {
      table,
      inserted: inserted + more.inserted,
      updated: updated + more.updated,
      deleted: deleted + more.deleted,
      unchanged: unchanged + more.unchanged,
    })
  }
  return [...sums.values()]
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
