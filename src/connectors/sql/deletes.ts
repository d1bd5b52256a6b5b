import type { StagedLoad } from '../../../engine/contracts/load.ts'
import { type Assignment, deletedColumn, type LoadTables, periodType, sameKey, staged } from './dialect.ts'

/** Whether the load takes rows of the target away because they are gone from the data set. */
export function deletesRows({ mode, deletes }: StagedLoad): boolean {
  return mode === 'replace' || ((mode === 'merge' || mode === 'scd2') && deletes !== 'keep')
}

/** Condition on a target row `t`: it is gone, and not yet marked or ended. */
export function goneSql(load: StagedLoad, tables: LoadTables): string {
  const key = (table: string, alias: string) =>
    `EXISTS (SELECT 1 FROM ${table} AS ${alias} WHERE ${sameKey(load, tables, 't', alias)})`
  const unknown = `NOT ${key(tables.staging, 's')}`
  const gone = !load.whole
    ? key(tables.keys, 'k')
    : load.mode === 'replace'
      ? unknown
      : `${unknown} AND NOT ${key(tables.keys, 'k')}`
  return `${liveSql(load, tables)} AND ${gone}`
}

/** Condition on a target row `t`: it counts as there. */
export function liveSql(load: StagedLoad, { dialect }: LoadTables): string {
  const end = load.mode === 'scd2' ? load.scd2.validTo : deletedColumn(load)
  return end === undefined ? 'TRUE' : `t.${dialect.quote(end)} IS NULL`
}

/** Deletes, marks or ends the rows that are gone. */
export function deleteSql(load: StagedLoad, tables: LoadTables, runAt: Date): string {
  const { target, dialect } = tables
  const gone = goneSql(load, tables)
  const deletedAt = deletedColumn(load)
  if (load.mode !== 'scd2' && deletedAt === undefined) return dialect.remove(target, gone)
  const set: Assignment[] = []
  if (load.mode === 'scd2') {
    const { validFrom, validTo, current } = load.scd2
    const from = `t.${dialect.quote(validFrom)}`
    // A version that begins after the run, by the source's clock, ends as it begins.
    const end = dialect.instant(runAt, periodType(load))
    set.push({ column: validTo, value: `CASE WHEN ${from} > ${end} THEN ${from} ELSE ${end} END` })
    set.push({ column: current, value: 'FALSE' })
  } else set.push({ column: deletedAt!, value: dialect.now })
  if (load.stamp) set.push({ column: load.stamp, value: dialect.now })
  return dialect.update(target, set, gone)
}

/** Condition on a target row `t`: its partition is one to empty. */
export function partitionSql(load: StagedLoad, tables: LoadTables): string {
  if (load.whole) return 'TRUE'
  const same = load.partitionBy.map(name =>
    tables.dialect.same(`t.${tables.dialect.quote(name)}`, staged(tables, name, 'k')),
  )
  return `EXISTS (SELECT 1 FROM ${tables.keys} AS k WHERE ${same.join(' AND ')})`
}
