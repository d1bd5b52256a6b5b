import type { RowSum } from '../batch/rowSum.ts'
import type { CommitResult, LoadCommit, LoadCounts, Loaded, LoadSpec, SyncPoint } from '../contracts/load.ts'
import type { Target } from '../contracts/target.ts'
import { taskName } from '../contracts/taskName.ts'
import type { Changes } from '../diff/changeSet.ts'
import { leaveAsLoaded } from '../diff/evolution.ts'
import { stateManifest } from '../diff/state.ts'
import { EngineError, type ErrorData, errorFrom, plainError } from '../errors.ts'
import { allSettled } from '../extract/runLanes.ts'
import { BEGUN } from '../plan/commitOwner.ts'
import { abandonStaged } from '../runtime/abandon.ts'
import { ownFile, type RunContext } from '../runtime/context.ts'
import type { FailureScope } from '../runtime/failureScope.ts'
import { lanesTo } from '../runtime/lanes.ts'
import { isLeftOut } from '../runtime/leftOut.ts'
import { oursFirst, runTask } from '../runtime/task.ts'
import { isIntact, pathsOf, rowsIn } from '../staging/store.ts'
import { describeVerification, nothingCompared, type Verification } from '../verify/result.ts'
import { refuseDiffering, sumVerifications, verifyBatch } from '../verify/verify.ts'
import { type CommitBatch, commitsOf } from './commits.ts'
import { unsendable } from './unsendable.ts'

/** The sync points that a commit in a target makes true which leaves out the loads of these tables. */
export type PointsOf = (target: string, left: string[]) => SyncPoint[]

/** What a target's loads came to, and what was found of them before they were published. */
interface TargetLoads extends CommitResult {
  verifications: Verification[]
  /** Loads that the others were committed without, by their tables; `error` of those that failed here. */
  left?: { table: string; error?: ErrorData }[]
}

/**
 * Stages, verifies and commits the change sets, one transaction a target (a batch, where a load asks for it), several targets at
 * once; adds what was found of each before it was published to `verifications`. A target that lacks one of its change sets gets none: what is loaded together is true together.
 * But for those with `onError: continue`, and those whose table cannot take their rows: the others are loaded without them.
 */
export async function load(
  context: RunContext,
  changes: Changes[],
  syncPoints: PointsOf,
  failures: FailureScope,
  verifications: Verification[],
  lastRun: Map<string, string>,
): Promise<Loaded[]> {
  const targets = Map.groupBy(changes, change => change.load.to)
  const waiting = oursFirst(context, [...targets], ([connection]) => taskName('load', connection))
  const results = new Map<string, TargetLoads>()
  const next = async (): Promise<void> => {
    for (let one = waiting.shift(); one; one = waiting.shift()) {
      const [connection, group] = one
      const all = context.spec.loads.filter(({ to }) => to === connection)
      const needed = all.filter(
        ({ table, onError }) => onError !== 'continue' && !failures.isRefused(taskName('load', table)),
      )
      const missing = all
        .map(({ table }) => table)
        .filter(name => !group.some(({ load }) => load.table === name))
      const result = await failures.attempt(
        [connection],
        needed.map(({ table }) => taskName('load', table)),
        () =>
          runTask(context, taskName('load', connection), async own => {
            for (const table of missing) await leaveAsLoaded(own, table, lastRun.get(connection))
            return loadTarget(own, connection, group, missing, syncPoints, verifications)
          }),
      )
      if (!result) continue
      for (const { load } of group) refuseUnloaded(context, load, result, failures)
      results.set(connection, result)
      verifications.push(...result.verifications)
    }
  }
  await allSettled(Array.from({ length: context.spec.parallelism.maxParallelLoads }, next))
  return [...targets].flatMap(([to, group]) => {
    const result = results.get(to)
    if (!result) return []
    return group.flatMap(({ load, upserts, reason }) => {
      const counts = result.counts.find(c => c.table === load.table)
      return counts ? [{ ...counts, to, staged: rowsIn(upserts), ...(reason && { reason }) }] : []
    })
  })
}

/** Says of a load that its target's commit is without it. */
function refuseUnloaded(
  { run }: RunContext,
  { to, table }: LoadSpec,
  { counts, left = [] }: TargetLoads,
  failures: FailureScope,
): void {
  if (counts.some(count => count.table === table)) return
  const { error } = left.find(one => one.table === table) ?? {}
  failures.lose(
    [taskName('load', table)],
    error
      ? (errorFrom(error) as EngineError)
      : new EngineError(
          'RESUME_REFUSED',
          `${to}.${table}: run ${run} has loaded the other tables without it`,
          {
            hint: 'Run the job again: the next run loads it.',
          },
        ),
  )
}

/** The load id of the last commit of a run's change sets in a target: of the only one, but for loads in batches. */
export const loadIdOf = ({ spec, run }: Pick<RunContext, 'spec' | 'run'>, connection: string) =>
  `${spec.job}/${run}/${connection}`

