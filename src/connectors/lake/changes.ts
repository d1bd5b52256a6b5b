import type { StagedLoad } from '../../../engine/contracts/load.ts'
import {
  decidingColumns,
  goneRows,
  leavesOlder,
  markColumn,
  updatedColumns,
} from '../../../engine/contracts/semantics.ts'
import { quote, quoteName } from '../../../engine/sql/duckdb.ts'
import { type Column, columnNamed, isNamed } from '../../../engine/types/logical.ts'
import { duckdbDiffers, older } from '../sql/dialect.ts'
import { FILE } from './files.ts'

/** Column that says what becomes of a row: keep, insert, update, older (left alone), revive, mark, delete. */
export const ACT = '_nf_act'

export interface ChangeSources {
  /** SQL of the table's rows, with {@link FILE}. */
  table: string
  /** SQL of the staged rows. */
  staged: string
  /** SQL of the staged keys, of the load's key columns; undefined where there are none. */
  keys?: string
  /** SQL of the partitions, each once, that the load has all rows of; rows of others stay as they are. */
  partitions?: string
  columns: Column[]
  /** The time of the commit, DuckDB's text. */
  now: string
}

/**
 * SQL of the rows after a load with a key: {@link FILE} that a row is in (NULL for a new one), {@link ACT}, and the
 * table's columns. Every row of the table is there once, also those to delete, with the values it had.
 */
export function changesSql(
  load: StagedLoad,
  { table, staged, keys, partitions, columns, now }: ChangeSources,
): string {
  const own = (column: Column) => `t${columns.indexOf(column)}`
  const their = (column: Column) => `s${columns.indexOf(column)}`
  const find = (name: string) => columnNamed(columns, name)!
  const fromLoad = (column: Column) => columnNamed(load.columns, column.name) !== undefined
  const on = (left: string, right: string) =>
    load.key.map(key => `${left}.${quoteName(key)} = ${right}.${quoteName(key)}`).join(' AND ')
  const mark = markColumn(load)
  const marked = mark === undefined ? 'false' : `${own(find(mark))} IS NOT NULL`
  const pairs = columns.flatMap(column => [
    `t.${quoteName(column.name)} AS ${own(column)}`,
    `${fromLoad(column) ? `s.${quoteName(column.name)}` : 'NULL'} AS ${their(column)}`,
  ])
  const keep = keys
    ? `LEFT JOIN (SELECT DISTINCT *, true AS _nf_k FROM (${keys})) AS k ON ${on('k', 't')}`
    : ''
  const within = load.partitionBy.map(
    name => `p.${quoteName(name)} IS NOT DISTINCT FROM r.${quoteName(name)}`,
  )
  const held = partitions
    ? `SELECT r.*, true AS _nf_t, p._nf_p FROM (${table}) AS r LEFT JOIN (SELECT *, true AS _nf_p FROM (${partitions})) AS p ON ${within.join(' AND ')}`
    : `SELECT *, true AS _nf_t, true AS _nf_p FROM (${table})`
  const joined = `SELECT t.${FILE}, t._nf_t AS there, t._nf_p AS within, s._nf_s AS staged, ${keys ? 'k._nf_k' : 'NULL'} AS named, ${pairs.join(', ')}
    FROM (${held}) AS t FULL JOIN (SELECT *, true AS _nf_s FROM (${staged})) AS s ON ${on('t', 's')}${partitions ? ' AND t._nf_p = s._nf_s' : ''} ${keep}`
  const act = `CASE WHEN staged IS NULL THEN ${whenGone(load, marked)} WHEN there IS NULL THEN 'insert' ${whenBoth(load, columns, marked, own, their)} ELSE 'keep' END`
  const values = columns.map(
    column => `${valueAfter(load, column, now, own, their)} AS ${quoteName(column.name)}`,
  )
  return `SELECT ${FILE}, ${ACT}, ${values.join(', ')} FROM (SELECT *, ${act} AS ${ACT} FROM (${joined}))`
}

function whenGone(load: StagedLoad, marked: string): string {
  // Where all that is not staged goes, the keys staged are those to keep. A partition's rows are all staged.
  const gone = { none: 'false', named: 'named', unstaged: 'named IS NULL', inPartitions: 'within' }[
    goneRows(load)
  ]
  return markColumn(load) === undefined
    ? `CASE WHEN ${gone} THEN 'delete' ELSE 'keep' END`
    : `CASE WHEN ${gone} AND NOT (${marked}) THEN 'mark' ELSE 'keep' END`
}

type Name = (column: Column) => string

/** The staged row and the table's: which of them counts. */
function whenBoth(load: StagedLoad, columns: Column[], marked: string, own: Name, their: Name): string {
  if (updatedColumns(load).length === 0) return `WHEN ${marked} THEN 'revive'`
  const find = (name: string) => columnNamed(columns, name)!
  const differs = decidingColumns(load).map(name => {
    const column = find(name)
    return duckdbDiffers(column.type, own(column), their(column))
  })
  const changed = [...differs, marked].join(' OR ')
  if (!leavesOlder(load)) return `WHEN ${changed} THEN 'update'`
  const newer = find(load.newer!)
  // A row that is there again is no longer marked, but an older version of it does not take its values.
  return `WHEN ${older(their(newer), own(newer))} THEN if(${marked}, 'revive', 'older') WHEN ${changed} THEN 'update'`
}

function valueAfter(load: StagedLoad, column: Column, now: string, own: Name, their: Name): string {
  const time = `${quote(now)}::TIMESTAMPTZ`
  const { name } = column
  if (isNamed(name, load.stamp))
    return `CASE WHEN ${ACT} IN ('keep', 'older') THEN ${own(column)} ELSE ${time} END`
  if (isNamed(name, markColumn(load)))
    return `CASE WHEN ${ACT} = 'mark' THEN ${time} WHEN ${ACT} IN ('keep', 'older') THEN ${own(column)} END`
  const updated = updatedColumns(load).some(other => isNamed(name, other))
  const taken = updated ? `('insert', 'update')` : `('insert')`
  return `CASE WHEN ${ACT} IN ${taken} THEN ${their(column)} ELSE ${own(column)} END`
}
