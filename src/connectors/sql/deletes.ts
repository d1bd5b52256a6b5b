import type { StagedLoad } from '../../../engine/contracts/load.ts'
import { periodType } from '../../../engine/contracts/ownColumns.ts'
import { endColumn, goneRows, markColumn } from '../../../engine/contracts/semantics.ts'
import { type Assignment, type LoadTables, sameKey, staged } from './dialect.ts'

/** Condition on a target row `_nf_t`: it is gone, and not yet marked or ended; undefined where none is. */
function goneSql(load: StagedLoad, tables: LoadTables): string | undefined {
  const among = (table: string, alias: string, same = sameKey(load, tables, '_nf_t', alias)) =>
    `EXISTS (SELECT 1 FROM ${table} AS ${alias} WHERE ${same})`
  const unstaged = `NOT ${among(tables.staging, '_nf_s')}`
  const live = liveSql(load, tables)
  switch (goneRows(load)) {
    case 'none':
      return undefined
    case 'named':
      return `${live} AND ${among(tables.keys, 'k')}`
    case 'unstaged':
      return `${live} AND ${unstaged} AND NOT ${among(tables.keys, 'k')}`
    case 'inPartitions':
      return `${among(tables.keys, 'k', samePartition(load, tables))} AND ${unstaged}`
  }
}

/** Condition on a target row `_nf_t`: it counts as there. */
export function liveSql(load: StagedLoad, { dialect }: LoadTables): string {
  const end = endColumn(load)
  return end === undefined ? 'TRUE' : `_nf_t.${dialect.quote(end)} IS NULL`
}

/**
 * Deletes, marks or ends the rows that are gone, and counts them; undefined where none are looked for. `removed`: which rows `_nf_t`
 * leave the table, where they do.
 */
export function deleteSql(
  load: StagedLoad,
  tables: LoadTables,
  runAt: Date,
): { change: string; count: string; removed?: string } | undefined {
  const { target, dialect } = tables
  const gone = goneSql(load, tables)
  if (gone === undefined) return undefined
  const count = `SELECT count(*) FROM ${target} AS _nf_t WHERE ${gone}`
  if (endColumn(load) === undefined) return { change: dialect.remove(target, gone), count, removed: gone }
  const set: Assignment[] = []
  if (load.mode === 'scd2') {
    const { validFrom, validTo, current } = load.scd2
    const from = `_nf_t.${dialect.quote(validFrom)}`
    // A version that begins after the run, by the source's clock, ends as it begins.
    const end = dialect.instant(runAt, periodType(load))
    set.push({ column: validTo, value: `CASE WHEN ${from} > ${end} THEN ${from} ELSE ${end} END` })
    set.push({ column: current, value: 'FALSE' })
  } else set.push({ column: markColumn(load)!, value: dialect.now })
  if (load.stamp) set.push({ column: load.stamp, value: dialect.now })
  return { change: dialect.update(target, set, gone), count }
}

/** Condition on a target row `_nf_t`: its partition is one of those staged. */
function samePartition({ partitionBy }: StagedLoad, tables: LoadTables): string {
  return partitionBy
    .map(name => {
      const [ours, theirs] = [`_nf_t.${tables.dialect.quote(name)}`, staged(tables, name, 'k')]
      const same = tables.dialect.same(ours, theirs)
      const identical = tables.identical?.(name, ours, theirs)
      return identical ? `${same} AND coalesce(${identical}, TRUE)` : same
    })
    .join(' AND ')
}
