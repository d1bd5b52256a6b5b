import type { StagedLoad } from '../../../engine/contracts/load.ts'
import {
  ageColumn,
  decidingColumns,
  markColumn,
  updatedColumns,
} from '../../../engine/contracts/semantics.ts'
import type { ChangingRows } from './changedValues.ts'
import { type Assignment, differing, type LoadTables, olderSql, sameKey, staged } from './dialect.ts'

/**
 * WHEN MATCHED of the merge: a row takes the staged values where a column that decides differs, or where it is marked
 * as gone; one that is newer than what is staged keeps its own. Undefined where no column can be updated.
 */
export function updateSql(load: StagedLoad, tables: LoadTables): string | undefined {
  const columns = updatedColumns(load)
  if (columns.length === 0) return undefined
  const set: Assignment[] = columns.map(column => ({ column, value: staged(tables, column) }))
  set.push(...marks(load, tables))
  return tables.dialect.update(tables.target, set, matched(load, tables), tables.staging)
}

/** SQL of the rows `_nf_t` that {@link updateSql} changes in one of `changed`, columns that it sets; as they are before. */
export const changingRows =
  (load: StagedLoad, tables: LoadTables): ChangingRows =>
  changed =>
  columns =>
    `SELECT ${columns.map(name => `_nf_t.${tables.dialect.quote(name)}`).join(', ')} FROM ${tables.target} AS _nf_t, ${tables.staging} AS _nf_s
      WHERE ${matched(load, tables)} AND ${differing(tables, changed)}`

/** Condition on a target row `_nf_t` and a staged row `_nf_s`: the one takes the values of the other. */
function matched(load: StagedLoad, tables: LoadTables): string {
  const mark = markColumn(load)
  const differs = differing(tables, decidingColumns(load))
  const changed =
    mark === undefined ? differs : `(${differs} OR _nf_t.${tables.dialect.quote(mark)} IS NOT NULL)`
  const conditions = [sameKey(load, tables), changed]
  if (ageColumn(load) !== undefined) conditions.push(`NOT ${olderSql(load, tables)}`)
  return conditions.join(' AND ')
}

/** Takes the mark from rows that are back but were not updated, since the target's values are newer. */
export function reviveSql(load: StagedLoad, tables: LoadTables): string | undefined {
  const mark = markColumn(load)
  if (mark === undefined) return undefined
  return tables.dialect.update(
    tables.target,
    marks(load, tables),
    `${sameKey(load, tables)} AND _nf_t.${tables.dialect.quote(mark)} IS NOT NULL`,
    tables.staging,
  )
}

// What every update of a row sets beside its values.
function marks(load: StagedLoad, { dialect }: LoadTables): Assignment[] {
  const set: Assignment[] = []
  const mark = markColumn(load)
  if (mark !== undefined) set.push({ column: mark, value: 'NULL' })
  if (load.stamp) set.push({ column: load.stamp, value: dialect.now })
  return set
}

/** WHEN NOT MATCHED of the merge; `all`: nothing staged can match, and nothing is looked up. */
export function insertSql(load: StagedLoad, tables: LoadTables, all = false): string {
  const { target, staging, dialect } = tables
  const names = load.columns.map(column => column.name)
  const into = names.map(dialect.quote)
  const values = names.map(name => staged(tables, name))
  if (load.stamp) {
    into.push(dialect.quote(load.stamp))
    values.push(dialect.now)
  }
  const insert = `INSERT INTO ${target} (${into.join(', ')}) SELECT ${values.join(', ')} FROM ${staging} AS _nf_s`
  return all
    ? insert
    : `${insert} WHERE NOT EXISTS (SELECT 1 FROM ${target} AS _nf_t WHERE ${sameKey(load, tables)})`
}
