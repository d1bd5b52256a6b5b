import type { RowSum } from '../batch/rowSum.ts'
import type { CommitResult, LoadCommit, LoadCounts, Loaded, SyncPoint } from '../contracts/load.ts'
import type { Target } from '../contracts/target.ts'
import { taskName } from '../contracts/taskName.ts'
import type { Changes } from '../diff/changeSet.ts'
import { EngineError } from '../errors.ts'
import { allSettled } from '../extract/runLanes.ts'
import { BEGUN } from '../plan/commitOwner.ts'
import { abandonStaged } from '../runtime/abandon.ts'
import { ownFile, type RunContext } from '../runtime/context.ts'
import type { FailureScope } from '../runtime/failureScope.ts'
import { lanesTo } from '../runtime/lanes.ts'
import { oursFirst, runTask } from '../runtime/task.ts'
import { pathsOf, rowsIn } from '../staging/store.ts'
import { describeVerification, type Verification } from '../verify/result.ts'
import { refuseDiffering, sumVerifications, verifyBatch } from '../verify/verify.ts'
import { type CommitBatch, commitsOf } from './commits.ts'

/** The sync points that a commit in a target makes true. */
export type PointsOf = (target: string) => SyncPoint[]

/** What a target's loads came to, and what was found of them before they were published. */
interface TargetLoads extends CommitResult {
  verifications: Verification[]
}

/**
 * Stages, verifies and commits the change sets, one transaction a target (a batch, where a load asks for it), several targets at
 * once; adds what was found of each before it was published to `verifications`. A target that lacks one of its change sets gets none: what is loaded together is true together.
 */
