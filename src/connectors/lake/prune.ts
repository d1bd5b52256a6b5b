import { ownValue } from '../../../engine/ownValue.ts'
import { type Duck, quote, quoteName } from '../../../engine/sql/duckdb.ts'
import { type Column, columnNamed, typeName } from '../../../engine/types/logical.ts'
import type { DataFile } from './log.ts'

/** A partition as one text. */
export const partitionId = (values: unknown[]) =>
  JSON.stringify(values.map(value => (value === null || value === undefined ? null : String(value))))

/** The partitions that rows of a query are in. `names` are its columns. */
export async function partitionsOf(duck: Duck, names: string[], sql: string): Promise<Set<string>> {
  const texts = names.map(name => `CAST(${quoteName(name)} AS VARCHAR)`)
  if (names.length === 0) return new Set([partitionId([])])
  const rows = await duck.rows(`SELECT DISTINCT ${texts.join(', ')} FROM (${sql})`)
  return new Set(rows.map(row => partitionId(Object.values(row))))
}

/**
 * The files that can hold one of the keys which `keys` (SQL) gives: those with a key, for each key column, between
 * their least and greatest value. Whether they do, only reading tells.
 */
export async function filesWithKeys(
  duck: Duck,
  files: DataFile[],
  columns: Column[],
  key: string[],
  keys: string,
): Promise<DataFile[]> {
  let candidates = files
  for (const name of key) {
    const known = candidates.filter(file => ownValue(file.min, name) !== undefined)
    if (known.length === 0) continue
    const type = typeName(columnNamed(columns, name)!.type)
    const list = known.map(
      (file, index) => `(${index}, ${quote(file.min[name]!)}, ${quote(file.max[name]!)})`,
    )
    // The least key that is not below a file's least value: a file that can hold any key can hold this one.
    const rows = await duck.rows(
      `SELECT f.i AS i FROM (SELECT i, CAST(low AS ${type}) AS low, CAST(high AS ${type}) AS high FROM (VALUES ${list.join(', ')}) AS v(i, low, high)) AS f
         ASOF JOIN (SELECT DISTINCT ${quoteName(name)} AS key FROM (${keys}) WHERE ${quoteName(name)} IS NOT NULL) AS k ON f.low <= k.key WHERE k.key <= f.high`,
    )
    const possible = new Set(rows.map(({ i }) => known[Number(i)]!))
    candidates = candidates.filter(file => ownValue(file.min, name) === undefined || possible.has(file))
  }
  return candidates
}
