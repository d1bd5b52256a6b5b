import { counted } from '../plural.ts'

/** What a table was found to hold, compared with what was staged for it. */
export interface Verification {
  table: string
  to: string
  /** The rows that one load wrote, or all of its data set. */
  scope: 'changes' | 'all'
  /** Rows compared: staged ones, and those that should be gone. */
  rows: number
  /** Key ranges that they were compared in. */
  ranges: number
  equal: number
  /** The target's is newer: as it should be. */
  newer: number
  /** Of mode append: written by an earlier load or another writer, and left alone. */
  leftAlone: number
  /** Rows of the target that are not staged, where the load lets such rows stay. */
  others: number
  /** Rows that are not as they should be, and the ranges that they are in; none: equal. */
  wrong: { rows: number; ranges: number }
  /** The first of those ranges; the first few of them with samples. */
  differing: DifferingRange[]
  /** What was not compared, and why. */
  notes: string[]
}

export interface DifferingRange {
  /** `member_id 17 to 250`. */
  range: string
  rows: number
  /** `member_id = 18 differs`. */
  samples: string[]
}

/** Of a load of which nothing is compared yet. */
export const nothingCompared = (
  { table, to }: Pick<Verification, 'table' | 'to'>,
  scope: Verification['scope'],
): Verification => ({
  table,
  to,
  scope,
  rows: 0,
  ranges: 0,
  equal: 0,
  newer: 0,
  leftAlone: 0,
  others: 0,
  wrong: { rows: 0, ranges: 0 },
  differing: [],
  notes: [],
})

/** One line: `20,000 rows equal in 64 ranges`, or which ranges differ. */
export function describeVerification(verification: Verification): string {
  const { rows, ranges, equal, wrong, differing, newer, leftAlone, others, scope } = verification
  const number = (value: number) => value.toLocaleString('en-US')
  const remarks = [
    ...(newer > 0 ? [`${number(newer)} newer in the target`] : []),
    ...(leftAlone > 0 ? [`${number(leftAlone)} left alone, since their keys were there`] : []),
    ...(others > 0 ? [`${number(others)} in the target only`] : []),
  ]
  const temporary = remarks.length > 0 ? ` (${remarks.join(', ')})` : ''
  const what = scope === 'all' ? 'rows' : 'changed rows'
  if (wrong.rows === 0)
    return rows === 0
      ? `no row to compare${temporary}`
      : `${number(equal)} ${what} equal in ${counted(ranges, 'range')}${temporary}`
  const named = differing.slice(0, 3).map(({ range, samples }) => `${range} (${samples.join(', ')})`)
  const columns = verification.notes.find(note => note.startsWith('differing: '))
  const more = wrong.ranges > named.length ? ` and ${wrong.ranges - named.length} more` : ''
  return `${number(wrong.rows)} of ${number(rows)} ${what} differ, in ${wrong.ranges} of ${counted(ranges, 'range')}: ${named.join('; ')}${more}${columns ? `; ${columns}` : ''}${temporary}`
}
