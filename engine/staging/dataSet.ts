import type { Part, StagedFile } from '../contracts/staging.ts'
import { REJECTS } from '../sql/words.ts'
import { filesSql } from './read.ts'

/** Rows in Parquet files below the staging root. A row's number in the data set counts through all files. */
export interface DataSet {
  parts: Part[]
  /** Parquet file of what checks found of them: row number, check, severity, reason and record. */
  findings?: string
  /** The file of findings, and that of an extract's corrections, as they were written; absent in what an earlier version wrote. */
  sideFiles?: Part[]
  /** The files of which these are other names, where an earlier run wrote them: see {@link originOf}. */
  origin?: string[]
  /** The files are such as targets load as they lie. */
  plain?: true
  /** The columns of which no two rows have the same values, where they are loaded as they lie. */
  unique?: string[]
  /** SQL of values that rows have in place of those in the files: `… AS name`. */
  values?: string
  /** SQL of the columns, where rows are seen with others than the files have. */
  view?: string
}

/** What tells a data set's files from all others that were ever written: those of the same origin hold the same rows, in the same order. */
export const originOf = ({ origin, parts }: Pick<DataSet, 'origin' | 'parts'>): string[] =>
  origin ?? parts.map(({ file, checksum }) => `${file} ${checksum}`)

/** The files that lie beside those of a data set. */
export const filesBeside = ({
  findings,
  corrections,
  sideFiles,
}: Pick<DataSet, 'findings' | 'sideFiles'> & { corrections?: string }): StagedFile[] =>
  sideFiles ?? [findings, corrections].flatMap(file => (file === undefined ? [] : [{ file }]))

/** The files that a task's output refers to, wherever in it they stand. */
export function filesIn(output: unknown): StagedFile[] {
  if (typeof output !== 'object' || output === null) return []
  const { file, bytes, findings } = output as Partial<Part & DataSet>
  if (typeof file === 'string' && typeof bytes === 'number') return [output as Part]
  const own = typeof findings === 'string' ? [{ file: findings }] : []
  return [...own, ...Object.values(output).flatMap(filesIn)]
}

/** SQL of all rows of a data set, their numbers as `file_row_number`. */
export function allRows(root: string, { parts, view, values }: DataSet): string {
  if (view !== undefined)
    return `(SELECT ${view}, file_row_number FROM ${allRows(root, { parts, ...(values && { values }) })})`
  if (values !== undefined) return `(SELECT * REPLACE (${values}) FROM ${allRows(root, { parts })})`
  const files = filesSql(root, parts, { rowNumber: true })
  if (parts.length === 1) return files
  let rows = 0
  const starts: number[] = []
  for (const part of parts) {
    starts.push(rows)
    rows += part.rows
  }
  const start = `[${starts.join(', ')}]::BIGINT[]`
  return `(SELECT * REPLACE (file_row_number + (${start})[file_index::BIGINT + 1] AS file_row_number) FROM ${files})`
}

/** SQL of a data set's rows without those its findings reject; `numbered` adds `file_row_number`. */
export function goodRows(root: string, set: DataSet, numbered = false): string {
  if (!numbered && !set.findings && set.view === undefined && set.values === undefined)
    return `SELECT * FROM ${filesSql(root, set.parts)}`
  const bad = set.findings ? ` WHERE file_row_number NOT IN (${rejectedRows(root, set.findings)})` : ''
  return `SELECT *${numbered ? '' : ' EXCLUDE (file_row_number)'} FROM ${allRows(root, set)}${bad}`
}

/** SQL of the numbers of the rows that findings reject. */
export function rejectedRows(root: string, findings: string): string {
  return `SELECT row FROM ${filesSql(root, [{ file: findings }])} WHERE ${REJECTS}`
}
