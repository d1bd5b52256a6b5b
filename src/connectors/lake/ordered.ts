import { type Duck, isOutOfMemory, quoteName } from '../../../engine/sql/duckdb.ts'
import { type Column, columnNamed, isNamed } from '../../../engine/types/logical.ts'
import { byKeyRanges, isWhole, type KeyRange, ofText } from './keyRanges.ts'

export interface Ordering {
  columns: Column[]
  partitionBy: string[]
  /** The key of the load, and of the table. */
  key: Column[]
  tableKey: string[]
  /** SQL of the keys of all rows. */
  keys: string
}

/**
 * Makes a table of the session of rows, by partition columns, then key: at once, or, where that takes more memory than there is,
 * range by range, and then partition by partition. `rows`: SQL of those of a range. Its columns are called by {@link heldName}.
 */
export async function createOrdered(
  duck: Duck,
  name: string,
  { columns, partitionBy, key, tableKey, keys }: Ordering,
  rows: (range: KeyRange) => string,
): Promise<void> {
  const by = (names: string[]) => (names.length > 0 ? ` ORDER BY ${names.map(quoteName).join(', ')}` : '')
  const held = columns.map(({ name }) => heldName(columns, name))
  const fill = (range: KeyRange, index: number) => {
    const into =
      index === 0 ? `CREATE OR REPLACE TABLE ${name} (${held.join(', ')}) AS` : `INSERT INTO ${name}`
    return duck.run(`${into} ${rows(range)}${by(isWhole(range) ? [...partitionBy, ...tableKey] : tableKey)}`)
  }
  try {
    const ranges = await byKeyRanges(duck, key, keys, fill)
    if (ranges.length === 1 || partitionBy.length === 0) return
  } catch (error) {
    if (!isOutOfMemory(error) || key.length > 0 || partitionBy.length === 0) throw error
    await duck.run(`CREATE OR REPLACE TABLE ${name} (${held.join(', ')}) AS ${rows({})}`)
  }
  const parts = partitionBy.map(part => columnNamed(columns, part)!)
  const names = partitionBy.map(part => heldName(columns, part))
  const texts = names.map((part, index) => `CAST(${part} AS VARCHAR) AS p${index}`)
  const partitions = await duck.rows(
    `SELECT ${texts.join(', ')} FROM (SELECT DISTINCT ${names.join(', ')} FROM ${name}) ORDER BY ${names.join(', ')}`,
  )
  await duck.run(`CREATE OR REPLACE TABLE apart AS FROM ${name} LIMIT 0`)
  for (const partition of partitions) {
    const is = parts.map((part, index) => {
      const text = partition[`p${index}`]
      return `${names[index]} IS NOT DISTINCT FROM ${text === null ? 'NULL' : ofText(part, String(text))}`
    })
    await duck.run(`INSERT INTO apart FROM ${name} WHERE ${is.join(' AND ')}`)
  }
  await duck.run(`DROP TABLE ${name}`)
  await duck.run(`ALTER TABLE apart RENAME TO ${name}`)
}

/** A column's name in such a table: none of its own hides what DuckDB knows of each row. */
export const heldName = (columns: Column[], name: string): string =>
  `c${columns.findIndex(column => isNamed(column.name, name))}`
