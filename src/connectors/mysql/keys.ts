import { REJECTED } from '../../../engine/batch/builder.ts'
import type { Read } from '../../../engine/contracts/source.ts'
import type { Column } from '../../../engine/types/logical.ts'
import type { Selection } from '../wire/selection.ts'
import { databaseAndName, keepsUnique } from './catalog.ts'
import { ask, type Session } from './connect.ts'
import { identifier, literal } from './types.ts'

/** How values of a key column travel: numbers and moments as the server's text; text and bytes as hex. */
export type KeyKind = 'int' | 'decimal' | 'date' | 'datetime' | 'text' | 'bytes' | 'other'

/** A column of the key that a table is paged by. Plain data. */
export interface KeyColumn {
  name: string
  kind: KeyKind
  /** Text only. */
  charset?: string
  collation?: string
  /**
   * Where its value lies in a row as it is sent: the position of a staged column, or undefined where none has it
   * exactly, so that it is sent once more ahead of them.
   */
  at?: number
}

/** A unique index without NULLs. */
export interface Key {
  index: string
  columns: KeyColumn[]
}

/** A place between rows: values of the key's first columns, at least of one. */
export type KeyPosition = string[]

/** Rows after one place up to and including another; open where a bound is absent. */
export interface Bounds {
  after?: KeyPosition
  until?: KeyPosition
  /** Rows may have dates without a month or day, which an incremental read of what has none must find. */
  partial?: true
}

const KINDS: Record<string, KeyKind> = {
  tinyint: 'int',
  smallint: 'int',
  mediumint: 'int',
  int: 'int',
  bigint: 'int',
  decimal: 'decimal',
  date: 'date',
  datetime: 'datetime',
  timestamp: 'datetime',
  char: 'text',
  varchar: 'text',
  binary: 'bytes',
  varbinary: 'bytes',
  uuid: 'other',
}

/** Character sets whose every string survives the way through UTF-8 and back; of others the bytes are asked for. */
const FAITHFUL = ['utf8mb4', 'utf8mb3', 'utf8', 'latin1', 'ascii']

/**
 * The key to page a read by: its primary key, or else a unique index without NULLs; undefined where it has none. Not
 * one with a CHAR that is kept in another order than it is compared, so that rows before '' would be passed over: with its
 * blanks in a NOPAD collation of MariaDB, and in any collation by engines other than InnoDB.
 */
export async function usableKey(session: Session, read: Read): Promise<Key | undefined> {
  const { table } = read.options as Selection
  if (table === undefined) return undefined
  const [database, name] = databaseAndName(table)
  // Each by its own, else the server looks at all tables that it has.
  const named = (of: string) => `${of}.table_schema = ${database} AND ${of}.table_name = ${literal(name)}`
  const parts = await ask(
    session,
    `SELECT s.*, s.index_name AS index_name, s.column_name AS name, c.data_type AS type, c.character_set_name AS charset,
            c.collation_name AS text_collation, t.engine AS engine,
            s.sub_part IS NULL AND s.collation = 'A' AND c.is_nullable = 'NO' AND s.index_type = 'BTREE'
              AND NOT (c.data_type = 'char' AND (t.engine <> 'InnoDB' OR COALESCE(c.collation_name, '') LIKE '%nopad%')) AS plain
       FROM information_schema.statistics s
       JOIN information_schema.tables t ON ${named('t')}
       LEFT JOIN information_schema.columns c ON ${named('c')} AND BINARY c.column_name = BINARY s.column_name
      WHERE ${named('s')} AND s.non_unique = 0
      ORDER BY s.index_name <> 'PRIMARY', s.index_name, s.seq_in_index`,
  )
  const staged = read.columns.filter(({ name }) => name !== REJECTED)
  for (const [index, columns] of Map.groupBy(parts, part => part.index_name!)) {
    // An expression in place of a column has no type.
    if (!columns.every(({ plain, type }) => Number(plain) === 1 && KINDS[(type ?? '').toLowerCase()]))
      continue
    // MariaDB's word, and MySQL's: such an index cannot be asked for.
    const isHidden = columns.some(({ IGNORED, IS_VISIBLE }) => IGNORED === 'YES' || IS_VISIBLE === 'NO')
    if (isHidden || !columns.every(({ engine }) => keepsUnique(engine!))) continue
    return { index, columns: columns.map(column => keyColumn(column, staged)) }
  }
  return undefined
}

