import type { PlannedLoad, StagedLoad } from '../../../engine/contracts/load.ts'
import { periodType } from '../../../engine/contracts/ownColumns.ts'
import {
  ageColumn,
  decidingColumns,
  endColumn,
  goneRows,
  markColumn,
  updatedColumns,
} from '../../../engine/contracts/semantics.ts'
import { type Column, columnNamed } from '../../../engine/types/logical.ts'
import type { ChangingRows } from '../sql/changedValues.ts'
import { older } from '../sql/dialect.ts'
import { isOwn, isText, type TargetColumn, type TargetTable } from './targetTypes.ts'
import { identifier, literal } from './types.ts'

/** The tables of one load, quoted, and what is known of the target. */
export interface LoadTables {
  target: string
  staging: string
  /** Keys (mode partition: partitions), where some were staged. */
  keys: string | undefined
  table: TargetTable
  /** The load's columns. */
  columns: Column[]
  /** The transaction's time, as SQL. */
  now: string
}

// In all SQL here `_nf_t` is the target, `_nf_s` the staged rows, `k` the staged keys. STRAIGHT_JOIN reads tables in the
// order written: fresh staging tables have no statistics that the server could go by.

const text = (column: string, { table }: LoadTables) => {
  const found = columnNamed(table.columns, column)!
  return isText(found) ? found : undefined
}

/** A staged value as the target's column takes it. */
export function staged(column: string, { table }: LoadTables, from = '_nf_s'): string {
  const value = `${from}.${identifier(column)}`
  // MySQL compares JSON with text as with a JSON string.
  return columnNamed(table.columns, column)!.data_type === 'json' ? `CAST(${value} AS JSON)` : value
}

/** SQL of whether a staged value is the target's, byte for byte; NULL is NULL. */
export function equals(column: string, tables: LoadTables, from = '_nf_s'): string {
  const ours = `_nf_t.${identifier(column)}`
  const theirs = staged(column, tables, from)
  const found = text(column, tables)
  if (found) return bytesEqual(column, found, from)
  const brought = columnNamed(tables.columns, column)
  const own = brought && isOwn(brought, columnNamed(tables.table.columns, column)!)
  // What comes from such a column comes in its notation: as numbers, wide decimals would be compared as doubles.
  return own && brought.type.kind === 'text'
    ? `CAST(CAST(${ours} AS CHAR) AS BINARY) <=> CAST(${theirs} AS BINARY)`
    : `${ours} <=> ${theirs}`
}

function bytesEqual(column: string, found: TargetColumn, from: string): string {
  const [ours, theirs] = [`_nf_t.${identifier(column)}`, `${from}.${identifier(column)}`]
  if (!isText(found)) return `${ours} <=> ${theirs}`
  const bytes = found.charset === 'utf8mb4' ? ours : `CONVERT(${ours} USING utf8mb4)`
  return `CAST(${bytes} AS BINARY) <=> CAST(${theirs} AS BINARY)`
}

/** The target's rows of a staged row, by the target's index. Its collation finds them, their bytes decide. */
export function matchTarget(columns: string[], tables: LoadTables, from = '_nf_s', by = '='): string {
  const conditions = columns.map(column => {
    const folded = `_nf_t.${identifier(column)} ${by} ${foldedText(column, tables.table, from)}`
    return text(column, tables) ? `${folded} AND ${equals(column, tables, from)}` : folded
  })
  return conditions.join(' AND ')
}

/** A staged value as the target's column compares it. */
export function foldedText(column: string, table: TargetTable, from = '_nf_s'): string {
  const value = `${from}.${identifier(column)}`
  const found = columnNamed(table.columns, column)!
  if (!isText(found)) return value
  const converted = found.charset === 'utf8mb4' ? value : `CONVERT(${value} USING ${found.charset})`
  return `${converted} COLLATE ${found.collation}`
}

/** The target's rows that have a staged row's key by their collation, and not by its bytes. */
export function matchFolded(columns: string[], table: TargetTable): string {
  const folded = columns.map(column => `_nf_t.${identifier(column)} = ${foldedText(column, table)}`)
  const exact = columns.map(column => bytesEqual(column, columnNamed(table.columns, column)!, '_nf_s'))
  return `${folded.join(' AND ')} AND NOT (${exact.join(' AND ')})`
}

/** The staged rows of a target's row, by the staging table's index on the key. */
export function matchStaged(columns: string[], tables: LoadTables, from = '_nf_s'): string {
  const conditions = columns.map(column => {
    const ours = `_nf_t.${identifier(column)}`
    if (!text(column, tables)) return `${from}.${identifier(column)} = ${ours}`
    return `${from}.${identifier(column)} = CONVERT(${ours} USING utf8mb4) COLLATE utf8mb4_bin AND ${equals(column, tables, from)}`
  })
  return conditions.join(' AND ')
}

