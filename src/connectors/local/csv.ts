import { createReadStream } from 'node:fs'
import { createGunzip } from 'node:zlib'
import { EngineError } from '../../../engine/errors.ts'
import { quote, quoteName } from '../../../engine/sql/duckdb.ts'
import type { Column } from '../../../engine/types/logical.ts'
import { didYouMean } from '../../config/nearest.ts'
import type { LocalExtract } from './source.ts'

/** A CSV file as a table of texts. */
export interface CsvFile {
  /** Its `read_csv(…)`. */
  sql: string
  /** Every column it has, in its own order. */
  names: string[]
  headerLines: 0 | 1
}

/** The longest first line that is looked at: DuckDB's own limit of a line. */
const LONGEST_HEADER = 2 * 1024 * 1024

/** Opens a file by its header; undefined for an empty one. Columns the schema does not name are left out. */
export async function csvFile(
  where: string,
  path: string,
  columns: Column[],
  { delimiter, header }: LocalExtract,
): Promise<CsvFile | undefined> {
  const first = await firstLine(path)
  if (first === '') return undefined
  const names = header ? fields(first, delimiter) : columns.map(({ name }) => name)
  for (const { name } of columns)
    if (!names.includes(name))
      throw new EngineError(
        'COLUMN_MISSING',
        `${where}: its header has no column ${name}${didYouMean(name, names)}`,
        {
          hint: `Its columns: ${names.join(', ').slice(0, 400)}. Check delimiter and header of this extract.`,
        },
      )
  // DuckDB tells names apart without regard to case.
  const folded = names.map(name => name.toLowerCase())
  const twice = names.find((_name, index) => folded.indexOf(folded[index]!) !== index)
  if (twice !== undefined)
    throw new EngineError('DECODE_FAILED', `${where}: line 1: its header names ${twice} twice`)
  const texts = names.map(name => `${quoteName(name)}: 'VARCHAR'`).join(', ')
  // Everything is said, so that nothing is guessed from the data; brackets keep a name from being a glob.
  const sql = `read_csv(${quote(path.replace(/[*?[\]]/g, '[$&]'))}, auto_detect = false, header = ${header},
    delim = ${quote(delimiter)}, quote = '"', escape = '"', nullstr = '', allow_quoted_nulls = false,
    strict_mode = true, columns = {${texts}})`
  return { sql, names, headerLines: header ? 1 : 0 }
}

async function firstLine(path: string): Promise<string> {
  const raw = createReadStream(path)
  const bytes = path.endsWith('.gz') ? raw.compose(createGunzip()) : raw
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of bytes as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    length += chunk.length
    if (chunk.includes(10) || length > LONGEST_HEADER) break
  }
  const [line] = Buffer.concat(chunks)
    .toString('utf8')
    .replace(/^\ufeff/, '')
    .split(/\r?\n/, 1)
  return line!
}

/** The fields of one CSV line (RFC 4180). */
function fields(line: string, delimiter: string): string[] {
  const found: string[] = []
  for (let at = 0; at <= line.length; at++) {
    if (line[at] === '"') {
      let end = at + 1
      while (end < line.length && (line[end] !== '"' || line[end + 1] === '"'))
        end += line[end] === '"' ? 2 : 1
      found.push(line.slice(at + 1, end).replaceAll('""', '"'))
      at = end + 1
    } else {
      const end = line.indexOf(delimiter, at)
      found.push(line.slice(at, end < 0 ? line.length : end))
      at = end < 0 ? line.length : end
    }
    if (at >= line.length) break
    // A delimiter at the very end: one more, empty field follows.
    if (at === line.length - 1) found.push('')
  }
  return found
}
