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

/** The read of all keys that goes with one of what changed; undefined where that needs none. */
export function keysRead(read: PlannedRead): PlannedRead | undefined {
  if (!read.since || !read.incremental?.findDeletes) return undefined
  const { since, ...all } = read
  return { ...all, extract: `${read.extract}.keys`, columns: keysOf(read) }
}

/**
 * The keys of rows that earlier nights read and the source has no more, `scan` being all that it has, of the same
 * moment as the night's `parts`. Says how many rows no night has read: their column was older than a night's mark.
 */
export async function goneKeys(
  context: RunContext,
  read: PlannedRead,
  parts: Part[],
  scan: Part[],
): Promise<Part[]> {
  const { root, run, progress } = context
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
  const some = (rows: string, distinct = '') =>
    `SELECT ${distinct} ${keys.join(', ')}, true AS _nf_here FROM ${rows} WHERE ${keys.map(name => `${name} IS NOT NULL`).join(' AND ')}`
  const none = `SELECT * FROM (${known}) LIMIT 0`
  const scanned = scan.length > 0 ? filesSql(root, scan) : `(${none})`
  const file = (name: string) => ownFile(context, `raw/${read.extract}.gone/${name}`, '.parquet')
  const differing = await copyFile(
    context,
    `SELECT ${keys.map(name => `coalesce(s.${name}, k.${name}) AS ${name}`).join(', ')}, k._nf_here IS NULL AS _nf_unseen
     FROM (${some(scanned, unique ? '' : 'DISTINCT')}) AS s FULL JOIN (${some(`(${known})`)}) AS k ON ${keys.map(name => `s.${name} = k.${name}`).join(' AND ')}
     WHERE s._nf_here IS NULL OR k._nf_here IS NULL`,
    file('differing'),
  )
  const gone = await copyFile(
    context,
    `SELECT ${keys.join(', ')} FROM ${filesSql(root, [differing])} WHERE NOT _nf_unseen`,
    file('keys'),
  )
  const unseen = differing.rows - gone.rows
  if (unseen > 0)
    progress.note(
      `${read.where}: ${unseen} rows are there that no night has read, since ${read.incremental!.column} of theirs is older than ${read.since!.value}; a larger lag finds such rows`,
    )
  for (const { file } of [differing, ...scan]) rmSync(join(root, file))
  return gone.rows > 0 ? [gone] : []
}

const keysOf = ({ key, columns }: PlannedRead): Column[] => key.map(name => columnNamed(columns, name)!)