/** Rows of the target as joins around `target AS _nf_t`, and which of them. */
interface Rows {
  from: string
  where: string
}

/** Which of the target's rows go; undefined where none do. Without a key all of them are exchanged. */
function goneSql(load: StagedLoad, tables: LoadTables): Rows | undefined {
  const { target, staging, keys } = tables
  const { key } = load
  if (key.length === 0) return { from: `${target} AS _nf_t`, where: 'TRUE' }
  const first = identifier(key[0]!)
  const rest = `LEFT JOIN ${staging} AS _nf_s ON ${matchStaged(key, tables)}`
  const unstaged = `_nf_s.${first} IS NULL`
  switch (goneRows(load)) {
    case 'none':
      return undefined
    case 'named':
      if (!keys) return undefined
      return {
        from: `${keys} AS k STRAIGHT_JOIN ${target} AS _nf_t ON ${matchTarget(key, tables, 'k')}`,
        where: 'TRUE',
      }
    case 'unstaged': {
      if (!keys) return { from: `${target} AS _nf_t ${rest}`, where: unstaged }
      const kept = `LEFT JOIN ${keys} AS k ON ${matchStaged(key, tables, 'k')}`
      return { from: `${target} AS _nf_t ${rest} ${kept}`, where: `${unstaged} AND k.${first} IS NULL` }
    }
    case 'inPartitions': {
      const inside = matchTarget(load.partitionBy, tables, 'k', '<=>')
      if (!keys) return undefined
      return { from: `${target} AS _nf_t JOIN ${keys} AS k ON ${inside} ${rest}`, where: unstaged }
    }
  }
}

/** Which rows are deleted; undefined where none are. A change set without a key that is not whole has no row. */
const deletedRows = (load: StagedLoad, tables: LoadTables) =>
  endColumn(load) === undefined && (load.whole || load.key.length > 0) ? goneSql(load, tables) : undefined

/** SQL of a moment as a version's begin or end. */
export function periodLiteral(load: PlannedLoad, at: Date): string {
  const text = at.toISOString().slice(0, -1).replace('T', ' ')
  return literal(periodType(load).kind === 'date' ? text.slice(0, 10) : text)
}

/** SQL of columns of the rows that are deleted; undefined where none are. */
export function deletedSql(
  load: StagedLoad,
  tables: LoadTables,
): ((columns: string[]) => string) | undefined {
  const gone = deletedRows(load, tables)
  return gone && (columns => `SELECT ${targetColumns(columns)} FROM ${gone.from} WHERE ${gone.where}`)
}

/** Has the rows that are deleted refer to none by some columns; undefined where none are deleted. */
export function apartSql(load: StagedLoad, tables: LoadTables, columns: string[]): string | undefined {
  const gone = deletedRows(load, tables)
  const set = columns.map(name => `_nf_t.${identifier(name)} = NULL`)
  const refer = columns.map(name => `_nf_t.${identifier(name)} IS NOT NULL`)
  return gone && `UPDATE ${gone.from} SET ${set.join(', ')} WHERE ${gone.where} AND (${refer.join(' OR ')})`
}

/** Deletes, marks or ends the rows that go; undefined where none do. */
export function deleteSql(load: StagedLoad, tables: LoadTables, runAt: Date): string | undefined {
  const gone = goneSql(load, tables)
  if (!gone) return undefined
  const { from, where } = gone
  if (load.mode === 'scd2') {
    const [begins, to] = [
      `_nf_t.${identifier(load.scd2.validFrom)}`,
      `_nf_t.${identifier(load.scd2.validTo)}`,
    ]
    // A version that begins after the run, by the source's clock, ends as it begins.
    const ends = `${to} = GREATEST(${begins}, ${periodLiteral(load, runAt)})`
    const set = [ends, `_nf_t.${identifier(load.scd2.current)} = FALSE`, ...stamp(load, tables)]
    return `UPDATE ${from} SET ${set.join(', ')} WHERE ${where} AND ${to} IS NULL`
  }
  const marked = markColumn(load)
  if (marked === undefined) return `DELETE _nf_t FROM ${from} WHERE ${where}`
  const mark = `_nf_t.${identifier(marked)}`
  const set = [`${mark} = ${tables.now}`, ...stamp(load, tables)]
  return `UPDATE ${from} SET ${set.join(', ')} WHERE ${where} AND ${mark} IS NULL`
}

const stamp = (load: StagedLoad, { now }: LoadTables) =>
  load.stamp ? [`_nf_t.${identifier(load.stamp)} = ${now}`] : []

