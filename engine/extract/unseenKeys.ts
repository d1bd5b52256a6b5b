import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { REJECTED } from '../batch/builder.ts'
import type { Part } from '../contracts/staging.ts'
import type { PlannedRead } from '../plan/plan.ts'
import { ownFile, type RunContext } from '../runtime/context.ts'
import { quoteName } from '../sql/duckdb.ts'
import { imageSql, withNight } from '../staging/image.ts'
import { copyFile } from '../staging/parts.ts'
import { filesSql } from '../staging/read.ts'
import { type Column, columnNamed } from '../types/logical.ts'

/** The read of all keys that goes with one of what changed, with the column that says so; undefined where that needs none. */
export function keysRead(read: PlannedRead): PlannedRead | undefined {
  if (!read.since || !read.incremental?.findDeletes) return undefined
  const { since, ...all } = read
  const { column } = read.incremental
  const keys = keysOf(read)
  const marked = keys.some(({ name }) => name === column) ? [] : [columnNamed(read.columns, column)!]
  return { ...all, extract: `${read.extract}.keys`, columns: [...keys, ...marked] }
}

/** What a scan of all keys tells of the rows that this night, and those before it, have read. */
export interface Scanned {
  /** Keys of rows that earlier nights read and the source has no more. */
  gone: Part[]
  /** Rows that no night has read, and the least value of their incremental column; null where it is not known. */
  unseen?: { rows: number; from: string | null }
}

/** Compares `scan`, which is all that the source has, with what was read of it, the night's `parts` of the same moment included. */
export async function compareKeys(
  context: RunContext,
  read: PlannedRead,
  parts: Part[],
  scan: Part[],
): Promise<Scanned> {
  const { root, run } = context
  const { key, unique } = read
  // Rows that were rejected are there all the same.
  const held = (columns: Column[]) => columns.filter(({ name }) => name !== REJECTED)
  const { nights, ...image } = withNight(read.base!.image, keysOf(read), {
    run,
    columns: read.columns,
    parts,
  })
  const known = imageSql(
    root,
    { ...image, nights: nights.map(night => ({ ...night, columns: held(night.columns) })) },
    { key, unique },
  )
  const keys = key.map(quoteName)
  const mark = quoteName(read.incremental!.column)
  const some = (rows: string, more = '') =>
    `SELECT ${keys.join(', ')}${more}, true AS _nf_here FROM ${rows} WHERE ${keys.map(name => `${name} IS NOT NULL`).join(' AND ')}`
  const none = `SELECT *, NULL AS ${mark} FROM (${known}) LIMIT 0`
  const scanned = scan.length > 0 ? filesSql(root, scan) : `(${none})`
  const there = some(scanned, unique ? `, ${mark} AS _nf_mark` : `, min(${mark}) AS _nf_mark`)
  const file = (name: string) => ownFile(context, `raw/${read.extract}.gone/${name}`, '.parquet')
  const differing = await copyFile(
    context,
    `SELECT ${keys.map(name => `coalesce(s.${name}, k.${name}) AS ${name}`).join(', ')}, k._nf_here IS NULL AS _nf_unseen, s._nf_mark
     FROM (${there}${unique ? '' : ' GROUP BY ALL'}) AS s FULL JOIN (${some(`(${known})`)}) AS k ON ${keys.map(name => `s.${name} = k.${name}`).join(' AND ')}
     WHERE s._nf_here IS NULL OR k._nf_here IS NULL`,
    file('differing'),
  )
  const gone = await copyFile(
    context,
    `SELECT ${keys.join(', ')} FROM ${filesSql(root, [differing])} WHERE NOT _nf_unseen`,
    file('keys'),
  )
  const rows = differing.rows - gone.rows
  const [least] =
    rows > 0
      ? await context.duck.rows(
          `SELECT min(_nf_mark)::VARCHAR AS value FROM ${filesSql(root, [differing])} WHERE _nf_unseen`,
        )
      : []
  for (const { file } of [differing, ...scan]) rmSync(join(root, file))
  return {
    gone: gone.rows > 0 ? [gone] : [],
    ...(least && { unseen: { rows, from: least.value === null ? null : String(least.value) } }),
  }
}

const keysOf = ({ key, columns }: PlannedRead): Column[] => key.map(name => columnNamed(columns, name)!)
