import { join } from 'node:path'
import { REJECTED } from '../../engine/batch/builder.ts'
import type { Category } from '../../engine/errors.ts'
import { rowId } from '../../engine/quality/quarantine.ts'
import type { RunContext } from '../../engine/runtime/context.ts'
import { quote } from '../../engine/sql/duckdb.ts'
import type { Transformed } from '../../engine/transform/transformed.ts'
import type { ErrorRecord } from '../metadata/errorRecords.ts'
import type { Metadata } from '../metadata/metadata.ts'

/** Error records that one run adds at most: the quarantine's files hold every row. */
const MAX_RECORDS = 1000

type NewRecord = Parameters<Metadata['errors']['add']>[0][number]

/**
 * Keeps the rows that a run rejected as error records, so that they can be corrected: one a row, however many checks
 * refused it and however many runs find it again. Gives how many there are, and how many were kept.
 */
export async function keepErrors(
  context: RunContext,
  metadata: Metadata,
  tables: Transformed[],
): Promise<{ rejected: number; kept: number }> {
  const records: NewRecord[] = []
  let rejected = 0
  for (const table of tables) {
    rejected += table.rejected
    if (table.rejected > 0 && records.length < MAX_RECORDS)
      records.push(...(await recordsOf(context, table, MAX_RECORDS - records.length)))
  }
  if (records.length > 0) await metadata.errors.add(records)
  return { rejected, kept: records.length }
}

async function recordsOf({ duck, spec, run, root }: RunContext, table: Transformed, limit: number) {
  const names = table.columns.map(({ name }) => name)
  const value = (name: string) => `json_extract_string(record, ${quote(`$.${JSON.stringify(name)}`)})`
  const rows = await duck.rows(
    `SELECT ${rowId(spec.job, table.name, 'record')} AS id, any_value(category) AS category,
       string_agg(DISTINCT check_name, ', ' ORDER BY check_name) AS checks,
       string_agg(DISTINCT reason, '; ' ORDER BY reason) AS reasons,
       ${[...names, REJECTED].map((name, index) => `any_value(${value(name)}) AS v${index}`).join(', ')}
     FROM read_parquet(${quote(join(root, table.findings!))}) WHERE severity = 'reject'
     GROUP BY record ORDER BY min(row) LIMIT ${limit}`,
  )
  return rows.map((row): NewRecord => {
    const text = (index: number) => (row[`v${index}`] == null ? null : String(row[`v${index}`]))
    const record = Object.fromEntries(names.map((name, index) => [name, text(index)]))
    // What a type could not hold stands beside the row as the source gave it.
    const raw = JSON.parse(text(names.length) ?? '[]') as { column: string; value: string }[]
    for (const { column, value } of raw) record[column] = value
    return {
      id: String(row.id),
      run,
      job: spec.job,
      model: table.name,
      check_name: String(row.checks),
      severity: 'reject',
      category: String(row.category) as Category,
      code: raw.length > 0 ? 'VALUE_INEXACT' : null,
      reason: String(row.reasons),
      record,
    }
  })
}

/** Which of the job's queued records without a correction are rejected as before. */
export async function stillRejected(
  { duck, spec, root }: RunContext,
  queued: ErrorRecord[],
  tables: Transformed[],
): Promise<Set<string>> {
  const still = new Set<string>()
  for (const { name, findings } of tables) {
    const own = queued.filter(({ model }) => model === name)
    if (!findings || own.length === 0) continue
    const id = rowId(spec.job, name, 'record')
    const rows = await duck.rows(
      `SELECT DISTINCT ${id} AS id FROM read_parquet(${quote(join(root, findings))})
       WHERE severity = 'reject' AND ${id} IN (${own.map(each => quote(each.id)).join(', ')})`,
    )
    for (const row of rows) still.add(String(row.id))
  }
  return still
}

/** What became of the records that were queued, once the run is loaded. Repeated, it changes nothing. */
export async function settleErrors(
  metadata: Metadata,
  tables: Transformed[],
  queued: ErrorRecord[],
  still: Set<string>,
  note: (text: string) => void,
): Promise<void> {
  const { errors } = metadata
  for (const { name, corrected } of tables) {
    if (!corrected) continue
    for (const id of corrected.applied) await errors.move(id, 'queued', 'reprocessed')
    for (const { id, reason } of corrected.refused) {
      await errors.move(id, 'queued', 'open')
      note(`${name}: the correction of ${id} is refused: ${reason}`)
    }
    // The source changed the row or took it away: what it is now was judged by itself.
    for (const id of corrected.stale)
      if (!(await errors.move(id, 'queued', 'discarded'))) await errors.move(id, 'reprocessed', 'discarded')
  }
  for (const { id, correction } of queued)
    if (!correction) await errors.move(id, 'queued', still.has(id) ? 'open' : 'reprocessed')
}
