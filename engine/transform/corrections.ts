import type { RunContext } from '../runtime/context.ts'
import type { Corrected, Correction } from '../runtime/correction.ts'
import { quote, quoteName } from '../sql/duckdb.ts'
import { type Image, imageSql } from '../staging/image.ts'
import { filesSql } from '../staging/read.ts'
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
