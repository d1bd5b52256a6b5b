import { join } from 'node:path'
import { REJECTED } from '../batch/builder.ts'
import type { Part } from '../contracts/staging.ts'
import { recordSql, rowId } from '../quality/quarantine.ts'
import { ownFile, type RunContext } from '../runtime/context.ts'
import type { Corrected, Correction } from '../runtime/correction.ts'
import { quote, quoteName } from '../sql/duckdb.ts'
import { allRows } from '../staging/dataSet.ts'
import { type Image, imageSql } from '../staging/image.ts'
import { filesSql } from '../staging/read.ts'
import { atomicWrite, partOf } from '../staging/store.ts'
import { seenSql, seenType } from '../types/duckType.ts'
import { type Column, typeName } from '../types/logical.ts'

/**
 * Splits corrections by whether their rows are `found` and their values are of the columns' types. Gives SQL of the rows
 * that take their place (`columns`, and `_nf_id`); undefined where there are none.
 */
export async function sortOut(
  { duck, mask }: Pick<RunContext, 'duck' | 'mask'>,
  table: string,
  corrections: Correction[],
  found: string,
  columns: Column[],
): Promise<Corrected & { sql?: string }> {
  const text = (value: string | null | undefined) => (value == null ? 'NULL' : quote(value))
  const lines = corrections.map(
    ({ id, values }) => `(${[quote(id), ...columns.map(({ name }) => text(values[name]))].join(', ')})`,
  )
  const names = columns.map((_, index) => `c${index}`)
  const given = `(VALUES ${lines.join(', ')}) AS given(_nf_id, ${names.join(', ')})`
  const casts = columns.map((column, index) => {
    const text = `c${index}::VARCHAR`
    if (column.written) return `CASE WHEN TRY(${seenSql(column, text)}) IS NOT NULL THEN ${text} END`
    const cast = `TRY_CAST(${text} AS ${seenType(column)})`
    return column.duck ? `TRY_CAST(${cast} AS ${typeName(column.type)})` : cast
  })
  const judged = await duck.rows(
    `SELECT _nf_id AS id, _nf_id IN (SELECT _nf_id FROM (${found})) AS found,
       concat_ws('; ', ${columns.map((column, i) => `if(c${i} IS NOT NULL AND ${casts[i]} IS NULL, ${quote(`${column.name}: `)} || c${i} || ${quote(` is no ${seenType(column)}`)}, NULL)`).join(', ')}) AS reason
     FROM ${given}`,
  )
  const stale = judged.filter(row => !row.found).map(row => String(row.id))
  const refused = judged
    .filter(row => row.found && row.reason !== '')
    .map(row => {
      const { values } = corrections.find(({ id }) => id === row.id)!
      return { id: String(row.id), reason: mask.about(mask.columnsOf(table), values, String(row.reason)) }
    })
  const applied = judged.filter(row => row.found && row.reason === '').map(row => String(row.id))
  if (applied.length === 0) return { applied, refused, stale }
  const values = columns.map(({ name }, index) => `${casts[index]} AS ${quoteName(name)}`)
  const sql = `SELECT ${values.join(', ')}, _nf_id FROM ${given} WHERE _nf_id IN (${applied.map(quote).join(', ')})`
  return { applied, refused, stale, sql }
}

/**
 * Corrects what an extract's own type rules rejected. A row takes the place of a rejected one while that is the latest
 * known of its key. Gives the file of such rows.
 */
export async function correctExtract(
  context: RunContext,
  { extract, key }: { extract: string; key: string[] },
  image: Image,
  corrections: Correction[],
): Promise<Corrected & { part?: Part }> {
  const { root, spec, duck } = context
  if (key.length === 0)
    return {
      applied: [],
      stale: [],
      refused: corrections.map(({ id }) => ({ id, reason: `${extract} has no key: correct the source` })),
    }
  const columns = image.columns.filter(({ name }) => name !== REJECTED)
  const keys = key.map(name => `${quoteName(name)}::VARCHAR AS ${quoteName(name)}`).join(', ')
  const list = key.map(quoteName).join(', ')
  // Of rows that stand alone (their key is NULL, or another row's) no later night can tell.
  const rows = image.nights.flatMap((night, number) => {
    const { parts, gone = [], out } = night
    const names = night.columns.map(({ name }) => name)
    const alone = out ? `file_row_number IN (SELECT row FROM ${filesSql(root, [out])})` : 'false'
    const bad = names.includes(REJECTED) ? `${REJECTED} IS NOT NULL OR ${alone}` : alone
    const id =
      bad === 'false' ? 'NULL' : `if(${bad}, ${rowId(spec.job, extract, recordSql(names, '_nf_r'))}, NULL)`
    const from = (table: string, alone: string, id: string) =>
      `SELECT ${keys}, ${number} AS _nf_night, ${alone} AS _nf_alone, ${id} AS _nf_id FROM ${table} AS _nf_r`
    return [
      ...(parts.length > 0 ? [from(allRows(root, night), alone, id)] : []),
      ...(gone.length > 0 ? [from(filesSql(root, gone), 'false', 'NULL')] : []),
    ]
  })
  const all = `(${rows.join(' UNION ALL ')})`
  const latest = `SELECT any_value(_nf_id) AS _nf_id FROM (
      SELECT * FROM ${all} WHERE NOT _nf_alone QUALIFY _nf_night = max(_nf_night) OVER (PARTITION BY ${list}))
    GROUP BY ${list} HAVING count(*) = count(_nf_id)
    UNION ALL SELECT _nf_id FROM ${all} WHERE _nf_alone`
  const { sql, ...corrected } = await sortOut(
    context,
    extract,
    corrections,
    rows.length > 0 ? latest : 'SELECT NULL AS _nf_id',
    columns,
  )
  if (!sql) return corrected
  const file = ownFile(context, `corrected/${extract}`, '.parquet')
  await atomicWrite(join(root, file), temporary =>
    duck.copyParquet(`SELECT * EXCLUDE (_nf_id) FROM (${sql}) ORDER BY ${list}`, temporary),
  )
  return { ...corrected, part: await partOf(root, file) }
}

/** SQL of an extract's table as models see it: the latest known rows, and corrected ones. */
export function extractSql(
  root: string,
  image: Image,
  read: Parameters<typeof imageSql>[2],
  corrections?: string,
): string {
  const table = imageSql(root, image, read)
  return corrections === undefined ? table : withCorrections(table, root, corrections, read.key)
}

/** SQL of a table with its corrected rows, which come in place of any other of their key. */
function withCorrections(table: string, root: string, file: string, key: string[]): string {
  const corrected = filesSql(root, [{ file }])
  const keys = key.map(quoteName).join(', ')
  return `SELECT * FROM (${table}) WHERE (${keys}) NOT IN (SELECT (${keys}) FROM ${corrected})
    UNION ALL BY NAME SELECT * FROM ${corrected}`
}
