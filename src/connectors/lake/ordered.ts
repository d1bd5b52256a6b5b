import { type Duck, isOutOfMemory, quoteName } from '../../../engine/sql/duckdb.ts'
import { type Column, columnNamed } from '../../../engine/types/logical.ts'
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
 * range by range, and then partition by partition. `rows`: SQL of those of a range.
 */
export async function createOrdered(
  duck: Duck,
  name: string,
  { columns, partitionBy, key, tableKey, keys }: Ordering,
  rows: (range: KeyRange) => string,
): Promise<void> {
  const by = (names: string[]) => (names.length > 0 ? ` ORDER BY ${names.map(quoteName).join(', ')}` : '')
  const fill = (range: KeyRange, index: number) => {
    const into = index === 0 ? `CREATE OR REPLACE TABLE ${name} AS` : `INSERT INTO ${name}`
    return duck.run(`${into} ${rows(range)}${by(isWhole(range) ? [...partitionBy, ...tableKey] : tableKey)}`)
  }
  try {
    const ranges = await byKeyRanges(duck, key, keys, fill)
    if (ranges.length === 1 || partitionBy.length === 0) return
  } catch (error) {
    if (!isOutOfMemory(error) || key.length > 0 || partitionBy.length === 0) throw error
    await duck.run(`CREATE OR REPLACE TABLE ${name} AS ${rows({})}`)
  }
  const parts = partitionBy.map(part => columnNamed(columns, part)!)
  const texts = parts.map((part, index) => `CAST(${quoteName(part.name)} AS VARCHAR) AS p${index}`)
  const names = parts.map(part => quoteName(part.name)).join(', ')
  const partitions = await duck.rows(
    `SELECT ${texts.join(', ')} FROM (SELECT DISTINCT ${names} FROM ${name}) ORDER BY ${names}`,
  )
  await duck.run(`CREATE OR REPLACE TABLE apart AS FROM ${name} LIMIT 0`)
  for (const partition of partitions) {
    const is = parts.map((part, index) => {
      const text = partition[`p${index}`]
      return `${quoteName(part.name)} IS NOT DISTINCT FROM ${text === null ? 'NULL' : ofText(part, String(text))}`
    })
    await duck.run(`INSERT INTO apart FROM ${name} WHERE ${is.join(' AND ')}`)
  }
  await duck.run(`DROP TABLE ${name}`)
  await duck.run(`ALTER TABLE apart RENAME TO ${name}`)
}