export async function load(
  context: RunContext,
  changes: Changes[],
  syncPoints: PointsOf,
  failures: FailureScope,
  verifications: Verification[],
): Promise<Loaded[]> {
  const targets = Map.groupBy(changes, change => change.load.to)
  const waiting = oursFirst(context, [...targets], ([connection]) => taskName('load', connection))
  const results = new Map<string, TargetLoads>()
  const next = async (): Promise<void> => {
    for (let one = waiting.shift(); one; one = waiting.shift()) {
      const [connection, group] = one
      const all = context.spec.loads
        .filter(({ to }) => to === connection)
        .map(({ table }) => taskName('load', table))
      const result = await failures.attempt([connection], all, () =>
        runTask(context, taskName('load', connection), own =>
          loadTarget(own, connection, group, syncPoints(connection), verifications),
        ),
      )
      if (!result) continue
      results.set(connection, result)
      verifications.push(...result.verifications)
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
  failed: Verification[],
): Promise<TargetLoads> {
  const { spec, run } = context
  const target = context.targets.get(connection)!
  const last = `${spec.job}/${run}/${connection}`
  const commits = commitsOf(changes)
  const results: TargetLoads[] = []
  for (const [index, shares] of commits.entries()) {
    const whole = index === commits.length - 1
    const loadId = whole ? last : `${last}/${index}`
    const points = whole ? syncPoints : [{ extract: BEGUN, value: null, run }]
    const before = sum(results.flatMap(({ counts }) => counts))
    results.push(await loadBatches(context, target, loadId, shares, points, before, failed))
  }
  return {
    counts: sum(results.flatMap(({ counts }) => counts)),
    repeated: results.at(-1)!.repeated,
    verifications: sumVerifications(results.flatMap(({ verifications }) => verifications)),
  }
}

async function loadBatches(
  context: RunContext,
  target: Target,
  loadId: string,
  shares: CommitBatch[],
  syncPoints: SyncPoint[],
  before: LoadCounts[],
  failed: Verification[],
): Promise<TargetLoads> {
  const { spec, run, runAt, signal, progress } = context
  // An earlier attempt may have been killed between the target's commit and ours.
  const earlier = await target.committed(loadId, signal)
  const sent = new Map<CommitBatch, RowSum>()
  try {
    for (const share of shares) {
      const task = taskName('load', share.load.table)
      if (share.total !== undefined) progress.started(task, share.total)
      if (earlier) progress.advanced(task, rowsIn(share.rows))
      else {
        const sum = await stage(context, target, loadId, share)
        if (sum) sent.set(share, sum)
      }
      if (share.ends) progress.finished(task, earlier ? 'already loaded' : 'staged')
    }
    if (earlier) return { ...earlier, verifications: verifiedEarlier(shares) }
    const loads = shares.map(({ load }) => load)
    const verifications: Verification[] = []
    const check = async (counts: LoadCounts[]) => {
      verifications.push(...(await verify(context, target, loadId, shares, sent, counts, before)))
      failed.push(...verifications.filter(({ wrong }) => wrong.rows > 0))
      refuseDiffering(verifications)
    }
    const commits = { loadId, job: spec.job, run, runAt, loads, syncPoints }
    const result = await commit(target, commits, check, signal)
    return { ...result, verifications: result.repeated ? verifiedEarlier(shares) : verifications }
  } finally {
    await abandonStaged(target, loadId, progress)
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
    lanes: lanesTo(spec, load.to),
    progress: (sent: number) => progress.advanced(taskName('load', load.table), sent),
  }
  return target.stage({ loadId, job: spec.job, load, ...files, ...means }, signal)
}

/** The counts of each table, over all its batches. */
function sum(counts: LoadCounts[]): LoadCounts[] {
  const sums = new Map<string, LoadCounts>()
  for (const { table, ...more } of counts) {
    const {
      inserted = 0,
      updated = 0,
      deleted = 0,
      unchanged = 0,
      older = 0,
      created,
    } = sums.get(table) ?? {}
    sums.set(table, {
      table,
      ...(more.rows !== undefined && { rows: more.rows }),
      ...((created || more.created) && { created: true }),
      inserted: inserted + more.inserted,
      updated: updated + more.updated,
      deleted: deleted + more.deleted,
      unchanged: unchanged + more.unchanged,
      older: older + more.older,
    })
  }
  return [...sums.values()]
}

/** Reads back what a commit is about to publish, and compares it with what was staged. */
async function verify(
  context: RunContext,
  target: Target,
  loadId: string,
  shares: CommitBatch[],
  sent: Map<CommitBatch, RowSum>,
  counts: LoadCounts[],
  before: LoadCounts[],
): Promise<Verification[]> {
  const { progress, signal, duck, root } = context
  const found: Verification[] = []
  for (const share of shares) {
    const { table, to, verify: wanted, key } = share.load
    if (wanted === 'off') continue
    if (!target.verifier || key.length === 0) {
      const reason = target.verifier ? 'it has no key' : 'loads there cannot be verified'
      progress.note(`${to}.${table} is not verified: ${reason}`)
      continue
    }
    const own = counts.find(count => count.table === table)!
    const unchanged = (before.find(count => count.table === table)?.unchanged ?? 0) + own.unchanged
    const folder = `${ownFile(context, 'verify')}/${table}`
    progress.started(taskName('verify', table))
    const verification = await verifyBatch(
      { duck, root, target, signal, mask: context.mask, loadId, folder },
      { ...share, sent: sent.get(share), counts: own, unchanged },
    )
    if (verification) found.push(verification)
    progress.finished(
      taskName('verify', table),
      verification ? describeVerification(verification) : 'at the end',
    )
  }
  return found
}

/** An attempt that was cut off after its commit had compared these rows before it: only what is equal is published. */
function verifiedEarlier(shares: CommitBatch[]): Verification[] {
  return shares.flatMap(({ load, rows, keys, only, ends }) => {
    const { table, to, verify: wanted = 'changes', key } = load
    if (wanted === 'off' || key.length === 0 || (wanted === 'all' && !only && !ends)) return []
    const count = rowsIn(rows) + (load.whole ? 0 : rowsIn(keys))
    const none = { newer: 0, leftAlone: 0, others: 0, wrong: { rows: 0, ranges: 0 }, differing: [] }
    const notes = ['compared by an earlier attempt, before it committed']
    return [{ table, to, scope: wanted, rows: count, ranges: 1, equal: count, ...none, notes }]
  })
}

async function commit(
  target: Target,
  what: LoadCommit,
  check: (counts: LoadCounts[]) => Promise<void>,
  signal: AbortSignal,
): Promise<CommitResult> {
  try {
    return await target.commit(what, signal, check)
  } catch (error) {
    // Lost at COMMIT: only the target knows whether it happened.
    if (!(error instanceof EngineError) || error.code !== 'CONNECTION_LOST') throw error
    const result = await target.committed(what.loadId, signal)
    if (!result) throw error
    return result
  }
}
