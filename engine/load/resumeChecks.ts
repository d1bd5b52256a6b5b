import { taskName } from '../contracts/taskName.ts'
import type { Changes } from '../diff/changeSet.ts'
import { EngineError } from '../errors.ts'
import { movedSince } from '../plan/commitOwner.ts'
import type { Prepared } from '../plan/prepare.ts'
import { disturbance } from '../plan/standing.ts'
import type { RunContext } from '../runtime/context.ts'

/**
 * Fails with PLAN_UNUSABLE where the change sets that a planned run left cannot be loaded as they are: it has none, they
 * are loaded, a target holds another run's data by now than they were compared with, or their files are gone. `resumed`: their
 * load may have begun, and some of it be committed.
 */
export async function checkFromPlan(context: RunContext, resumed: boolean): Promise<void> {
  const { spec, run, tasks: store, targets, staging } = context
  const refuse = (reason: string) => {
    throw new EngineError('PLAN_UNUSABLE', `plan ${run}: ${reason}`, {
      hint: 'Nothing was loaded. Make a new plan, or run the job.',
    })
  }
  const prepared = await store.output<Prepared>('plan')
  const changes = await Promise.all(
    spec.loads.map(({ table }) => store.output<Changes>(taskName('diff', table))),
  )
  if (!prepared || changes.includes(undefined)) return refuse('it did not get as far as the change sets')
  const { loaded, moved } = await standing(context, prepared)
  if (moved) return refuse(moved)
  if (loaded.length === targets.size && !resumed) refuse('it is already loaded')
  const [disturbed] = await disturbedTables(context, loaded)
  if (disturbed) refuse(`${disturbed.table}: ${disturbed.reason}`)
  const left = changes.filter((_, index) => !loaded.includes(spec.loads[index]!.to))
  for (const part of left.flatMap(change => [...change!.upserts, ...change!.keys]))
    if (!(await staging.bring([part]))) refuse(`it has expired: ${part.file} is no longer staged`)
}

/**
 * Fails with RESUME_REFUSED where a run cannot go on as it was planned: a target holds another run's data by now.
 * Gives the targets that have its load, and the tables that are not what its change sets were worked out against.
 */
export async function checkResume(
  context: RunContext,
): Promise<{ loaded: string[]; disturbed: { table: string; reason: string }[] }> {
  const { spec, run, tasks: store } = context
  const prepared = await store.output<Prepared>('plan')
  if (!prepared) return { loaded: [], disturbed: [] }
  const { loaded, moved } = await standing(context, prepared)
  if (moved)
    throw new EngineError('RESUME_REFUSED', `run ${run}: ${moved}`, {
      hint: `Nothing is lost: run ${spec.job} anew, with --fresh.`,
    })
  return { loaded, disturbed: await disturbedTables(context, loaded) }
}

/** Tables of targets that have not loaded the run, of which it has the differences alone, and which are others by now. */
async function disturbedTables({ spec, tasks, targets, signal }: RunContext, loaded: string[]) {
  const found: { table: string; reason: string }[] = []
  for (const { table, to } of spec.loads) {
    const changes = loaded.includes(to) ? undefined : await tasks.output<Changes>(`diff.${table}`)
    if (!changes || changes.whole) continue
    const reason = disturbance(await targets.get(to)!.standing(table, signal))
    if (reason) found.push({ table, reason })
  }
  return found
}

/** Targets that have the run's load, and how one that has not differs from what its rows were compared with, or are to be. */
async function standing({ spec, run, targets, signal, tasks }: RunContext, prepared: Prepared) {
  const planned = new Map(prepared.lastRun)
  const loaded: string[] = []
  let moved: string | undefined
  for (const [name, target] of targets) {
    const points = await target.syncPoints(spec.job, signal)
    if (await target.committed(`${spec.job}/${run}/${name}`, signal)) {
      loaded.push(name)
      continue
    }
    const own = spec.loads.filter(({ to }) => to === name)
    const found = await Promise.all(own.map(({ table }) => tasks.output<Changes>(taskName('diff', table))))
    const base = planned.get(name) ?? null
    const compared = found.flatMap(changes =>
      changes ? [changes.base === undefined ? base : changes.base] : [],
    )
    for (const each of compared.length > 0 ? compared : [base]) {
      const since = movedSince(each, points, run)
      if (since) moved ??= `${name}: ${since}`
    }
  }
  return { loaded, moved }
}
