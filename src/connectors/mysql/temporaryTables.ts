import type { Offload } from '../../../engine/contracts/load.ts'
import type { Column } from '../../../engine/types/logical.ts'
import { sendParts } from './sendParts.ts'
import { ensureState, ownComment } from './state.ts'
import { createOwnTable, type TargetSession } from './targetSession.ts'

/** Rows that are judged beside a table of the target, and whose they are. */
export interface Aside {
  /** The table's name; one that is there is replaced. */
  name: string
  /** Its columns and keys in SQL. */
  defined: string[]
  loadId: string
  job: string
  /** For messages: `warehouse.dim_members`. */
  where: string
  paths: string[]
  columns: Column[]
  lanes: number
  offload: Offload
}

/**
 * Makes a table of its own from Parquet files, for as long as `act` runs. Commented as staging tables are: a later load of
 * the job clears away what a killed process leaves.
 */
export async function withTemporaryTables<T>(
  session: TargetSession,
  { name, defined, loadId, job, where, paths, columns, lanes, offload }: Aside,
  signal: AbortSignal,
  act: () => Promise<T>,
): Promise<T> {
  await ensureState(session)
  const comment = ownComment(session, job, loadId)
  await session.rows(`DROP TABLE IF EXISTS ${name}`, signal)
  await createOwnTable(await session.open(signal), where, { name, defined, comment }, signal)
  try {
    await sendParts(session, { table: name, where, paths, columns, rules: [], lanes, offload }, signal)
    return await act()
  } finally {
    await session.rows(`DROP TABLE IF EXISTS ${name}`).catch(() => {})
  }
}
