import { readFileSync } from 'node:fs'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Enrichment } from '../contracts/enrichment.ts'
import type { Part } from '../contracts/staging.ts'
import { EngineError } from '../errors.ts'
import type { RunContext } from '../runtime/context.ts'
import { quote, quoteName } from '../sql/duckdb.ts'
import { filesSql } from '../staging/read.ts'
import type { Column } from '../types/logical.ts'
import type { EnrichFailure } from './enrichFile.ts'

/** Characters of a value that a message shows. */
const SHOWN = 100

/** What is told of a function that failed: where in which file, of which row, and how many rows are like it. */
export async function enrichFailed(
  { duck, root, mask, keys }: Pick<RunContext, 'duck' | 'root' | 'mask'> & { keys: string[] },
  { module, own }: Enrichment,
  { message, thrown, hint, at, row, values = {} }: EnrichFailure,
  rows: Part,
  columns: Column[],
): Promise<EngineError> {
  const { file, folder } = own!
  const place = at
    ? `${file.slice(0, file.indexOf('/') + 1)}${relative(fileURLToPath(folder), fileURLToPath(at.url))}:${at.line}:${at.column}`
    : `${file}${lineOf(module)}`
  // Nobody knows which values a text of the function's own holds.
  const said =
    thrown && mask.isNeeded ? 'it throws; what it says is not shown, as columns are sensitive' : message
  const shown = Object.entries(values).map(
    ([column, value]) => `${column} = ${value === null ? 'NULL' : quoted(value)}`,
  )
  const known = columns.filter(column => keys.some(key => key.toLowerCase() === column.name.toLowerCase()))
  const subject = known
    .filter(column => !Object.hasOwn(values, column.name))
    .map(({ name }) => quoteName(name))
  const [found] =
    row === undefined || subject.length === 0
      ? []
      : await duck.rows(
          `SELECT ${subject.map(each => `${each}::VARCHAR AS ${each}`).join(', ')} FROM ${filesSql(root, [rows], { rowNumber: true })} WHERE file_row_number = ${row}`,
        )
  const key = Object.entries(found ?? {}).map(
    ([column, value]) => `${column} = ${value === null ? 'NULL' : quoted(String(value))}`,
  )
  const where = [...key, ...shown].join(', ')
  return new EngineError('ENRICH_FAILED', `${place}: ${said}${where ? `: row of ${where}` : ''}`, {
    hint:
      hint ??
      'Mend the function, or have it give null for such values; a check of the table it is from can reject such rows before.',
  })
}

const quoted = (value: string) => quote(value.length > SHOWN ? `${value.slice(0, SHOWN)}…` : value)

/** `:12`, where a file has its function. */
function lineOf(module: string): string {
  const source = readFileSync(fileURLToPath(module), 'utf8')
  const at = source.search(/^export (const|let|var|function|async function|\{.*) ?enrich\b/m)
  return at < 0 ? '' : `:${source.slice(0, at).split('\n').length}`
}
