import { ownValue } from '../ownValue.ts'
import type { RunContext } from '../runtime/context.ts'
import type { Corrected, Correction } from '../runtime/correction.ts'
import { quote, quoteName } from '../sql/duckdb.ts'
import { type Image, imageSql } from '../staging/image.ts'
import { filesSql } from '../staging/read.ts'
import { seenSql, seenType } from '../types/duckType.ts'
import { type Column, typeName } from '../types/logical.ts'

/** Corrections, and SQL of the rows of those that are applied (their columns, and `_nf_id`); undefined where there are none. */
export type Sorted = Corrected & { sql?: string }

/**
 * Splits corrections by whether their rows are `found` and their values are of the columns' types.
 */
export async function sortOut(
  { duck, mask }: Pick<RunContext, 'duck' | 'mask'>,
  table: string,
  corrections: Correction[],
  found: string,
  columns: Column[],
): Promise<Sorted> {
  const text = (value: string | null | undefined) => (value == null ? 'NULL' : quote(value))
  const lines = corrections.map(
    ({ id, values }) =>
      `(${[quote(id), ...columns.map(({ name }) => text(ownValue(values, name)))].join(', ')})`,
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

/** SQL of a key's columns. */
export const listOf = (key: string[]) => key.map(quoteName).join(', ')

/**
 * Corrections whose key is a later row's are stale; refused are those whose key is none, or of another row of their night.
 * One that holds does not give way to one that is new, nor both of two that hold to each other. `merges`: rows of the table that are
 * the same become one. `all`: the table's keys, with their night's number, and whether their rows are good; `found`: that number by
 * the ids of rejected rows.
 */
export async function judgeKeys(
  { duck, mask }: Pick<RunContext, 'duck' | 'mask'>,
  { table, key, merges }: { table: string; key: string[]; merges: boolean },
  corrections: Correction[],
  { refused, stale, sql }: Sorted,
  { all, found }: { all: string; found: string },
): Promise<Sorted> {
  const keys = listOf(key)
  const same = key.map(name => `o.${quoteName(name)} = g.${quoteName(name)}`).join(' AND ')
  const isAny = (among: string, which: string) =>
    `EXISTS (SELECT 1 FROM ${among} AS o WHERE ${same} AND ${which})`
  const later = 'o._nf_night > g._nf_night'
  const beside = 'o._nf_night = g._nf_night'
  const held = corrections.flatMap(({ id, held }) => (held ? [quote(id)] : []))
  const other = 'o._nf_same <> g._nf_same AND ((o._nf_held AND o._nf_same < g._nf_same) OR NOT g._nf_held)'
  const judged = await duck.rows(
    `WITH given AS MATERIALIZED (
         SELECT ${keys}, _nf_id, _nf_night, list_contains([${held.join(', ')}]::VARCHAR[], _nf_id) AS _nf_held,
           ${merges ? firstOfEqual(corrections) : '_nf_id'} AS _nf_same
         FROM (${sql}) JOIN (${found}) USING (_nf_id)),
       known AS MATERIALIZED (SELECT * FROM ${all} SEMI JOIN given USING (${keys})),
       judged AS (SELECT *, ${isAny('known', `${beside} AND o._nf_good`)} AS taken,
         ${isAny('given', `${beside} AND ${other}`)} AS twice FROM given AS g)
     SELECT _nf_id AS id, taken, twice,
       ${isAny('known', later)} OR ${isAny('judged', `${later} AND NOT o.taken AND NOT o.twice`)} AS stale
     FROM judged AS g`,
  )
  const reasonOf = (values: Correction['values'], { taken, twice }: Record<string, unknown>) => {
    const none = key.filter(name => ownValue(values, name) == null)
    if (none.length > 0) return `${none.join(', ')} is NULL: a row needs its key`
    const is = `${key.map(name => `${name} = ${values[name]}`).join(', ')} is the key of`
    if (taken) return `${is} a row that came with it: give it another, or discard it`
    return twice ? `${is} another correction, too: give one of them another, or discard it` : undefined
  }
  const result: Sorted = { applied: [], refused: [...refused], stale: [...stale] }
  for (const each of judged) {
    const { id, values } = corrections.find(({ id }) => id === each.id)!
    const reason = reasonOf(values, each)
    if (each.stale) result.stale.push(id)
    else if (reason) result.refused.push({ id, reason: mask.about(mask.columnsOf(table), values, reason) })
    else result.applied.push(id)
  }
  if (result.applied.length > 0)
    result.sql = `SELECT * FROM (${sql}) WHERE _nf_id IN (${result.applied.map(quote).join(', ')})`
  return result
}

/** SQL of the id of the first correction that makes the very same row: these are one row. */
function firstOfEqual(corrections: Correction[]): string {
  const firsts = new Map<string, string>()
  const again = corrections.flatMap(({ id, values }) => {
    const row = JSON.stringify(Object.entries(values).sort(([one], [next]) => (one < next ? -1 : 1)))
    const first = firsts.get(row)
    if (first === undefined) firsts.set(row, id)
    return first === undefined ? [] : [`${quote(id)}: ${quote(first)}`]
  })
  return again.length === 0 ? '_nf_id' : `coalesce(MAP {${again.join(', ')}}[_nf_id], _nf_id)`
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
