import type { OnDuplicate } from '../contracts/load.ts'
import { EngineError } from '../errors.ts'
import { counted } from '../plural.ts'
import { ownFile, type RunContext } from '../runtime/context.ts'
import { type Duck, quote, quoteName } from '../sql/duckdb.ts'
import { REJECT } from '../sql/words.ts'
import { copyFile } from '../staging/parts.ts'
import { filesSql } from '../staging/read.ts'
import type { Column } from '../types/logical.ts'
import type { Findings } from './quarantine.ts'

// What holds of every key: no NULL in it, and one row of each value in one data set.

export const KEY_PRESENT = 'key is present'
export const KEY_UNIQUE = 'key is unique'

/** Names of the columns of {@link losersSql}. */
export const LOSER = { row: '_nf_row', differs: '_nf_differs', rows: '_nf_rows' } as const

/** SQL of the findings of rows with a NULL in their key; undefined where no key column can hold one. */
export function nullKeysSql(key: Column[], rows: string): string | undefined {
  const columns = key.filter(({ nullable }) => nullable)
  if (columns.length === 0) return undefined
  const lines = columns.map(({ name }) => {
    const reason = quote(`key column ${name} is NULL`)
    return `SELECT file_row_number AS row, ${quote(KEY_PRESENT)} AS check_name, ${quote(REJECT)} AS severity, ${reason} AS reason
      FROM ${rows} WHERE ${quoteName(name)} IS NULL`
  })
  return lines.join(' UNION ALL ')
}

/**
 * SQL of the numbers of rows that give way to another of their key ({@link LOSER}), whether they differ from it, and
 * how many rows have the key. `newest` is SQL that orders the rows of a key, the newest first; ties go to the
 * greatest by all columns.
 */
export function losersSql(
  columns: Column[],
  key: string[],
  newest: string[],
  rows: string,
  row: string,
): string {
  // One value in place of all: of a thousand columns, a window's rows and their order take more memory than there is.
  const all = columns.map(column => `${quoteName(column.name)}, 'DESC NULLS LAST'`)
  const order = [...newest, SORTED, row]
  const keys = key.map(quoteName).join(', ')
  return `SELECT ${row} AS ${LOSER.row}, ${SORTED} IS DISTINCT FROM first_value(${SORTED}) OVER _nf_key AS ${LOSER.differs},
      count(*) OVER (PARTITION BY ${keys}) AS ${LOSER.rows}
    FROM (SELECT *, create_sort_key(${all.join(', ')}) AS ${SORTED} FROM (${rows}))
    WINDOW _nf_key AS (PARTITION BY ${keys} ORDER BY ${order.join(', ')})
    QUALIFY row_number() OVER _nf_key > 1`
}

/** All columns of a row as DuckDB sorts by them, the greatest first; equal where no column differs. */
const SORTED = '_nf_sorted'

/** Rows of a data set, as what stands after FROM, their numbers as `file_row_number`; how those of one key are ordered. */
export interface KeyedRows {
  columns: Column[]
  key: string[]
  newest: string[]
  rows: string
}

/** SQL of the rows of {@link losersSql}, kept in a file called `name`; undefined where each key is there once. */
export async function findLosers(
  context: RunContext,
  { columns, key, newest, rows }: KeyedRows,
  name: string,
): Promise<string | undefined> {
  const keys = key.map(quoteName).join(', ')
  const [count] = await context.duck.rows(
    `SELECT count(*) - (SELECT count(*) FROM (SELECT DISTINCT ${keys} FROM ${rows})) AS extra FROM ${rows}`,
  )
  if (Number(count!.extra) === 0) return undefined
  const repeated = `SELECT * FROM ${rows} WHERE (${keys}) IN (SELECT (${keys}) FROM ${rows} GROUP BY ${keys} HAVING count(*) > 1)`
  const sql = losersSql(columns, key, newest, repeated, 'file_row_number')
  return `SELECT * FROM ${filesSql(context.root, [await copyFile(context, sql, ownFile(context, name, '.parquet'))])}`
}

