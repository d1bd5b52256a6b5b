import type { Mask } from '../../engine/mask.ts'
import { type Duck, quoteName } from '../../engine/sql/duckdb.ts'
import type { JobOutline } from '../config/outline.ts'

/** A row's values as texts. */
export type Texts = Record<string, string | null>

/** How a table differs from what it was. */
export interface TableDiff {
  addedColumns: string[]
  removedColumns: string[]
  /** Columns by which rows are paired; none where a row that differs is one gone and one more. */
  key: string[]
  /** Rows of one key whose values differ. */
  changed: number
  added: number
  removed: number
  unchanged: number
  /** Columns of changed rows, and in how many they differ. */
  columns: { name: string; rows: number }[]
  samples: { before?: Texts; after?: Texts }[]
}

/** Rows shown of a difference, of each kind, where nobody says how many. */
const SAMPLES = 10

/** Keys by which rows of a table may be told apart: those of its loads, then those of extracts. */
export const keysOf = (
  { loads, extracts }: Pick<JobOutline, 'loads' | 'extracts'>,
  table: string,
): string[][] => [...loads.filter(({ from }) => from === table), ...extracts].map(({ key }) => key)

/** Columns of `rows`: `FROM …`. */
export async function described(duck: Duck, rows: string): Promise<{ name: string; type: string }[]> {
  const found = await duck.rows(`DESCRIBE SELECT * ${rows}`)
  return found.map(({ column_name, column_type }) => ({
    name: String(column_name),
    type: String(column_type),
  }))
}

/**
 * Compares what two queries (`FROM …`) give, in the columns that both have. Rows are paired by the first of `keys` that both
 * have; where there is none, a row that differs is one that is gone and one more. Samples hold no `sensitive` value.
 */
export async function diffTables(
  duck: Duck,
  before: string,
  after: string,
  {
    keys,
    mask,
    sensitive,
    shown: most = SAMPLES,
  }: { keys: string[][]; mask: Mask; sensitive: string[]; shown?: number },
): Promise<TableDiff> {
  const names = async (rows: string) => (await described(duck, rows)).map(({ name }) => name)
  const [was, is] = [await names(before), await names(after)]
  const both = is.filter(name => was.includes(name))
  const texts = both.map(name => `${quoteName(name)}::VARCHAR AS ${quoteName(name)}`).join(', ')
  await duck.run(
    `CREATE OR REPLACE TEMP TABLE _nf_gone AS SELECT ${texts} ${before} EXCEPT ALL SELECT ${texts} ${after}`,
  )
  await duck.run(
    `CREATE OR REPLACE TEMP TABLE _nf_come AS SELECT ${texts} ${after} EXCEPT ALL SELECT ${texts} ${before}`,
  )
  const count = async (rows: string) => Number((await duck.rows(`SELECT count(*) AS n ${rows}`))[0]!.n)
  const key = pairedBy(keys, both)
  const on = key.map(name => `g.${quoteName(name)} IS NOT DISTINCT FROM c.${quoteName(name)}`).join(' AND ')
  const pairs = key.length > 0 ? `FROM _nf_gone AS g JOIN _nf_come AS c ON ${on}` : undefined
  const changed = pairs ? await count(pairs) : 0
  const only = (one: string, other: string, alias: string) =>
    `FROM ${one} AS ${alias}${key.length > 0 ? ` ANTI JOIN ${other} AS ${alias === 'g' ? 'c' : 'g'} ON ${on}` : ''}`
  const shown = (row: Record<string, unknown>, prefix: string): Texts =>
    mask.record(
      sensitive,
      Object.fromEntries(both.map(name => [name, row[`${prefix}${name}`] as string | null])),
    ) as Texts
  const columns = (alias: string) =>
    both.map(name => `${alias}.${quoteName(name)} AS ${quoteName(`${alias}.${name}`)}`).join(', ')
  const samples: TableDiff['samples'] = []
  const take = async (rows: string, list: string, sides: ('before' | 'after')[]) => {
    for (const row of await duck.rows(`SELECT ${list} ${rows} ORDER BY ALL LIMIT ${most}`))
      samples.push({
        ...(sides.includes('before') && { before: shown(row, 'g.') }),
        ...(sides.includes('after') && { after: shown(row, 'c.') }),
      })
  }
  if (pairs) await take(pairs, `${columns('g')}, ${columns('c')}`, ['before', 'after'])
  await take(only('_nf_gone', '_nf_come', 'g'), columns('g'), ['before'])
  await take(only('_nf_come', '_nf_gone', 'c'), columns('c'), ['after'])
  const total = await count(after)
  const come = await count('FROM _nf_come')
  return {
    addedColumns: is.filter(name => !was.includes(name)),
    removedColumns: was.filter(name => !is.includes(name)),
    key,
    changed,
    added: await count(only('_nf_come', '_nf_gone', 'c')),
    removed: await count(only('_nf_gone', '_nf_come', 'g')),
    unchanged: total - come,
    columns: pairs && changed > 0 ? await changedColumns(duck, both, pairs) : [],
    samples,
  }
}

/** The first of `keys` that all of `columns` hold; none where rows cannot be paired. */
const pairedBy = (keys: string[][], columns: string[]): string[] =>
  keys.find(each => each.length > 0 && each.every(name => columns.includes(name))) ?? []

/**
 * How many rows that the last {@link diffTables} of the session found gone are among others, by the text of one of their columns,
 * `by`. `rows`: what stands after FROM.
 */
export async function goneBy(
  duck: Duck,
  rows: string,
  by: string,
  keys: string[][],
): Promise<{ by: string; rows: number }[]> {
  const gone = (await described(duck, 'FROM _nf_gone')).map(({ name }) => name)
  const key = pairedBy(keys, gone)
  const on = (key.length > 0 ? key : gone).map(
    name => `g.${quoteName(name)} IS NOT DISTINCT FROM f.${quoteName(name)}::VARCHAR`,
  )
  const found = await duck.rows(
    `SELECT f.${by} AS name, count(*) AS n FROM _nf_gone AS g JOIN (SELECT DISTINCT * EXCLUDE (file_row_number) FROM ${rows}) AS f ON ${on.join(' AND ')} GROUP BY 1 ORDER BY n DESC, name`,
  )
  return found.map(({ name, n }) => ({ by: String(name), rows: Number(n) }))
}

async function changedColumns(duck: Duck, names: string[], pairs: string): Promise<TableDiff['columns']> {
  const counts = names.map(
    (name, at) => `count(*) FILTER (g.${quoteName(name)} IS DISTINCT FROM c.${quoteName(name)}) AS n${at}`,
  )
  const [found] = await duck.rows(`SELECT ${counts.join(', ')} ${pairs}`)
  return names.flatMap((name, at) => {
    const rows = Number(found![`n${at}`])
    return rows > 0 ? [{ name, rows }] : []
  })
}
