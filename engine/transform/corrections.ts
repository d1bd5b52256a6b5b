import { join } from 'node:path'
import { REJECTED } from '../batch/builder.ts'
import type { Part } from '../contracts/staging.ts'
import { ownFile, type RunContext } from '../runtime/context.ts'
import type { Corrected, Correction } from '../runtime/correction.ts'
import { quote, quoteName } from '../sql/duckdb.ts'
import type { Image } from '../staging/image.ts'
import { filesSql } from '../staging/read.ts'
import { atomicWrite } from '../staging/store.ts'
import { type Column, columnNamed, typeName } from '../types/logical.ts'

/** SQL of a rejected row's id: the same in every run that finds the same values in the same table. */
export function rowId(job: string, table: string, record: string): string {
  return `md5(${quote(`${job}/${table}/`)} || ${record})`
}

/**
 * Splits corrections by whether their rows are `found` and their values are of the columns' types. Gives SQL of the rows
 * that take their place (`columns`, and `_nf_id`); undefined where there are none.
 */
export async function sortOut(
  { duck }: Pick<RunContext, 'duck'>,
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
  const casts = columns.map(({ type }, index) => `TRY_CAST(c${index}::VARCHAR AS ${typeName(type)})`)
  const judged = await duck.rows(
    `SELECT _nf_id AS id, _nf_id IN (SELECT _nf_id FROM (${found})) AS found,
       concat_ws('; ', ${columns.map(({ name, type }, i) => `if(c${i} IS NOT NULL AND ${casts[i]} IS NULL, ${quote(`${name}: `)} || c${i} || ${quote(` is no ${typeName(type)}`)}, NULL)`).join(', ')}) AS reason
     FROM ${given}`,
  )
  const stale = judged.filter(row => !row.found).map(row => String(row.id))
  const refused = judged
    .filter(row => row.found && row.reason !== '')
    .map(row => ({ id: String(row.id), reason: String(row.reason) }))
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
): Promise<Corrected & { file?: string }> {
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
  const rows = image.nights.flatMap((night, number) => {
    const bad = columnNamed(night.columns, REJECTED)
    const id = bad
      ? `if(${REJECTED} IS NULL, NULL, ${rowId(
          spec.job,
          extract,
          recordSql(
            night.columns.map(({ name }) => name),
            'r',
          ),
        )})`
      : 'NULL'
    const from = (parts: Part[], value: string) =>
      parts.length > 0
        ? [`SELECT ${keys}, ${number} AS _nf_night, ${value} AS _nf_id FROM ${filesSql(root, parts)} AS r`]
        : []
    return [...from(night.parts, id), ...from(night.gone ?? [], 'NULL')]
  })
  const latest = `SELECT any_value(_nf_id) AS _nf_id FROM (
      SELECT * FROM (${rows.join(' UNION ALL ')}) QUALIFY _nf_night = max(_nf_night) OVER (PARTITION BY ${list}))
    GROUP BY ${list} HAVING count(*) = count(_nf_id)`
  const { sql, ...corrected } = await sortOut(
    context,
    corrections,
    rows.length > 0 ? latest : 'SELECT NULL AS _nf_id',
    columns,
  )
  if (!sql) return corrected
  const file = ownFile(context, `corrected/${extract}`, '.parquet')
  await atomicWrite(join(root, file), temporary =>
    duck.copyParquet(`SELECT * EXCLUDE (_nf_id) FROM (${sql}) ORDER BY ${list}`, temporary),
  )
  return { ...corrected, file }
}

/** SQL of a table with its corrected rows, which come in place of any other of their key. */
export function withCorrections(table: string, root: string, file: string, key: string[]): string {
  const corrected = `read_parquet(${quote(join(root, file))})`
  const keys = key.map(quoteName).join(', ')
  return `SELECT * FROM (${table}) WHERE (${keys}) NOT IN (SELECT (${keys}) FROM ${corrected})
    UNION ALL BY NAME SELECT * FROM ${corrected}`
}

/** SQL of a row's values as the quarantine keeps them: JSON of their texts, since a JSON number would round some. */
export function recordSql(columns: string[], row: string): string {
  return `to_json({${columns.map(name => `${quote(name)}: ${row}.${quoteName(name)}::VARCHAR`).join(', ')}})::VARCHAR`
}
