import type { Part } from '../contracts/staging.ts'
import type { Category } from '../errors.ts'
import { ownFile, type RunContext } from '../runtime/context.ts'
import { quote, quoteName } from '../sql/duckdb.ts'
import { REJECTS } from '../sql/words.ts'
import { copyFile } from '../staging/parts.ts'
import { filesSql } from '../staging/read.ts'
import { type CheckResult, summarise } from './rowChecks.ts'

/** What was found of a table's rows; each row counts once, however much was found of it. */
export interface Found {
  /** Parquet file, a line a finding: row number, check, severity, reason and record. */
  findings: string
  sideFiles: Part[]
  /** Rows with a finding of any severity. */
  marked: number
  rejected: number
  checks: CheckResult[]
}

/** Where findings come from: the table, its rows in SQL with their numbers as `file_row_number`, their columns. */
export interface Judged {
  name: string
  rows: string
  columns: string[]
}

/** SQL of findings, `(row, check_name, severity, reason)`, and the category of those that reject. */
export interface Findings {
  sql: string
  category: Category
}

/**
 * Writes findings, with the whole record of each, to a file of the quarantine, and counts them; undefined where there
 * are none. `earlier`: a file of findings of the same rows, which go into it too. `checks` are all that were made.
 */
export async function quarantine(
  context: RunContext,
  { name, rows, columns }: Judged,
  found: Findings[],
  checks: string[],
  { earlier, file = name }: { earlier?: string; file?: string } = {},
): Promise<Found | undefined> {
  const { duck, root, run } = context
  if (found.length === 0) return undefined
  const lines = found.map(({ sql, category }) => `SELECT *, ${quote(category)} AS category FROM (${sql})`)
  const all = `(${lines.join(' UNION ALL ')})`
  const [count] = await duck.rows(`SELECT count(*) AS n FROM ${all}`)
  if (count!.n === 0) return undefined
  const records = `SELECT _nf_f.row, ${quote(name)} AS model, _nf_f.check_name, _nf_f.severity, _nf_f.category, _nf_f.reason,
      ${recordSql(columns, '_nf_m')} AS record, ${quote(run)} AS run
    FROM ${all} AS _nf_f JOIN ${rows} AS _nf_m ON _nf_m.file_row_number = _nf_f.row`
  const before = earlier ? ` UNION ALL BY NAME SELECT * FROM ${filesSql(root, [{ file: earlier }])}` : ''
  const findings = ownFile(context, `quarantine/${file}`, '.parquet')
  const sql = `SELECT * FROM (${records}${before}) ORDER BY row, check_name, reason`
  return countFound(context, name, await copyFile(context, sql, findings), checks)
}

/** Counts the findings of a file. */
export async function countFound(
  { duck, root, mask }: RunContext,
  name: string,
  findings: Part,
  checks: string[],
): Promise<Found> {
  const table = filesSql(root, [findings])
  const [counts] = await duck.rows(
    `SELECT count(DISTINCT row) AS marked, count(DISTINCT row) FILTER (${REJECTS}) AS rejected FROM ${table}`,
  )
  return {
    findings: findings.file,
    sideFiles: [findings],
    marked: Number(counts!.marked),
    rejected: Number(counts!.rejected),
    checks: await summarise(duck, name, checks, table, mask),
  }
}

/** SQL of a rejected row's id: the same in every run that finds the same values in the same table. */
export function rowId(job: string, table: string, record: string): string {
  return `md5(${quote(`${job}/${table}/`)} || ${record})`
}

/** SQL of a row's values as the quarantine keeps them: JSON of their texts, since a JSON number would round some. */
export function recordSql(columns: string[], row: string): string {
  return `to_json({${columns.map(name => `${quote(name)}: ${row}.${quoteName(name)}::VARCHAR`).join(', ')}})::VARCHAR`
}
