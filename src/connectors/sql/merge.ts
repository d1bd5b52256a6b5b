import type { StagedLoad } from '../../../engine/contracts/load.ts'
import {
  type Assignment,
  comparedColumns,
  deletedColumn,
  differing,
  type LoadTables,
  sameKey,
  staged,
} from './dialect.ts'

/**
 * WHEN MATCHED of the merge: rows whose staged version is newer take its values. With `newer`, the comparison is
 * SQL's `>`: equal and NULL are not newer, but of a reshaped load rows of equal age that differ are written, or a new
 * column would stay empty until the row's next change. Without, a row is updated when a compared column differs. A
 * row marked as deleted takes the values of any that is not older. Undefined where no column can be updated.
 */
export function updateSql(load: StagedLoad, tables: LoadTables): string | undefined {
  const { dialect } = tables
  const columns = load.columns
    .map(column => column.name)
    .filter(name => !load.key.includes(name) && !load.insertOnly.includes(name))
  if (columns.length === 0) return undefined
  const deletedAt = deletedColumn(load)
  const set: Assignment[] = columns.map(column => ({ column, value: staged(tables, column) }))
  set.push(...marks(load, tables))
  const differs = differing(tables, comparedColumns(load))
  const changed = [differs]
  let back = 'TRUE'
  if (load.newer !== undefined && load.mode !== 'replace') {
    const ours = `t.${dialect.quote(load.newer)}`
    const theirs = staged(tables, load.newer)
    changed[0] = `${theirs} > ${ours}`
    if (load.reshaped) changed.push(`(${dialect.same(theirs, ours)} AND ${differs})`)
    back = `(${theirs} >= ${ours} OR ${ours} IS NULL)`
  }
  if (deletedAt) changed.push(`(t.${dialect.quote(deletedAt)} IS NOT NULL AND ${back})`)
  return dialect.update(
    tables.target,
    set,
    `${sameKey(load, tables)} AND (${changed.join(' OR ')})`,
    tables.staging,
  )
}

/** Takes the mark from rows that are back but were not updated, since the target's values are newer. */
export function reviveSql(load: StagedLoad, tables: LoadTables): string | undefined {
  const deletedAt = deletedColumn(load)
  if (!deletedAt) return undefined
  const marked = `t.${tables.dialect.quote(deletedAt)} IS NOT NULL`
  return tables.dialect.update(
    tables.target,
    marks(load, tables),
    `${sameKey(load, tables)} AND ${marked}`,
    tables.staging,
  )
}

// What every update of a row sets beside its values.
function marks(load: StagedLoad, { dialect }: LoadTables): Assignment[] {
  const set: Assignment[] = []
  const deletedAt = deletedColumn(load)
  if (deletedAt) set.push({ column: deletedAt, value: 'NULL' })
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
  const insert = `INSERT INTO ${target} (${into.join(', ')}) SELECT ${values.join(', ')} FROM ${staging} AS s`
  return all
    ? insert
    : `${insert} WHERE NOT EXISTS (SELECT 1 FROM ${target} AS t WHERE ${sameKey(load, tables)})`
}
