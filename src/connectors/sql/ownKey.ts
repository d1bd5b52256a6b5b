import type { StagedLoad } from '../../../engine/contracts/load.ts'
import type { TableSchema } from '../../../engine/contracts/source.ts'

/** Rows are exchanged by the table's own key where the load has none: what refers to a row that stays, stays. */
export async function keyedByTable(
  load: StagedLoad,
  describe: (table: string) => Promise<TableSchema | undefined>,
): Promise<StagedLoad> {
  if (load.mode !== 'replace' || load.key.length > 0 || !load.whole) return load
  const { key = [] } = (await describe(load.table)) ?? {}
  return key.every(name => load.columns.some(column => column.name === name)) ? { ...load, key } : load
}
