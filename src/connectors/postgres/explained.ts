import type { StagedLoad } from '../../../engine/contracts/load.ts'
import { EngineError } from '../../../engine/errors.ts'
import { keyClash } from './keyClash.ts'
import { findReject, findViolation } from './rejectedRow.ts'
import type { TargetSession } from './session.ts'
import { stagingNames } from './staging.ts'
import { targetColumns } from './state.ts'
import { movedValues } from './uniques.ts'

/** The value or the keys that loads failed by, where the server did not name them; staging tables outlive the rollback. */
export async function explained(
  session: TargetSession,
  error: unknown,
  loadId: string,
  loads: StagedLoad[],
): Promise<EngineError | undefined> {
  if (!(error instanceof EngineError)) return undefined
  const state = (error.cause as { code?: string } | undefined)?.code
  const finders =
    state === '23505'
      ? [keyClash, movedValues]
      : state === '23514' || state === '23502'
        ? // A CHECK may be that of a domain.
          [findViolation, findReject]
        : error.code === 'DATA_INVALID'
          ? [findReject]
          : []
  for (const load of loads) {
    const columns = await targetColumns(session, load.table)
    if (columns.length === 0) continue
    const { rows } = stagingNames(session, loadId, load)
    for (const find of finders) {
      const found = await find(session, load, columns, rows, `${session.access.name}.${load.table}`)
      if (found) return found
    }
  }
  return undefined
}
