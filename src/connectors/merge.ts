import type { PlannedLoad } from '../../engine/ports.ts'

/** The two tables of a merge, quoted and qualified, and the dialect's quoting. */
export interface MergeTables {
  target: string
  staging: string
  quote(name: string): string
  /** Turns a staged column into the target's type where the dialect does not by itself. */
  cast?(column: string, expression: string): string
  /** Whether two values of a column differ, where the dialect's type has no equality. */
  differs?(column: string, target: string, staged: string): string
}

const same = (load: PlannedLoad, tables: MergeTables) =>
  load.key.map(key => `t.${tables.quote(key)} = ${value(key, tables)}`).join(' AND ')

const value = (column: string, { quote, cast }: MergeTables) =>
  cast ? cast(column, `s.${quote(column)}`) : `s.${quote(column)}`

/**
 * WHEN MATCHED of the merge: rows whose staged version is newer take its values. With `newer`, the comparison is
 * SQL's `>`: equal and NULL are not newer, but of a reshaped load rows of equal age that differ are written, or a new
 * column would stay empty until the row's next change. Without, a row is updated when any updatable column differs.
 * Undefined where no column can be updated.
 */
export function updateSql(load: PlannedLoad, tables: MergeTables): string | undefined {
  const { target, staging, quote } = tables
  const differs = tables.differs ?? ((_, ours, theirs) => `${ours} IS DISTINCT FROM ${theirs}`)
  const columns = load.columns
    .map(column => column.name)
    .filter(name => !load.key.includes(name) && !load.insertOnly.includes(name))
  if (columns.length === 0) return undefined
  const set = columns.map(name => `${quote(name)} = ${value(name, tables)}`)
  if (load.stamp) set.push(`${quote(load.stamp)} = current_timestamp`)
  const differing = columns.map(name => differs(name, `t.${quote(name)}`, value(name, tables))).join(' OR ')
  const age = load.newer && [value(load.newer, tables), `t.${quote(load.newer)}`]
  const changed = !age
    ? differing
    : load.reshaped
      ? `${age.join(' > ')} OR (${age.join(' IS NOT DISTINCT FROM ')} AND (${differing}))`
      : age.join(' > ')
  return `UPDATE ${target} AS t SET ${set.join(', ')} FROM ${staging} AS s WHERE ${same(load, tables)} AND (${changed})`
}

/** WHEN NOT MATCHED of the merge. */
export function insertSql(load: PlannedLoad, tables: MergeTables): string {
  const { target, staging, quote } = tables
  const names = load.columns.map(column => column.name)
  const into = names.map(quote)
  const values = names.map(name => value(name, tables))
  if (load.stamp) {
    into.push(quote(load.stamp))
    values.push('current_timestamp')
  }
  return `INSERT INTO ${target} (${into.join(', ')}) SELECT ${values.join(', ')} FROM ${staging} AS s
    WHERE NOT EXISTS (SELECT 1 FROM ${target} AS t WHERE ${same(load, tables)})`
}