function keyColumn(row: Record<string, string | null>, staged: Column[]): KeyColumn {
  const kind = KINDS[row.type!.toLowerCase()]!
  const column: KeyColumn = { name: row.name!, kind }
  if (kind === 'text') {
    column.charset = row.charset!
    column.collation = row.text_collation!
  }
  const at = staged.findIndex(({ name, sourceName = name }) => sourceName === column.name)
  // Numbers and bytes lie in a batch as they are, texts where none is replaced by NULL; a moment's own text is easier asked for
  // than made again.
  const isKept = kind === 'text' && FAITHFUL.includes(column.charset!) && staged[at]?.policy === undefined
  const plain = kind === 'int' || kind === 'bytes' || isKept
  if (at >= 0 && plain) column.at = at
  return column
}

/** The key columns that no staged column holds exactly: they are sent as text ahead of the others. */
export function leadingColumns(key: Key): Column[] {
  return key.columns
    .filter(({ at }) => at === undefined)
    .map(({ name }) => ({ name: `key ${name}`, type: { kind: 'text' }, nullable: false, native: 'text' }))
}

/** What to select so that {@link ask} gives a key column's value as a {@link KeyPosition} holds it. */
export function exact({ name, kind, at }: KeyColumn): string {
  const column = identifier(name)
  if (kind === 'bytes') return `HEX(${column})`
  // The same notation whether the place comes from a row or from here.
  if (kind === 'text') return at === undefined ? `HEX(${column})` : `HEX(CONVERT(${column} USING utf8mb4))`
  return `CAST(${column} AS CHAR)`
}

/** A value of a key column as SQL, in the column's own type, character set and collation. */
export function exactLiteral({ kind, charset, collation, at }: KeyColumn, value: string): string {
  if (kind === 'int' || kind === 'decimal') return value
  if (kind === 'bytes') return `x'${value}'`
  if (kind !== 'text') return literal(value)
  const text =
    at === undefined
      ? `_${charset} x'${value}'`
      : charset === 'utf8mb4'
        ? `_utf8mb4 x'${value}'`
        : `CONVERT(_utf8mb4 x'${value}' USING ${charset})`
  return `${text} COLLATE ${collation}`
}

/** The condition of the rows within bounds; empty where they are open. */
export function within(key: Key, { after, until }: Bounds): string[] {
  return [...(after ? [beyond(key, after, '>', '>')] : []), ...(until ? [beyond(key, until, '<', '<=')] : [])]
}

/**
 * Rows on one side of a place. Nested, because the server finds one range of the index in
 * `a > 1 OR (a = 1 AND (b > 2 OR (b = 2 AND c > 3)))`, but none in `(a, b, c) > (1, 2, 3)`.
 */
function beyond(key: Key, place: KeyPosition, side: '>' | '<', last: '>' | '<='): string {
  return place.reduceRight((rest, value, index) => {
    const column = key.columns[index]!
    const [name, sql] = [identifier(column.name), exactLiteral(column, value)]
    return rest === ''
      ? `${name} ${last} ${sql}`
      : `(${name} ${side} ${sql} OR (${name} = ${sql} AND ${rest}))`
  }, '')
}

/** `ORDER BY`'s list. */
export const order = (key: Key, direction: 'ASC' | 'DESC') =>
  key.columns.map(({ name }) => `${identifier(name)} ${direction}`).join(', ')

/** For people: `members after 17 until 4711`; of a `hidden` column `…`. */
export function labelOf(table: string, key: Key, { after, until }: Bounds, hidden: string[]): string {
  const show = (place: KeyPosition) =>
    place
      .map((value, index) => {
        const { name, kind } = key.columns[index]!
        if (hidden.includes(name)) return '…'
        if (kind !== 'text' && kind !== 'bytes') return value
        return kind === 'text' ? JSON.stringify(Buffer.from(value, 'hex').toString('utf8')) : `x'${value}'`
      })
      .join(', ')
  return `${table}${after ? ` after ${show(after)}` : ''}${until ? ` until ${show(until)}` : ''}`
}
