import { type Duck, quoteName } from '../sql/duckdb.ts'

/** How many rows of a range are so, with the keys of a few that are wrong (columns' texts). */
export interface RangeFinding {
  /** -1 for `extra`. */
  range: number
  /**
   * | | |
   * |---|---|
   * | equal | as it should be |
   * | newer | differs, and the target's is newer |
   * | differs, missing | |
   * | lingers | should not be there, and is |
   * | extra | in none of the files |
   */
  verdict: 'equal' | 'newer' | 'differs' | 'missing' | 'lingers' | 'extra'
  rows: number
  keys: string[][]
}

/** Columns beside the key of what should be there, and of what is. */
export const VERIFY_COLUMNS = { newer: '_nf_newer', range: '_nf_range', sum: '_nf_sum' } as const

/** Ranges whose wrong rows are named, and rows named of each. */
const NAMED_RANGES = 5
const NAMED_ROWS = 3

const WRONG = `('differs', 'missing', 'lingers')`

/**
 * Compares, row by row, what should be there with what is. `expected`: SQL of key, {@link VERIFY_COLUMNS.newer} where
 * `aged` (the target's row may be newer: NULL is older than any), range (-1: not judged) and sum (NULL: the row should not be there); `held`: SQL of key, newer and sum.
 * `extra`: whether rows are looked for that are in none of `expected`.
 */
export async function findings(
  duck: Pick<Duck, 'rows'>,
  { key, aged }: { key: string[]; aged: boolean },
  { expected, held, extra }: { expected: string; held: string; extra: boolean },
): Promise<RangeFinding[]> {
  const columns = key.map(quoteName)
  const same = columns.map(name => `t.${name} = s.${name}`).join(' AND ')
  const absent = `t.${VERIFY_COLUMNS.sum} IS NULL`
  const age = VERIFY_COLUMNS.newer
  const judged = `SELECT s.${VERIFY_COLUMNS.range} AS _nf_range, ${columns.map(name => `s.${name}`).join(', ')}, CASE
      WHEN s.${VERIFY_COLUMNS.sum} IS NULL AND ${absent} THEN 'equal'
      WHEN s.${VERIFY_COLUMNS.sum} IS NULL THEN 'lingers'
      WHEN ${absent} THEN 'missing'
      WHEN t.${VERIFY_COLUMNS.sum} = s.${VERIFY_COLUMNS.sum} THEN 'equal'
      ${aged ? `WHEN coalesce(s.${age} < t.${age}, s.${age} IS NULL AND t.${age} IS NOT NULL) THEN 'newer'` : ''}
      ELSE 'differs' END AS _nf_verdict
    FROM (${expected}) AS s LEFT JOIN (${held}) AS t ON ${same} WHERE s.${VERIFY_COLUMNS.range} >= 0`
  const counted = await duck.rows(
    `SELECT _nf_range, _nf_verdict, count(*) AS _nf_n FROM (${judged}) GROUP BY ALL ORDER BY ALL`,
  )
  const found = counted.map(
    (row): RangeFinding => ({
      range: Number(row._nf_range),
      verdict: row._nf_verdict as RangeFinding['verdict'],
      rows: Number(row._nf_n),
      keys: [],
    }),
  )
  const wrong = found.filter(({ verdict }) => WRONG.includes(`'${verdict}'`))
  const ranges = [...new Set(wrong.map(finding => finding.range))].slice(0, NAMED_RANGES)
  const named = columns.map((name, index) => `${name}::VARCHAR AS _nf_k${index}`).join(', ')
  const keysOf = (row: Record<string, unknown>) => key.map((_, index) => String(row[`_nf_k${index}`]))
  if (ranges.length > 0) {
    const samples = await duck.rows(
      `SELECT _nf_range, _nf_verdict, ${named} FROM (${judged})
       WHERE _nf_range IN (${ranges.join(', ')}) AND _nf_verdict IN ${WRONG}
       QUALIFY row_number() OVER (PARTITION BY _nf_range, _nf_verdict ORDER BY ${columns.join(', ')}) <= ${NAMED_ROWS}
       ORDER BY _nf_range, _nf_verdict, ${columns.join(', ')}`,
    )
    for (const row of samples)
      found
        .find(({ range, verdict }) => range === Number(row._nf_range) && verdict === row._nf_verdict)
        ?.keys.push(keysOf(row))
  }
  if (extra) {
    const strangers = `FROM (${held}) AS t WHERE NOT EXISTS (SELECT 1 FROM (${expected}) AS s WHERE ${same})`
    const [count] = await duck.rows(`SELECT count(*) AS n ${strangers}`)
    const rows = Number(count!.n)
    const samples =
      rows > 0
        ? await duck.rows(`SELECT ${named} ${strangers} ORDER BY ${columns.join(', ')} LIMIT ${NAMED_ROWS}`)
        : []
    found.push({ range: -1, verdict: 'extra', rows, keys: samples.map(keysOf) })
  }
  return found
}
