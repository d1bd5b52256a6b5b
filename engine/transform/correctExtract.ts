import { join } from 'node:path'
import { REJECTED } from '../batch/builder.ts'
import type { Part } from '../contracts/staging.ts'
import { recordSql, rowId } from '../quality/quarantine.ts'
import { ownFile, type RunContext } from '../runtime/context.ts'
import type { Corrected, Correction } from '../runtime/correction.ts'
import { quote, quoteName } from '../sql/duckdb.ts'
import { allRows } from '../staging/dataSet.ts'
import { type Image, seenColumns } from '../staging/image.ts'
import { filesSql } from '../staging/read.ts'
import { atomicWrite, partOf } from '../staging/store.ts'
import { columnNamed, typeName } from '../types/logical.ts'
import { judgeKeys, listOf, sortOut } from './corrections.ts'

/** How a correction's row is told from others. */
interface Keyed {
  extract: string
  key: string[]
}

/**
 * Corrects what an extract's own type rules rejected. A row takes the place of a rejected one while that is the latest
 * known of its key, and stands among the nights where that does: one that came later with its new key holds. Gives the
 * file of such rows.
 */
export async function correctExtract(
  context: RunContext,
  { extract, key }: Keyed,
  image: Image,
  corrections: Correction[],
): Promise<Corrected & { part?: Part }> {
  const { root, duck } = context
  if (key.length === 0) {
    const ids = corrections.map(({ id }) => id)
    const found = await rejectedAsRead(context, { extract, key }, image, ids)
    return {
      applied: [],
      stale: ids.filter(id => !found.includes(id)),
      refused: found.map(id => ({ id, reason: `${extract} has no key: correct the source` })),
    }
  }
  const all = rowsSql(context, { extract, key }, image)
  const found = all === undefined ? 'SELECT NULL AS _nf_id' : foundSql(all, key)
  const sorted = await sortOut(context, extract, corrections, found, seenColumns(image))
  const judged = sorted.sql
    ? await judgeKeys(context, { table: extract, key, merges: false }, corrections, sorted, {
        all: all!,
        found,
      })
    : sorted
  const { sql, ...corrected } = judged
  if (!sql) return corrected
  const file = ownFile(context, `corrected/${extract}`, '.parquet')
  const rows = `SELECT * EXCLUDE (_nf_id) FROM (${sql}) ORDER BY ${listOf(key)}`
  await atomicWrite(join(root, file), temporary => duck.copyParquet(rows, temporary))
  return { ...corrected, part: await partOf(root, file) }
}

/**
 * SQL of the keys of an image's rows and of those that were gone, with their night's number, whether they are good rows, the id
 * of those that are not, and whether these stand alone: of them (their key is NULL, or another row's) no later night can
 * tell. Undefined where there are none.
 */
function rowsSql({ root, spec }: RunContext, { extract, key }: Keyed, image: Image): string | undefined {
  const keys = key.map(name => {
    const { type } = columnNamed(image.columns, name)!
    return `${quoteName(name)}::${typeName(type)} AS ${quoteName(name)}`
  })
  const isNull = key.map(name => `${quoteName(name)} IS NULL`)
  const rows = image.nights.flatMap((night, number) => {
    const { parts, gone = [], out } = night
    const names = night.columns.map(({ name }) => name)
    const left = out ? `file_row_number IN (SELECT row FROM ${filesSql(root, [out])})` : 'false'
    const bad = names.includes(REJECTED) ? `(${REJECTED} IS NOT NULL OR ${left})` : left
    const id =
      bad === 'false' ? 'NULL' : `if(${bad}, ${rowId(spec.job, extract, recordSql(names, '_nf_r'))}, NULL)`
    const from = (table: string, good: string, id: string, alone: string) =>
      `SELECT ${[...keys, `${number} AS _nf_night`, `${good} AS _nf_good`, `${id} AS _nf_id`, `${alone} AS _nf_alone`].join(', ')} FROM ${table} AS _nf_r`
    const alone = key.length === 0 ? 'true' : [left, ...isNull].join(' OR ')
    return [
      ...(parts.length > 0 ? [from(allRows(root, night), `NOT ${bad}`, id, alone)] : []),
      ...(gone.length > 0 ? [from(filesSql(root, gone), 'false', 'NULL', 'false')] : []),
    ]
  })
  return rows.length > 0 ? `(${rows.join(' UNION ALL ')})` : undefined
}

/** Which of these are rows of an image's nights that the extract's own type and key rules rejected. */
export async function rejectedAsRead(
  context: RunContext,
  read: Keyed,
  image: Image,
  ids: string[],
): Promise<string[]> {
  const all = rowsSql(context, read, image)
  if (all === undefined || ids.length === 0) return []
  const rows = await context.duck.rows(
    `SELECT DISTINCT _nf_id AS id FROM ${all} WHERE _nf_id IN (${ids.map(quote).join(', ')})`,
  )
  return rows.map(({ id }) => String(id))
}

/** SQL of the rejected rows that are the latest known of their key (`_nf_id`), and of the last night that has them. */
function foundSql(all: string, key: string[]): string {
  const keys = listOf(key)
  return `SELECT _nf_id, max(_nf_night) AS _nf_night FROM (
      SELECT unnest(_nf_ids) AS _nf_id, _nf_night FROM (
        SELECT list(_nf_id) FILTER (_nf_id IS NOT NULL) AS _nf_ids, count(*) AS _nf_n, _nf_night
        FROM ${all} WHERE NOT _nf_alone GROUP BY ${keys}, _nf_night
        QUALIFY _nf_night = max(_nf_night) OVER (PARTITION BY ${keys})) WHERE len(_nf_ids) = _nf_n
      UNION ALL SELECT _nf_id, _nf_night FROM ${all} WHERE _nf_alone)
    GROUP BY _nf_id`
}
