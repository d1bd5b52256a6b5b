/** A column of a table, as a text: for sets. Column `*` stands for those whose names are not known. */
export type Ref = string

export type Refs = ReadonlySet<Ref>

/** Where each column is mentioned first: a byte of the query, or undefined where it is not in its own text. */
export type Mentions = Map<Ref, number | undefined>

export const ALL = '*'

export const ref = (table: string, column: string): Ref => `${table}\0${column}`

export function partsOf(each: Ref): { table: string; column: string } {
  const [table, column] = each.split('\0') as [string, string]
  return { table, column }
}

export const none: Refs = new Set()

export function union(...sets: Refs[]): Refs {
  const filled = sets.filter(({ size }) => size > 0)
  if (filled.length < 2) return filled[0] ?? none
  const all = new Set<Ref>()
  for (const set of filled) for (const each of set) all.add(each)
  return all
}
