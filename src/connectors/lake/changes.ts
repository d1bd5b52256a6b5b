import type { StagedLoad } from '../../../engine/contracts/load.ts'
import { quote, quoteName } from '../../../engine/sql/duckdb.ts'
import { type Column, columnNamed } from '../../../engine/types/logical.ts'
import { FILE } from './files.ts'

/** Column that says what becomes of a row: keep, insert, update, refresh (no change, but other values), revive, mark, delete. */
export const ACT = '_nf_act'

export interface ChangeSources {
  /** SQL of the table's rows, with {@link FILE}. */
  table: string
  /** SQL of the staged rows. */
  staged: string
  /** SQL of the staged keys, of the load's key columns; undefined where there are none. */
  keys?: string
  columns: Column[]
  /** The time of the commit, DuckDB's text. */
  now: string
}

/** Whether a table is made to hold the staged rows (of its partitions) and nothing else. */
export const isExact = ({ mode }: StagedLoad) => mode === 'replace' || mode === 'partition'

/** Whether rows of the table can go because no row was staged for them. */
export const sweeps = (load: StagedLoad) => isExact(load) || (load.whole && load.deletes !== 'keep')

/**
 * SQL of the rows after a load with a key: {@link FILE} that a row is in (NULL for a new one), {@link ACT}, and the
 * table's columns. Every row of the table is there once, also those to delete, with the values it had.
 */
export function changesSql(load: StagedLoad, { table, staged, keys, columns, now }: ChangeSources): string {
  const own = (column: Column) => `t${columns.indexOf(column)}`
  const their = (column: Column) => `s${columns.indexOf(column)}`
  const find = (name: string) => columnNamed(columns, name)!
  const fromLoad = (column: Column) => columnNamed(load.columns, column.name) !== undefined
  const on = (left: string, right: string) =>
    load.key.map(key => `${left}.${quoteName(key)} = ${right}.${quoteName(key)}`).join(' AND ')
  const marked = load.deletes === 'soft' ? `${own(find(load.deletedAt!))} IS NOT NULL` : 'false'
  const pairs = columns.flatMap(column => [
    `t.${quoteName(column.name)} AS ${own(column)}`,
    `${fromLoad(column) ? `s.${quoteName(column.name)}` : 'NULL'} AS ${their(column)}`,
  ])
  const keep = keys
    ? `LEFT JOIN (SELECT DISTINCT *, true AS _nf_k FROM (${keys})) AS k ON ${on('k', 't')}`
    : ''
  const joined = `SELECT t.${FILE}, t._nf_t AS there, s._nf_s AS staged, ${keys ? 'k._nf_k' : 'NULL'} AS named, ${pairs.join(', ')}
    FROM (SELECT *, true AS _nf_t FROM (${table})) AS t FULL JOIN (SELECT *, true AS _nf_s FROM (${staged})) AS s ON ${on('t', 's')} ${keep}`
  const act = `CASE WHEN staged IS NULL THEN ${whenGone(load, marked)} WHEN there IS NULL THEN 'insert' ${whenBoth(load, columns, marked, own, their)} ELSE 'keep' END`
  const values = columns.map(
    column => `${valueAfter(load, column, now, own, their)} AS ${quoteName(column.name)}`,
  )
  return `SELECT ${FILE}, ${ACT}, ${values.join(', ')} FROM (SELECT *, ${act} AS ${ACT} FROM (${joined}))`
}

function whenGone(load: StagedLoad, marked: string): string {
  if (load.mode === 'append' || (load.deletes === 'keep' && !isExact(load))) return `'keep'`
  // Whole: the keys staged are those to keep. A partition's rows are all staged: its keys name partitions.
  const gone = load.whole ? 'named IS NULL' : isExact(load) ? 'true' : 'named'
  return load.deletes === 'soft'
    ? `CASE WHEN ${gone} AND NOT (${marked}) THEN 'mark' ELSE 'keep' END`
    : `CASE WHEN ${gone} THEN 'delete' ELSE 'keep' END`
}

type Name = (column: Column) => string

/** The staged row and the table's: which of them counts. */
function whenBoth(load: StagedLoad, columns: Column[], marked: string, own: Name, their: Name): string {
  if (load.mode === 'append') return ''
  const differ = (which: (name: string) => boolean) => {
    const chosen = columns.filter(({ name }) => !isNamed(load.key, name) && which(name))
    return chosen.map(column => `${own(column)} IS DISTINCT FROM ${their(column)}`).join(' OR ') || 'false'
  }
  if (isExact(load)) {
    // The table takes what is staged, also where no difference that counts made it so.
    const any = differ(name => !is(name, load.stamp))
    if (load.mode === 'replace') return `WHEN ${any} THEN 'update'`
    return `WHEN ${differ(name => isUpdated(load, name, []) && isCompared(load, name))} THEN 'update' WHEN ${any} THEN 'refresh'`
  }
  const differing = differ(name => isUpdated(load, name) && isCompared(load, name))
  if (!load.newer) return `WHEN ${differing} OR ${marked} THEN 'update'`
  const newer = columnNamed(columns, load.newer)!
  const [ours, theirs] = [own(newer), their(newer)]
  const again = load.reshaped ? ` OR (${ours} IS NOT DISTINCT FROM ${theirs} AND (${differing}))` : ''
  const changed = columns.some(({ name }) => isUpdated(load, name)) ? `${theirs} > ${ours}${again}` : 'false'
  // A row that is there again is no longer marked, but an older version of it does not take its values.
  return `WHEN ${changed} OR (${marked} AND (${theirs} >= ${ours} OR ${ours} IS NULL)) THEN 'update' WHEN ${marked} THEN 'revive'`
}

function valueAfter(load: StagedLoad, column: Column, now: string, own: Name, their: Name): string {
  const time = `${quote(now)}::TIMESTAMPTZ`
  const { name } = column
  if (is(name, load.stamp)) return `CASE ${ACT} WHEN 'keep' THEN ${own(column)} ELSE ${time} END`
  if (is(name, load.deletedAt))
    return `CASE ${ACT} WHEN 'mark' THEN ${time} WHEN 'keep' THEN ${own(column)} END`
  const taken = isExact(load) || isUpdated(load, name) ? `('insert', 'update', 'refresh')` : `('insert')`
  return `CASE WHEN ${ACT} IN ${taken} THEN ${their(column)} ELSE ${own(column)} END`
}

const is = (name: string, other: string | undefined) => name.toLowerCase() === other?.toLowerCase()
const isNamed = (names: string[], name: string) => names.some(other => is(name, other))

/** Whether an update writes the column: it comes from the load, and not on insertion only. */
const isUpdated = (load: StagedLoad, name: string, insertOnly = load.insertOnly) =>
  columnNamed(load.columns, name) !== undefined && !isNamed(load.key, name) && !isNamed(insertOnly, name)

/** Whether a difference in the column is a change of the row. */
const isCompared = ({ compare, ignore }: StagedLoad, name: string) =>
  (compare.length === 0 || isNamed(compare, name)) && !isNamed(ignore, name)
