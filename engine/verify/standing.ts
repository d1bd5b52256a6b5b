import type { PlannedLoad } from '../contracts/load.ts'
import type { Look } from '../diff/diff.ts'
import { type LoadState, stateManifest } from '../diff/state.ts'
import type { Plan } from '../plan/plan.ts'
import { checkRunTime, disturbance } from '../plan/standing.ts'
import { type RunContext, runFolder } from '../runtime/context.ts'
import { readManifest } from '../staging/store.ts'
import { verifySome } from './verify.ts'

/**
 * Looks at a load's table, of which a run's data was the last: is it the same one, with as many rows, and with the values
 * that the last change gave? Fails with CONFIG_INVALID where this run's time lies before that run's.
 */
export const lookAt =
  ({ refresh = [] }: Plan): Look =>
  async (context, load, run) => {
    const { targets, signal, runAt } = context
    const standing = await targets.get(load.to)!.standing(load.table, signal)
    checkRunTime(load, runAt, standing)
    const { now, guarded } = standing
    if (refresh.includes(load.table)) return { now, reason: 'a full refresh was asked for' }
    if (run === undefined) return { now }
    const reason = disturbance(standing) ?? (guarded ? undefined : await outdated(context, load, run))
    return { now, ...(reason && { reason }) }
  }

/** Why a table is an old copy of itself: rows that the last change wrote are not as it wrote them. */
async function outdated(context: RunContext, load: PlannedLoad, run: string): Promise<string | undefined> {
  const { staging, spec, targets, workers, run: own } = context
  const target = targets.get(load.to)!
  // Where verification is off, something else may write the rows' values.
  if (!target.verifier || load.verify === 'off') return undefined
  const left = await readManifest<LoadState>(staging, stateManifest(spec.job, run, load.table))
  if (!left?.witness) return undefined
  const means = {
    ...context,
    target,
    offload: workers.offload,
    lanes: 1,
    job: spec.job,
    loadId: `${spec.job}/${own}/${load.to}/look`,
    folder: `${runFolder(context)}/look/${load.table}`,
  }
  const was = { load: { ...load, columns: left.columns }, table: left.table, state: [left.witness] }
  const { wrong, rows } = await verifySome(means, was)
  return wrong.rows === 0
    ? undefined
    : `the table is not what run ${run} left: ${wrong.rows} of ${rows} rows that were written last are others, as in an old copy`
}