/** A data set with rows that give way to others of their key. */
export interface Duplicates {
  /** `load.dim_members`: whose `on_duplicate` decides. */
  where: string
  /** The model or extract. */
  from: string
  key: string[]
  policy: OnDuplicate
  /** SQL of {@link losersSql}'s rows; the data set, as in {@link KeyedRows}. */
  losers: string
  rows: string
  /** Tables that the data set is made from by a model. */
  reads: string[]
}

/**
 * What becomes of rows that give way to another of their key: those equal to it in all columns, and all of them where
 * the newest is to stay, are superseded; others go to the quarantine. Fails with DUPLICATE_KEY where none may be.
 */
export async function settleDuplicates(
  duck: Duck,
  duplicates: Duplicates,
): Promise<{ superseded: number; findings?: Findings }> {
  const { policy, losers, key, rows } = duplicates
  const [count] = await duck.rows(
    `SELECT count(*) AS n, count(*) FILTER (${LOSER.differs}) AS differing FROM (${losers})`,
  )
  const [all, differing] = [Number(count!.n), Number(count!.differing)]
  if (policy === 'newest' || differing === 0) return { superseded: all }
  if (policy === 'fail') throw await refusal(duck, duplicates, differing)
  const keys = key
    .map(name => `${quote(`${name} = `)} || _nf_m.${quoteName(name)}::VARCHAR`)
    .join(` || ', ' || `)
  const sql = `SELECT _nf_l.${LOSER.row} AS row, ${quote(KEY_UNIQUE)} AS check_name, ${quote(REJECT)} AS severity,
      'key ' || ${keys} || ' stands in ' || _nf_l.${LOSER.rows} || ' rows' AS reason
    FROM (${losers}) AS _nf_l JOIN ${rows} AS _nf_m ON _nf_m.file_row_number = _nf_l.${LOSER.row} WHERE _nf_l.${LOSER.differs}`
  return { superseded: all - differing, findings: { sql, category: 'DATA_INTEGRITY_ERROR' } }
}

/** Keys that a message names. */
const NAMED = 5

async function refusal(duck: Duck, duplicates: Duplicates, differing: number): Promise<EngineError> {
  const { where, from, key, losers, rows, reads } = duplicates
  const names = key.map(quoteName).join(', ')
  const texts = key.map((name, index) => `${quoteName(name)}::VARCHAR AS _nf_k${index}`).join(', ')
  const found = await duck.rows(
    `SELECT ${texts}, any_value(_nf_l.${LOSER.rows}) AS _nf_n FROM (${losers}) AS _nf_l JOIN ${rows} AS _nf_m ON _nf_m.file_row_number = _nf_l.${LOSER.row}
     WHERE _nf_l.${LOSER.differs} GROUP BY ${names} ORDER BY _nf_n DESC, ${names} LIMIT ${NAMED + 1}`,
  )
  const named = found
    .slice(0, NAMED)
    .map(
      line =>
        `${key.map((name, i) => `${name} = ${line[`_nf_k${i}`]}`).join(', ')} stands in ${counted(Number(line._nf_n), 'row')}`,
    )
  const more = found.length > NAMED ? ', …' : ''
  const rowsOf = counted(differing, 'row')
  const join =
    reads.length > 1
      ? `A join of ${reads.join(', ')} fans out: in ${from}.sql, make each joined table one row a key (QUALIFY row_number() OVER (PARTITION BY …) = 1). Or s`
      : 'S'
  return new EngineError(
    'DUPLICATE_KEY',
    `${where}: the key is not unique in ${from}: ${named.join('; ')}${more}; ${rowsOf} would have to give way to another of ${differing === 1 ? 'its' : 'their'} key`,
    {
      hint: `Nothing of it was loaded. ${join}et ${where.startsWith('load.') ? 'newer: COLUMN (the newest row stays), ' : ''}on_duplicate: quarantine or on_duplicate: newest there, or name the columns that identify a row as its key.`,
    },
  )
}
