import type { CommitResult, LoadCommit, LoadCounts, Loaded, SyncPoint } from '../contracts/load.ts'
import type { Target } from '../contracts/target.ts'
import { taskName } from '../contracts/taskName.ts'
import type { Changes } from '../diff/changeSet.ts'
import { EngineError } from '../errors.ts'
import { allSettled } from '../extract/runLanes.ts'
import { BEGUN } from '../plan/commitOwner.ts'
import type { RunContext } from '../runtime/context.ts'
import type { FailureScope } from '../runtime/failureScope.ts'
import { runTask } from '../runtime/task.ts'
import { pathsOf, rowsIn } from '../staging/store.ts'
import { type CommitBatch, commitsOf } from './commits.ts'

/** The sync points that a commit in a target makes true. */
export type PointsOf = (target: string) => SyncPoint[]

/**
 * Stages and commits the change sets, one transaction a target (a batch, where a load asks for it), several targets at
 * once. A target that lacks one of its change sets gets none: what is loaded together is true together.
 */
export async function load(
  context: RunContext,
  changes: Changes[],
  syncPoints: PointsOf,
  failures: FailureScope,
): Promise<Loaded[]> {
  const targets = Map.groupBy(changes, change => change.load.to)
  const waiting = [...targets]
  const results = new Map<string, CommitResult>()
  const next = async (): Promise<void> => {
    for (let one = waiting.shift(); one; one = waiting.shift()) {
      const [connection, group] = one
      const all = context.spec.loads
        .filter(({ to }) => to === connection)
        .map(({ table }) => taskName('load', table))
      const result = await failures.attempt([connection], all, () =>
        runTask(context, taskName('load', connection), own =>
          loadTarget(own, connection, group, syncPoints(connection)),
        ),
      )
      if (result) results.set(connection, result)
    }
  }
  await allSettled(Array.from({ length: context.spec.parallelism.maxParallelLoads }, next))
  return [...targets].flatMap(([to, group]) => {
    const result = results.get(to)
    if (!result) return []
    return group.map(({ load, upserts, reason }) => ({
      ...result.counts.find(c => c.table === load.table)!,
      to,
      staged: rowsIn(upserts),
      ...(reason && { reason }),
    }))
  })
}

async function loadTarget(
  context: RunContext,
  connection: string,
  changes: Changes[],
  syncPoints: SyncPoint[],
) {
  const { spec, run } = context
  const target = context.targets.get(connection)!
  const last = `${spec.job}/${run}/${connection}`
  const commits = commitsOf(changes)
  const results: CommitResult[] = []
  for (const [index, shares] of commits.entries()) {
    const whole = index === commits.length - 1
    const loadId = whole ? last : `${last}/${index}`
    const points = whole ? syncPoints : [{ extract: BEGUN, value: null, run }]
    results.push(await loadBatches(context, target, loadId, shares, points))
  }
  return { counts: sum(results.flatMap(({ counts }) => counts)), repeated: results.at(-1)!.repeated }
}

async function loadBatches(
  context: RunContext,
  target: Target,
  loadId: string,
  shares: CommitBatch[],
  syncPoints: SyncPoint[],
): Promise<CommitResult> {
  const { spec, run, runAt, signal, progress } = context
  // An earlier attempt may have been killed between the target's commit and ours.
  const earlier = await target.committed(loadId, signal)
  try {
    for (const share of shares) {
      const task = taskName('load', share.load.table)
      if (share.total !== undefined) progress.started(task, share.total)
      if (earlier) progress.advanced(task, rowsIn(share.rows))
      else await stage(context, target, loadId, share)
      if (share.ends) progress.finished(task, earlier ? 'already loaded' : 'staged')
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

async function stage(context: RunContext, target: Target, loadId: string, { load, rows, keys }: CommitBatch) {
  const { root, spec, signal, progress, workers } = context
  const files = {
    paths: pathsOf(root, rows),
    rows: rowsIn(rows),
    keyPaths: pathsOf(root, keys),
    keys: rowsIn(keys),
  }
  const means = {
    offload: workers.offload,
    lanes: spec.resources.threads,
    progress: (sent: number) => progress.advanced(taskName('load', load.table), sent),
  }
  await target.stage({ loadId, job: spec.job, load, ...files, ...means }, signal)
}

/** The counts of each table, over all its batches. */
function sum(counts: LoadCounts[]): LoadCounts[] {
  const sums = new Map<string, LoadCounts>()
  for (const { table, ...more } of counts) {
    const { inserted = 0, updated = 0, deleted = 0, unchanged = 0, older = 0 } = sums.get(table) ?? {}
    sums.set(table, {
      table,
      ...(more.rows !== undefined && { rows: more.rows }),
      inserted: inserted + more.inserted,
      updated: updated + more.updated,
      deleted: deleted + more.deleted,
      unchanged: unchanged + more.unchanged,
      older: older + more.older,
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
