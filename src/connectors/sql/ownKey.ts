import type { StagedLoad } from '../../../engine/contracts/load.ts'
import type { TableSchema } from '../../../engine/contracts/source.ts'
import { EngineError } from '../../../engine/errors.ts'
import { counted } from '../../../engine/plural.ts'

/** Rows are exchanged by the table's own key where the load has none: what refers to a row that stays, stays. */
export async function keyedByTable(
  load: StagedLoad,
  describe: (table: string) => Promise<TableSchema | undefined>,
): Promise<StagedLoad> {
  if (load.mode !== 'replace' || load.key.length > 0 || !load.whole) return load
  const { key = [] } = (await describe(load.table)) ?? {}
  return key.every(name => load.columns.some(column => column.name === name)) ? { ...load, key } : load
}

/**
 * Fails with CONSTRAINT_VIOLATED where staged rows have a key twice by which only the table goes: each would take the other's
 * place. `compared`: SQL of a staged row `_nf_s`, what the table tells keys apart by; `shown`: of its key, for people.
 */
export async function refuseTwice(
  { key, table, from }: StagedLoad,
  { staging, where, compared, shown }: Record<'staging' | 'where' | 'compared' | 'shown', string>,
  rows: (sql: string) => Promise<Record<string, unknown>[]>,
): Promise<void> {
  const [found] = await rows(
    `SELECT min(${shown}) AS shown, count(*) AS n FROM ${staging} AS _nf_s GROUP BY ${compared} HAVING count(*) > 1 ORDER BY 1 LIMIT 1`,
  )
  if (!found) return
  throw new EngineError(
    'CONSTRAINT_VIOLATED',
    `${where}: ${found.shown} stands in ${counted(Number(found.n), 'row')}, and ${key.join(', ')} is the table's own key`,
    {
      hint: `Nothing was loaded. Keep one row of each key in ${from}; or say in load.${table} which stays: key: [${key.join(', ')}], with newer: or on_duplicate:.`,
    },
  )
}
