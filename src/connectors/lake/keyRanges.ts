import { type Duck, isOutOfMemory, quote, quoteName } from '../../../engine/sql/duckdb.ts'
import { type Column, typeName } from '../../../engine/types/logical.ts'

/** Rows whose keys come after one and up to another; open where a bound is absent. Values are DuckDB's texts. */
export interface KeyRange {
  after?: string[]
  until?: string[]
}

export const isWhole = ({ after, until }: KeyRange): boolean => !after && !until

/** How many times more ranges there are where one did not fit into memory, and the most: each costs a look at all rows. */
const SPLIT_FACTOR = 4
const MAX_RANGES = 256

/**
 * What `act` makes of all rows, or, where those do not fit into memory, of one range of them after the other, in the order of the key:
 * ever smaller ones, until each fits. `keys`: SQL of all keys. Every attempt begins anew with the first range.
 */
export async function byKeyRanges<T>(
  duck: Duck,
  key: Column[],
  keys: string,
  act: (range: KeyRange, index: number) => Promise<T>,
): Promise<T[]> {
  let ranges: KeyRange[] = [{}]
  for (let wanted = SPLIT_FACTOR; ; wanted *= SPLIT_FACTOR) {
    try {
      const results: T[] = []
      for (const [index, range] of ranges.entries()) results.push(await act(range, index))
      return results
    } catch (error) {
      if (!isOutOfMemory(error) || key.length === 0 || wanted > MAX_RANGES) throw error
      const finer = await cut(duck, key, keys, wanted)
      if (finer.length <= ranges.length) throw error
      ranges = finer
    }
  }
}

/** SQL of the rows of a query that are within a range; those without a key come last. */
export function within(sql: string, key: Column[], { after, until }: KeyRange): string {
  const first = key[0]
  // The least and greatest of a row group are told by single columns.
  const from = after && [`(${compared(first!, '>=', after[0]!)} OR ${quoteName(first!.name)} IS NULL)`]
  const to = until && [compared(first!, '<=', until[0]!), `NOT ${beyond(key, until)}`]
  const conditions = [...(from ? [...from, beyond(key, after)] : []), ...(to ?? [])]
  return conditions.length > 0 ? `SELECT * FROM (${sql}) WHERE ${conditions.join(' AND ')}` : sql
}

/** About as many ranges as wanted, of about as many keys each. */
async function cut(duck: Duck, key: Column[], keys: string, wanted: number): Promise<KeyRange[]> {
  const names = key.map(({ name }) => quoteName(name)).join(', ')
  const texts = key.map(({ name }, index) => `CAST(${quoteName(name)} AS VARCHAR) AS _nf_k${index}`)
  const there = key.map(({ name }) => `${quoteName(name)} IS NOT NULL`).join(' AND ')
  const cuts = await duck.rows(
    `SELECT ${texts.join(', ')} FROM (SELECT DISTINCT ${names} FROM (
       SELECT ${names}, row_number() OVER (ORDER BY ${names}) AS _nf_place, count(*) OVER () AS _nf_n FROM (${keys}) WHERE ${there})
       WHERE _nf_place % greatest(1, _nf_n // ${wanted}) = 0) ORDER BY ${names}`,
  )
  const places = cuts.map(row => key.map((_, index) => String(row[`_nf_k${index}`])))
  return [undefined, ...places].map((after, index) => ({
    ...(after && { after }),
    ...(places[index] && { until: places[index] }),
  }))
}

function beyond(key: Column[], place: string[]): string {
  const isAfter = place.reduceRight((rest, text, index) => {
    const one = compared(key[index]!, '>', text)
    return rest === '' ? one : `(${one} OR (${compared(key[index]!, '=', text)} AND ${rest}))`
  }, '')
  return `coalesce(${isAfter}, true)`
}

const compared = (column: Column, operator: string, text: string) =>
  `${quoteName(column.name)} ${operator} ${ofText(column, text)}`

/** SQL of a column's value, of which this is DuckDB's text. */
export const ofText = ({ type }: Column, text: string): string => `CAST(${quote(text)} AS ${typeName(type)})`
