import type { PlannedLoad } from '../contracts/load.ts'
import { EngineError } from '../errors.ts'
import { counted } from '../plural.ts'

/**
 * Stops a load that would delete more than its limit, or whose data set is empty although the last one was not.
 * `where` is the target's table. What a target finds out itself, because nothing was known before, it guards itself.
 */
export function guard(
  where: string,
  { load, before, counts }: { load: PlannedLoad; before?: number; counts: { rows: number; deletes: number } },
): void {
  if (before === undefined || before === 0) return
  if (counts.rows === 0 && !load.guard.allowEmpty)
    throw new EngineError(
      'GUARD_STOPPED',
      `${where}: ${load.from} is empty, and had ${counted(before, 'row')} the last time`,
      {
        hint: 'Nothing was loaded. If that is right, set guard: { allow_empty: true } for this load.',
      },
    )
  tooManyDeletes(where, load.guard.maxDeleteShare, counts.deletes, before)
}

/** Fails with GUARD_STOPPED where `deletes` of `rows` are over the limit. */
export function tooManyDeletes(where: string, limit: number, deletes: number, rows: number): void {
  if (deletes <= rows * limit) return
  const percent = (share: number) => `${(share * 100).toFixed(1)} %`
  throw new EngineError(
    'GUARD_STOPPED',
    `${where}: ${deletes} of ${counted(rows, 'row')} would be deleted (${percent(deletes / rows)}), the limit is ${percent(limit)}`,
    { hint: 'Nothing was loaded. If that is right, raise guard.max_delete_share of this load.' },
  )
}
