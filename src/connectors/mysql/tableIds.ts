import type { TargetSession } from './targetSession.ts'
import { splitTable } from './types.ts'

/** What tables of a server are told apart by: their database and name, in one case where it takes no notice of that. */
export async function tableIds(
  session: TargetSession,
  signal: AbortSignal,
): Promise<(table: string) => string> {
  const [found] = await session.rows(
    'SELECT DATABASE() AS own, @@lower_case_table_names <> 0 AS folds',
    signal,
  )
  const { own, folds } = found!
  return table => {
    const path = splitTable(table)
    const id = JSON.stringify(path.length === 1 ? [own, ...path] : path)
    return Number(folds) === 1 ? id.toLowerCase() : id
  }
}
