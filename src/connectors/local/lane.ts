import { REJECTED } from '../../../engine/batch/builder.ts'
import { EngineError } from '../../../engine/errors.ts'
import type { Lane, Range, Read, Sink } from '../../../engine/ports.ts'
import { Duck, quote, quoteName } from '../../../engine/sql/duckdb.ts'
import { type Column, typeName } from '../../../engine/types/logical.ts'
import { fieldSql } from './check.ts'
import { type CsvFile, csvFile } from './csv.ts'
import type { FileRange, LocalExtract } from './source.ts'

/** DuckDB's CSV reader and Parquet writer with one thread; the reader alone takes some buffers of 32 MiB. */
const MEMORY = 256 * 1024 * 1024

export async function openLane(payload: unknown): Promise<Lane> {
  const { name } = payload as { name: string }
  const duck = await Duck.open({ threads: 1, memory: MEMORY })
  return {
    read: (read, range, _limit, sink) => readFile(duck, name, read, range, sink),
    close: async () => duck.close(),
  }
}

async function readFile(
  duck: Duck,
  name: string,
  read: Read,
  range: Range,
  sink: Sink,
): Promise<Range | undefined> {
  const file = range.payload as FileRange
  const where = `${name} ${file.name}`
  const columns = read.columns.filter(column => column.name !== REJECTED)
  const csv = await csvFile(where, file.path, columns, read.options as LocalExtract)
  // An empty file has not even a header.
  if (!csv) return undefined
  const select = `SELECT ${read.columns.map(column => output(column, columns)).join(', ')} FROM ${csv.sql}`
  try {
    await sink.file(path =>
      duck.run(`COPY (${select}) TO ${quote(path)} (FORMAT parquet, COMPRESSION snappy)`),
    )
  } catch (error) {
    throw await explained(duck, where, columns, csv, error)
  }
  return undefined
}

const isStrict = ({ policy }: Column) => policy !== 'null' && policy !== 'quarantine'

/** A staged column; a bad value is NULL, or stops the statement. */
function output(column: Column, columns: Column[]): string {
  if (column.name === REJECTED) return `${rejections(columns)} AS ${REJECTED}`
  const { value, bad } = fieldSql(quoteName(column.name), column.type)
  const otherwise = isStrict(column) ? `error('bad value')` : 'NULL'
  return `CASE WHEN ${bad} THEN CAST(${otherwise} AS ${typeName(column.type)}) ELSE ${value} END AS ${quoteName(column.name)}`
}

/** JSON list of what is wrong with a row, as the batch builder writes it; NULL for a good row. */
function rejections(columns: Column[]): string {
  const entries = columns
    .filter(({ policy }) => policy === 'quarantine')
    .map(column => {
      const field = quoteName(column.name)
      const entry = `to_json({'column': ${quote(column.name)}, 'value': ${field}, 'reason': ${quote(reason(column))}})`
      return `CASE WHEN ${fieldSql(field, column.type).bad} THEN ${entry}::VARCHAR END`
    })
  const list = `list_filter([${entries.join(', ')}], lambda entry: entry IS NOT NULL)`
  return `CASE WHEN len(${list}) > 0 THEN '[' || array_to_string(${list}, ',') || ']' END`
}

const reason = ({ type }: Column) => `is not a value that ${typeName(type)} holds exactly`

/** The error with file, line and value: finds the first bad value, which the statement itself could not name. */
async function explained(
  duck: Duck,
  where: string,
  columns: Column[],
  csv: CsvFile,
  error: unknown,
): Promise<unknown> {
  if (!(error instanceof EngineError)) return error
  if (/CSV Error|^Invalid Input Error/.test(error.message) && !error.message.includes('bad value'))
    return new EngineError('DECODE_FAILED', `${where}: ${csvMessage(error.message)}`, {
      hint: 'Correct the line, or check delimiter and header of this extract.',
    })
  for (const column of columns.filter(isStrict)) {
    const field = quoteName(column.name)
    const text = csv.names.map(name => `coalesce(${quoteName(name)}, '')`).join(', ')
    // A quoted field may span lines: a row's own line breaks count for the rows after it.
    const breaks = `len(regexp_extract_all(concat(${text}), '\\n'))`
    const [row] = await duck.rows(
      `SELECT number + coalesce(breaks, 0) AS line, value FROM (
         SELECT row_number() OVER () AS number, ${field} AS value, ${fieldSql(field, column.type).bad} AS bad,
                sum(${breaks}) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS breaks FROM ${csv.sql})
        WHERE bad LIMIT 1`,
    )
    if (row)
      return new EngineError(
        'DECODE_FAILED',
        `${where}: line ${Number(row.line) + csv.headerLines}: ${column.name}: ${JSON.stringify(row.value)} ${reason(column)}`,
        {
          hint: `Correct schema.${column.name}, or set columns.${column.name} of this extract to null, quarantine or text.`,
        },
      )
  }
  return error
}

/** The part of DuckDB's message about the line; its advice is about options that a job does not have. */
function csvMessage(message: string): string {
  const [about] = message.split(/\n\s*(?:Possible (?:fixes|solution)|\n\s*file =)/i)
  return about!
    .replace(/^Invalid Input Error: (CSV Error on Line: (\d+))?/, (_all, _head, line) =>
      line ? `line ${line}` : '',
    )
    .replace(/\s*\n\s*/g, '; ')
    .slice(0, 400)
    .trim()
}