/** Rows that are there take the staged values, as `connectors/sql` says it; undefined where no column can be updated. */
export function updateSql(
  load: StagedLoad,
  tables: LoadTables,
  { from, where } = updatedRows(load, tables),
  names = updatedColumns(load),
): string | undefined {
  if (names.length === 0) return undefined
  const set = names.map(name => `_nf_t.${identifier(name)} = ${staged(name, tables)}`)
  const mark = markColumn(load)
  if (mark !== undefined) set.push(`_nf_t.${identifier(mark)} = NULL`)
  set.push(...stamp(load, tables))
  return `UPDATE ${from} SET ${set.join(', ')} WHERE ${where}`
}

/** SQL of those of `rows` in which one of `changed` changes, columns that {@link updateSql} sets; as they are before. */
export const changingRows =
  (tables: LoadTables, { from, where }: Rows): ChangingRows =>
  changed =>
  columns =>
    `SELECT ${targetColumns(columns)} FROM ${from} WHERE ${where} AND (${differing(changed, tables).join(' OR ')})`

/** Which rows of the target take which staged values. */
export function updatedRows(load: StagedLoad, tables: LoadTables): Rows {
  const changed = differing(decidingColumns(load), tables)
  const mark = markColumn(load)
  if (mark !== undefined) changed.push(`_nf_t.${identifier(mark)} IS NOT NULL`)
  const conditions = [`(${changed.join(' OR ') || 'FALSE'})`]
  if (ageColumn(load) !== undefined) conditions.push(`NOT ${olderSql(load, tables)}`)
  return { from: stagedPairs(load, tables), where: conditions.join(' AND ') }
}

const stagedPairs = (load: StagedLoad, tables: LoadTables) =>
  `${tables.staging} AS _nf_s STRAIGHT_JOIN ${tables.target} AS _nf_t ON ${matchTarget(load.key, tables)}`

/** Column of the staging table by which rows are found again that are updated in two steps. */
const MOVES = identifier('_nf_moves')

/** Its definition. */
export const MOVES_COLUMN = `${MOVES} tinyint(1) NULL`

/** Marks the staged rows that change one of `changing` in the target. */
export function markMoves(load: StagedLoad, tables: LoadTables, changing: string[]): string {
  const { from, where } = updatedRows(load, tables)
  return `UPDATE ${from} SET _nf_s.${MOVES} = TRUE WHERE ${where} AND (${differing(changing, tables).join(' OR ')})`
}

/** The rows that are marked, and those beside them that {@link updateSql} changes. */
export function markedRows(load: StagedLoad, tables: LoadTables): { marked: Rows; others: Rows } {
  const { from, where } = updatedRows(load, tables)
  return {
    marked: { from, where: `_nf_s.${MOVES}` },
    others: { from, where: `${where} AND _nf_s.${MOVES} IS NULL` },
  }
}

const differing = (columns: string[], tables: LoadTables) =>
  columns.map(name => `NOT (${equals(name, tables)})`)

const targetColumns = (columns: string[]) => columns.map(name => `_nf_t.${identifier(name)}`).join(', ')

function olderSql(load: StagedLoad, tables: LoadTables): string {
  const name = load.newer!
  const order = (expression: string) => (text(name, tables) ? `CAST(${expression} AS BINARY)` : expression)
  return older(order(staged(name, tables)), order(`_nf_t.${identifier(name)}`))
}

/** Where the load leaves staged rows alone that are older than the target's. */
export const olderRows = (load: StagedLoad, tables: LoadTables) =>
  `${stagedPairs(load, tables)} AND ${olderSql(load, tables)}`

/** Takes the mark from rows that are back but were not updated, since the target's values are newer. */
export function reviveSql(load: StagedLoad, tables: LoadTables): string | undefined {
  const marked = markColumn(load)
  if (marked === undefined) return undefined
  const mark = `_nf_t.${identifier(marked)}`
  return `UPDATE ${stagedPairs(load, tables)}
    SET ${[`${mark} = NULL`, ...stamp(load, tables)].join(', ')} WHERE ${mark} IS NOT NULL`
}

/** Staged rows that the target has not; all of them where it is `empty`. */
export function insertSql(load: StagedLoad, tables: LoadTables, empty: boolean): string {
  const { target, staging, now } = tables
  const names = load.columns.map(({ name }) => name)
  const into = names.map(identifier)
  const values = names.map(name => staged(name, tables))
  if (load.stamp) {
    into.push(identifier(load.stamp))
    values.push(now)
  }
  const insert = `INSERT INTO ${target} (${into.join(', ')}) SELECT ${values.join(', ')} FROM ${staging} AS _nf_s`
  if (empty || load.key.length === 0) return insert
  return `${insert} WHERE NOT EXISTS (SELECT 1 FROM ${target} AS _nf_t WHERE ${matchTarget(load.key, tables)})`
}
