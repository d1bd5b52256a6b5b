import type { Proof } from './prove.ts'

/** One line: `20,000 rows equal in 64 ranges`, or which ranges differ. */
export function describeProof(proof: Proof): string {
  const { rows, ranges, equal, wrong, differing, newer, leftAlone, others, scope } = proof
  const number = (value: number) => value.toLocaleString('en-US')
  const asides = [
    ...(newer > 0 ? [`${number(newer)} newer in the target`] : []),
    ...(leftAlone > 0 ? [`${number(leftAlone)} no newer than the target's and left alone`] : []),
    ...(others > 0 ? [`${number(others)} in the target only`] : []),
  ]
  const aside = asides.length > 0 ? ` (${asides.join(', ')})` : ''
  const what = scope === 'all' ? 'rows' : 'changed rows'
  if (wrong.rows === 0)
    return rows === 0
      ? `no row to compare${aside}`
      : `${number(equal)} ${what} equal in ${ranges} ${ranges === 1 ? 'range' : 'ranges'}${aside}`
  const named = differing.slice(0, 3).map(({ range, samples }) => `${range} (${samples.join(', ')})`)
  const more = wrong.ranges > named.length ? ` and ${wrong.ranges - named.length} more` : ''
  return `${number(wrong.rows)} of ${number(rows)} ${what} differ, in ${wrong.ranges} of ${ranges} ranges: ${named.join('; ')}${more}${aside}`
}
