import type { LoadCommit } from '../../../engine/contracts/load.ts'
import { EngineError } from '../../../engine/errors.ts'
import { foreignKeysOf, stagedOrphans } from './foreignKeys.ts'
import { keyClash } from './keyClash.ts'
import { findReject, isRefused } from './rejectedRow.ts'
import { stagingNames, targetTable } from './state.ts'
import { DUPLICATE, type TargetSession } from './targetSession.ts'

const REFERS_TO_NONE = 1452

export const hasCode = (error: unknown, ...codes: number[]) =>
  error instanceof EngineError && codes.includes((error.cause as { errno?: number } | undefined)?.errno ?? 0)

export const isDuplicate = (error: unknown) => hasCode(error, DUPLICATE)

/** The rows that a foreign key or the table refused, or the keys that are one for it; staging tables outlive the rollback. */
export async function clashOf(
  session: TargetSession,
  { loadId, loads }: LoadCommit,
  error: unknown,
): Promise<EngineError | undefined> {
  const { name } = session.access
  if (hasCode(error, REFERS_TO_NONE)) {
    const stagingOf = (table: string) => {
      const load = loads.find(other => other.table === table)
      return load && stagingNames(session, loadId, load).staging
    }
    return stagedOrphans(session, name, await foreignKeysOf(session, loads), stagingOf)
  }
  const find = isDuplicate(error) ? keyClash : isRefused(error) ? findReject : undefined
  for (const load of find ? loads : []) {
    const table = await targetTable(session, load.table)
    const { staging } = stagingNames(session, loadId, load)
    const found = table && (await find!(session, load, table, staging, `${name}.${load.table}`))
    if (found) return found
  }
  return undefined
}
