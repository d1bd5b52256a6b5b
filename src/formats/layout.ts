import { statSync } from 'node:fs'
import { quote } from '../../engine/sql/duckdb.ts'
import { csvSql } from '../../engine/sql/files.ts'

/** How the rows of a spool are written, and where each column's text is in them. */
export interface Layout {
  /** Byte between our own fields and the row, and between the row's fields. */
  separator: number
  /** SQL of a spool's file: columns `_file`, `_line`, `c0`, `c1` … */
  from(path: string): string
  /** SQL of a column's text; undefined where the file has no such column. */
  text(column: string): string | undefined
  /** SQL of what is wrong with the row as a whole, as text, and of its raw text. */
  rowFault?: { reason: string; raw: string }
  /** SQL of whether a text stands for no value of any type, and is for the quarantine: an error of a spreadsheet's. */
  isError?(text: string): string
  /** Whether an empty text is a value: see `field.ts`. */
  emptyIsText?: boolean
  /** Equal for layouts whose rows can share a file. */
  id: string
}

/**
 * A file of a spool as a table of texts. Everything is said, so that nothing is guessed from the data. `nulls`: words
 * that stand for a missing value where they are not quoted. The reader's buffer is as large as the file: else it takes
 * sixteen times the longest line.
 */
export function spoolSql(
  path: string,
  fields: number,
  dialect: { delimiter: string; quote: string; escape: string },
  nulls: string[] = [],
): string {
  const size = statSync(path).size + 1
  const texts = Array.from({ length: fields }, (_, index) => `'c${index}': 'VARCHAR'`)
  const columns = ["'_file': 'INTEGER'", "'_line': 'BIGINT'", ...texts].join(', ')
  return csvSql(path, [
    'header = false',
    `delim = ${quote(dialect.delimiter)}`,
    `quote = ${quote(dialect.quote)}`,
    `escape = ${quote(dialect.escape)}`,
    `nullstr = [${['', ...nulls].map(quote).join(', ')}]`,
    'allow_quoted_nulls = false',
    "new_line = '\\n'",
    'strict_mode = true',
    `max_line_size = ${size}`,
    `buffer_size = ${size}`,
    `columns = {${columns}}`,
  ])
}

/** Byte that no text holds: between the fields of rows that have no delimiter of their own. */
export const UNIT = 0x1f
export const unitDialect = { delimiter: '\x1f', quote: '', escape: '' }
