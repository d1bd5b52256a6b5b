import type { LoadSpec } from '../contracts/load.ts'
import { loadKeyPolicy } from '../plan/keyPolicy.ts'
import { rowId } from '../quality/quarantine.ts'
import type { RunContext } from '../runtime/context.ts'
import type { Corrected, Correction } from '../runtime/correction.ts'
import { quote } from '../sql/duckdb.ts'
import { REJECTS } from '../sql/words.ts'
import { allRows, type DataSet, goodRows } from '../staging/dataSet.ts'
import { filesSql } from '../staging/read.ts'
import { columnNamed } from '../types/logical.ts'
import { judgeKeys, listOf, sortOut } from './corrections.ts'
import type { Transformed } from './transformed.ts'

/**
 * What becomes of the corrections of a data set's rows, and SQL of its rows with the corrected ones in the place of those
 * that were rejected; undefined where there are none.
 */
export async function mendedSql(
  context: RunContext,
  set: Transformed & DataSet,
  corrections: Correction[],
): Promise<{ corrected: Corrected; sql?: string }> {
  const { root, spec } = context
  const { name, columns, findings } = set
  if (set.rejected === 0)
    return { corrected: { applied: [], refused: [], stale: corrections.map(({ id }) => id) } }
  const id = rowId(spec.job, name, 'record')
  const rejected = `SELECT DISTINCT row AS _nf_row, ${id} AS _nf_id FROM ${filesSql(root, [{ file: findings! }])} WHERE ${REJECTS}`
  let sorted = await sortOut(context, name, corrections, rejected, columns)
  for (const key of keysOf(spec.loads, set)) {
    if (!sorted.sql) break
    const all = `(SELECT ${listOf(key)}, 0 AS _nf_night, true AS _nf_good FROM (${goodRows(root, set)}))`
    const found = `SELECT DISTINCT _nf_id, 0 AS _nf_night FROM (${rejected})`
    sorted = await judgeKeys(context, { table: name, key, merges: true }, corrections, sorted, { all, found })
  }
  const { sql, ...corrected } = sorted
  if (!sql) return { corrected }
  const applied = corrected.applied.map(quote).join(', ')
  const mended = `SELECT * EXCLUDE (file_row_number) FROM ${allRows(root, set)}
      WHERE file_row_number NOT IN (SELECT _nf_row FROM (${rejected}) WHERE _nf_id IN (${applied}))
    UNION ALL BY NAME (SELECT * EXCLUDE (_nf_id, _nf_row) FROM (${sql}) JOIN (${rejected}) USING (_nf_id) ORDER BY _nf_row)`
  return { corrected, sql: mended }
}

/** Keys by which a data set is loaded, where the newest row of each is not asked for. */
function keysOf(loads: LoadSpec[], { name, columns }: Transformed): string[][] {
  const keys = loads
    .filter(load => load.from === name && load.key.length > 0 && loadKeyPolicy(load).policy !== 'newest')
    .map(({ key }) => key.flatMap(name => columnNamed(columns, name)?.name ?? []))
  return [...new Map(keys.map(key => [JSON.stringify(key), key])).values()]
}
