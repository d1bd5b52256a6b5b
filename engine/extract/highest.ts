import type { Part } from '../contracts/staging.ts'
import { EngineError } from '../errors.ts'
import type { PlannedRead } from '../plan/plan.ts'
import { isFuture, isMoment, momentText } from '../plan/watermark.ts'
import { counted } from '../plural.ts'
import type { RunContext } from '../runtime/context.ts'
import { quote, quoteName } from '../sql/duckdb.ts'
import { filesSql } from '../staging/read.ts'
import { columnNamed, typeName } from '../types/logical.ts'
import type { Progress } from './progress.ts'

/**
 * The watermark after a read: the highest value of the incremental column so far, as DuckDB's text. A moment that is
 * still to come is none: it would hide every change until then. Rows with such a value, or with NULL, are read again
 * each night; they are told, or are an error where the extract says so. `pages`: of a source without a snapshot. What
 * changed since the first of it was asked for may have been read as it was before, so no moment after that is one either.
 */
export async function highest(
  context: RunContext,
  read: PlannedRead,
  parts: Part[],
  pages?: Progress,
): Promise<string | null> {
  if (!read.incremental) return null
  const base = read.base?.value ?? null
  if (parts.length === 0) return base
  const { column, nulls, future } = read.incremental
  const { where, key } = read
  const { type } = columnNamed(read.columns, column)!
  const name = quoteName(column)
  const now = context.clock.now()
  const passed = isMoment(type)
    ? ` FILTER (${name} <= ${quote(momentText(type, pages && pages.begun < now ? pages.begun : now))}::${typeName(type)})`
    : ''
  const earlier = base === null ? '' : `, ${quote(base)}`
  const keys = key.map(part => `${quote(`${part} `)}, coalesce(${quoteName(part)}::VARCHAR, 'NULL')`)
  const [row] = await context.duck.rows(
    `SELECT greatest(max(${name})${passed}${earlier})::VARCHAR AS high, max(${name})::VARCHAR AS last,
       arg_max(concat(${keys.join(", ', ', ")}), ${name}) AS last_key, count(*) - count(${name}) AS nulls
     FROM ${filesSql(context.root, parts)}`,
  )
  const { last, high, last_key } = row as Record<string, string | null>
  const without = Number(row!.nulls)
  const fail = (what: string, hint: string): never => {
    throw new EngineError('DATA_INVALID', `${where}: ${what}`, { hint })
  }
  if (without > 0 && nulls === 'fail')
    fail(
      `${column} is NULL in ${counted(without, 'row')}`,
      `Give them a value at the source, or set incremental: { nulls: read } to read them each night.`,
    )
  if (without > 0)
    context.progress.note(`${where}: read ${counted(without, 'row')} whose ${column} is NULL (nulls: read)`)
  if (last !== null && isFuture(last!, type, now)) {
    const found = `${column} lies in the future: ${last} where ${last_key}`
    if (future === 'fail')
      fail(
        found,
        'Correct it at the source, or set incremental: { future: read } to read such rows each night.',
      )
    context.progress.note(
      `${where}: ${found}; rows from ${high ?? 'the first one'} on are read again next night`,
    )
  }
  if (pages?.isResumed && !isMoment(type)) {
    context.progress.note(
      `${where}: was read at two times, and what changed between them is not known by ${column}: ${base === null ? 'all of it is read again next night' : `the watermark stays ${base}`}`,
    )
    return base
  }
  return high ?? null
}

/**
 * Whether what a read brought ends below the watermark that it began with. It asked for the row of that value, too: the
 * source went back, and what changed there since may lie below.
 */
export async function fallsShort(context: RunContext, read: PlannedRead, parts: Part[]): Promise<boolean> {
  const value = read.base?.value
  if (!read.since || value == null) return false
  if (parts.length === 0) return true
  const { column } = read.since
  const { type } = columnNamed(read.columns, column)!
  const [row] = await context.duck.rows(
    `SELECT coalesce(max(${quoteName(column)}) >= ${quote(value)}::${typeName(type)}, false) AS there
     FROM ${filesSql(context.root, parts)}`,
  )
  return row!.there !== true
}
