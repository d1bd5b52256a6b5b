import type { Part } from '../contracts/staging.ts'
import type { TaskName } from '../contracts/taskName.ts'
import type { Category } from '../errors.ts'
import { ownFile, type RunContext } from '../runtime/context.ts'
import { type Duck, quote, quoteName } from '../sql/duckdb.ts'
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

/** Findings of one table, until they are written. */
const MARKED = '_nf_marked'
/** Memory for a finding with the record of its row, in bytes: as many are joined and sorted at a time as there is for. */
const FINDING_COST = 4096
/** Files whose lines do not fit into memory together are read and written a few of them at a time. */
const SMALL = { groupRows: 4096 }
/** Rows of a table that are not parted. */
const BLOCK = 16_384

/** Path of a task's findings below the run's folder: several may judge one table, as an extract that is checked as it is. */
export const quarantineOf = (task: TaskName): string => `quarantine/${task}`

/**
 * Writes findings, with the whole record of each, to the task's file of the quarantine, and counts them; undefined where
 * there are none. `earlier`: a file of findings of the same rows, which go into it too. `checks` are all that were made.
 */
export async function quarantine(
  context: RunContext,
  task: TaskName,
  { name, rows, columns }: Judged,
  found: Findings[],
  checks: string[],
  earlier?: string,
): Promise<Found | undefined> {
  const { duck, root, run, budget } = context
  if (found.length === 0) return undefined
  const lines = found.map(({ sql, category }) => `SELECT *, ${quote(category)} AS category FROM (${sql})`)
  await duck.run(`CREATE OR REPLACE TEMP TABLE ${MARKED} AS ${lines.join(' UNION ALL ')}`)
  if ((await duck.rows(`SELECT 1 FROM ${MARKED} LIMIT 1`)).length === 0) return undefined
  const before = earlier && filesSql(root, [{ file: earlier }])
  const records = ({ from, to }: Range) =>
    `SELECT * FROM (
      SELECT _nf_f.row, ${quote(name)} AS model, _nf_f.check_name, _nf_f.severity, _nf_f.category, _nf_f.reason,
        ${recordSql(columns, '_nf_m')} AS record, ${quote(run)} AS run
      FROM ${MARKED} AS _nf_f JOIN ${rows} AS _nf_m ON _nf_m.file_row_number = _nf_f.row
      WHERE _nf_f.row >= ${from} AND _nf_f.row < ${to} AND _nf_m.file_row_number >= ${from} AND _nf_m.file_row_number < ${to}
      ${before ? `UNION ALL BY NAME SELECT * FROM ${before} WHERE row >= ${from} AND row < ${to}` : ''})
    ORDER BY row, check_name, reason`
  const findings = ownFile(context, quarantineOf(task), '.parquet')
  const ranges = await rangesOf(
    duck,
    `SELECT row FROM ${MARKED}${before ? ` UNION ALL SELECT row FROM ${before}` : ''}`,
    budget.sql / FINDING_COST,
  )
  const written =
    ranges.length === 1
      ? await copyFile(context, records(ranges[0]!), findings)
      : await copyFile(context, await inPieces(context, task, ranges.map(records)), findings, SMALL)
  await duck.run(`DROP TABLE ${MARKED}`)
  return countFound(context, name, written, checks)
}

/** Runs queries one after another, each into a file beside the quarantine; SQL of the rows of all, in their order. */
async function inPieces(context: RunContext, task: TaskName, queries: string[]): Promise<string> {
  const pieces: Part[] = []
  for (const [index, sql] of queries.entries())
    pieces.push(
      await copyFile(context, sql, ownFile(context, `findings/${task}/${index}`, '.parquet'), SMALL),
    )
  return `SELECT * FROM ${filesSql(context.root, pieces)}`
}

/** Numbers of rows, the last not included. */
interface Range {
  from: number
  to: number
}

/** Ranges of rows that lie one behind another and have about so many findings each, by SQL of the findings' rows. */
async function rangesOf(duck: Duck, marked: string, together: number): Promise<Range[]> {
  const blocks = await duck.rows(
    `SELECT row // ${BLOCK} AS block, count(*) AS findings FROM (${marked}) GROUP BY block ORDER BY block`,
  )
  const ranges: Range[] = []
  let room = 0
  for (const { block, findings } of blocks) {
    const [from, to] = [Number(block) * BLOCK, (Number(block) + 1) * BLOCK]
    room -= Number(findings)
    if (room < 0 || ranges.length === 0) {
      ranges.push({ from, to })
      room = together - Number(findings)
    } else ranges.at(-1)!.to = to
  }
  return ranges
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
