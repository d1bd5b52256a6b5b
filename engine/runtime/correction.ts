/**
 * What a person has put in place of a row that was rejected. It holds as long as that very row, with all its values,
 * is rejected: a row that the source changes since is judged by itself.
 */
export interface Correction {
  /** Of the rejected row: see `rowId` in correct.ts. */
  id: string
  /** Every column's value as text. */
  values: Record<string, string | null>
  /** Whether an earlier run took it: one that comes later with its key gives way to it. */
  held: boolean
}

/** What came of a table's corrections, by id. */
export interface Corrected {
  /** In place of the rejected rows: of a model, of each that is the same; of an extract, which has a key, once. */
  applied: string[]
  /** Of which a value is none of its column's type (`member_id: 12x is no BIGINT`), or the key is none, or another row's. */
  refused: { id: string; reason: string }[]
  /** Of rows that are rejected no more, or are gone; of an extract, also those whose key a later night has. */
  stale: string[]
}
