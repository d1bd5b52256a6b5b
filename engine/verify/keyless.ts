import { counted } from '../plural.ts'
import type { Duck } from '../sql/duckdb.ts'
import type { Verification } from './result.ts'

/** Compares rows without a key: how many there are of each, and should be. `sum`: SQL of a row's. */
export async function compareKeyless(
  duck: Duck,
  sum: string,
  expected: string,
  held: string,
  verification: Verification,
): Promise<void> {
  const sums = (sql: string, count: number) => `SELECT ${sum} AS _nf_sum, ${count} AS _nf_n FROM (${sql})`
  const [found] = await duck.rows(
    `SELECT coalesce(sum(greatest(n, 0)), 0) AS missing, coalesce(sum(greatest(-n, 0)), 0) AS extra
     FROM (SELECT sum(_nf_n) AS n FROM (${sums(expected, 1)} UNION ALL ${sums(held, -1)}) GROUP BY _nf_sum)`,
  )
  const [all] = await duck.rows(`SELECT count(*) AS n FROM (${expected})`)
  const [missing, extra] = [Number(found!.missing), Number(found!.extra)]
  const rows = Math.max(missing, extra)
  verification.rows = Number(all!.n)
  verification.equal = verification.rows - missing
  verification.ranges = 1
  verification.wrong = { rows, ranges: rows > 0 ? 1 : 0 }
  if (rows === 0) return
  const samples = [
    ...(missing > 0 ? [`${counted(missing, 'staged row')} not there`] : []),
    ...(extra > 0 ? [`${counted(extra, 'row')} there and not staged`] : []),
  ]
  verification.differing.push({ range: 'all rows, without a key', rows, samples })
}
