import type { PlannedLoad } from '../contracts/load.ts'
import type { ComparedColumn } from '../contracts/verification.ts'
import { ROW } from '../diff/compare.ts'
import { identityOf } from '../diff/state.ts'
import { quoteName } from '../sql/duckdb.ts'
import { firstHalf, HASH, hashable } from '../sql/rowHash.ts'

/**
 * SQL of a row's sum by its key and the hash of its other columns, and of the same of an entry of a state, which has that hash
 * from when the rows were compared: so staged rows are hashed once. Undefined where a load's state knows other columns, or the
 * target keeps one of them otherwise than it was sent.
 */
export function stateSum(
  load: PlannedLoad,
  key: ComparedColumn[],
  compared: ComparedColumn[],
): { row: string; entry: string } | undefined {
  const hashed = identityOf(load).compared
  const isHashed =
    compared.length === hashed.length && compared.every(({ name }, index) => name === hashed[index]!.name)
  const isOther = ({ unpadded, unsignedZero, parsed }: ComparedColumn) => unpadded || unsignedZero || parsed
  if (!isHashed || [...key, ...compared].some(isOther)) return undefined
  const keys = key.map(({ name, type }) => hashable(type, quoteName(name))).join(', ')
  return { row: `hash(${keys}, ${firstHalf(compared)})`, entry: `hash(${keys}, ${HASH[0]})` }
}

/** SQL of the entries of a state that are of a row: others are of keys that stay in the table without one. */
export const entriesWithRow = (entries: string) => `SELECT * FROM ${entries} WHERE ${ROW} >= 0`