async function loadTarget(
  context: RunContext,
  connection: string,
  changes: Changes[],
  missing: string[],
  pointsOf: PointsOf,
  failed: Verification[],
): Promise<TargetLoads> {
  const { run, progress } = context
  const target = context.targets.get(connection)!
  const last = loadIdOf(context, connection)
  const begun: SyncPoint[] = [{ extract: BEGUN, value: null, run }]
  const results: TargetLoads[] = []
  const left: NonNullable<TargetLoads['left']> = missing.map(table => ({ table }))
  const base = changes[0]?.base
  const commitOne = async (loadId: string, shares: CommitBatch[], points: SyncPoint[]) => {
    const before = sum(results.flatMap(({ counts }) => counts))
    results.push(await loadBatches(context, target, loadId, shares, { base, points, before }, failed))
  }
  const points = () => {
    const own = pointsOf(
      connection,
      left.map(({ table }) => table),
    )
    // Whoever looks next must know that this run was there.
    return left.length > 0 && own.length === 0 ? begun : own
  }
  const commits = commitsOf(changes)
  try {
    for (const [index, shares] of commits.entries()) {
      const whole = index === commits.length - 1
      await commitOne(whole ? last : `${last}/${index}`, shares, whole ? points() : begun)
    }
  } catch (error) {
    const free = changes.filter(({ load }) => isOfLoad(load, error))
    if (commits.length > 1 || free.length === 0) throw error
    progress.note(`${connection}: ${(error as Error).message}; tables are committed one by one`)
    let waiting = free
    // One whose parent came after it may be taken the second time.
    for (let done = -1; done < results.length && waiting.length > 0; ) {
      done = results.length
      left.length = missing.length
      const again: Changes[] = []
      for (const change of waiting)
        try {
          const loadId = `${last}/alone/${changes.indexOf(change)}`
          await commitOne(loadId, commitsOf([change])[0]!, begun)
        } catch (cause) {
          if (!isOfLoad(change.load, cause)) throw cause
          again.push(change)
          left.push({ table: change.load.table, error: plainError(cause) })
        }
      waiting = again
    }
    await forgetStates(context, left)
    await commitOne(last, commitsOf(changes.filter(change => !free.includes(change)))[0]!, points())
  }
  return {
    counts: sum(results.flatMap(({ counts }) => counts)),
    repeated: results.at(-1)!.repeated,
    verifications: sumVerifications(results.flatMap(({ verifications }) => verifications)),
    ...(left.length > 0 && { left }),
  }
}

/** Whether the job goes on without a load whose commit failed so. That another run has loaded since is of the whole target. */
const isOfLoad = (load: Changes['load'], error: unknown): error is EngineError =>
  error instanceof EngineError && error.code !== 'RUN_OUTDATED' && isLeftOut(load, error)

/** The next run must not take for loaded what this one has compared and left out. */
async function forgetStates(
  { staging, spec, run }: RunContext,
  left: NonNullable<TargetLoads['left']>,
): Promise<void> {
  for (const { table, error } of left) if (error) await staging.withdraw(stateManifest(spec.job, run, table))
}

async function loadBatches(
  context: RunContext,
  target: Target,
  loadId: string,
  shares: CommitBatch[],
  { base, points, before }: { base: string | null | undefined; points: SyncPoint[]; before: LoadCounts[] },
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
    const tables = spec.loads.filter(({ to }) => to === loads[0]?.to).map(({ table }) => table)
    const commits = {
      loadId,
      job: spec.job,
      run,
      runAt,
      loads,
      tables,
      syncPoints: points,
      ...(base !== undefined && { base }),
    }
    const result = await commit(target, commits, check, signal)
    return { ...result, verifications: result.repeated ? verifiedEarlier(shares) : verifications }
  } finally {
    await abandonStaged(target, loadId, progress)
  }
}

async function stage(context: RunContext, target: Target, loadId: string, { load, rows, keys }: CommitBatch) {
  const { root, spec, signal, progress, workers } = context
  // What was altered since it was written is loaded by nobody.
  for (const part of [...rows, ...keys])
    if (!(await isIntact(root, part)))
      throw new EngineError('STAGING_CORRUPT', `${part.file}: it is no longer what was written`, {
        hint: 'Nothing was loaded. Something wrote to the staging folder: run the job again.',
      })
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
  try {
    return await target.stage({ loadId, job: spec.job, load, ...files, ...means }, signal)
  } catch (error) {
    throw await unsendable(context, target, { load, rows }, error)
  }
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
      cascades = [],
    } = sums.get(table) ?? {}
    const all = [...cascades, ...(more.cascades ?? [])]
    sums.set(table, {
      table,
      ...(more.rows !== undefined && { rows: more.rows }),
      ...((created || more.created) && { created: true }),
      ...(all.length > 0 && { cascades: all }),
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
    const { table, to, verify: wanted } = share.load
    if (wanted === 'off') continue
    if (!target.verifier) {
      progress.note(`${to}.${table} is not verified: loads there cannot be verified`)
      continue
    }
    const own = counts.find(count => count.table === table)!
    const unchanged = (before.find(count => count.table === table)?.unchanged ?? 0) + own.unchanged
    const folder = `${ownFile(context, 'verify')}/${table}`
    progress.started(taskName('verify', table))
    const verification = await verifyBatch(
      { duck, root, target, signal, mask: context.mask, runAt: context.runAt, loadId, folder },
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
    const { verify: wanted = 'changes' } = load
    if (wanted === 'off' || (wanted === 'all' && !only && !ends)) return []
    const count = rowsIn(rows) + (load.whole ? 0 : rowsIn(keys))
    const notes = ['compared by an earlier attempt, before it committed']
    return [{ ...nothingCompared(load, wanted), rows: count, ranges: 1, equal: count, notes }]
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
