import { readFileSync } from 'node:fs'
import { EngineError } from '../../engine/errors.ts'
import { didYouMean } from '../../engine/nearest.ts'
import { counted } from '../../engine/plural.ts'
import { type Duck, quote, quoteName } from '../../engine/sql/duckdb.ts'
import type { Fault } from '../../engine/sql/faults.ts'
import type { SqlFile } from '../../engine/sql/parse.ts'
import { placeOf, tokensOf } from '../../engine/sql/text.ts'
import { type Column, typeName } from '../../engine/types/logical.ts'
import { ConfigInvalid } from '../config/invalid.ts'
import { type CsvRecord, otherSeparator, readCsv } from '../util/csv.ts'

/** A CSV file of a test: the names in its first line, and its rows. */
export interface RowsFile {
  file: string
  text: string
  names: string[]
  header: CsvRecord
  rows: CsvRecord[]
}

const at = ({ file, text }: Pick<RowsFile, 'file' | 'text'>, { places }: CsvRecord, index = 0) => ({
  file,
  place: placeOf(text, places[index] ?? places.at(-1) ?? 0),
})

/** Reads a CSV file of a test. Fails with CONFIG_INVALID and all that is wrong with its lines, each at its place. */
export function openRows(file: string): RowsFile {
  const text = readFileSync(file, 'utf8')
  let records: CsvRecord[]
  try {
    records = readCsv(text)
  } catch (error) {
    if (!(error instanceof EngineError)) throw error
    throw new EngineError('CONFIG_INVALID', `${file}: ${error.message}`, { hint: error.hint })
  }
  const [header = { line: 1, values: [], places: [] }, ...rows] = records
  const names = header.values.map(name => name ?? '')
  const found = { file, text, names, header, rows }
  const other = otherSeparator(names)
  if (other !== undefined)
    throw new ConfigInvalid([
      {
        ...at(found, header),
        message: `its columns are parted by ${other}, those of a test by commas`,
        hint: 'Save it with commas; a decimal comma stands in quotes.',
      },
    ])
  const faults: Fault[] = rows
    .filter(({ values }) => values.length !== names.length)
    .map(row => ({
      ...at(found, row, names.length),
      message: `${counted(row.values.length, 'value')} where the first line has ${names.length}`,
    }))
  for (const [index, name] of names.entries()) {
    const twin = names.findIndex(each => each.toLowerCase() === name.toLowerCase())
    if (twin < index) faults.push({ ...at(found, header, index), message: `names the column ${name} twice` })
    if (name.trim() === '')
      faults.push({
        ...at(found, header, index),
        message: `column ${index + 1} has no name in the first line`,
      })
  }
  if (faults.length > 0) throw new ConfigInvalid(faults)
  return found
}

/** Its rows as rows of VALUES. */
export const valuesOf = ({ rows }: RowsFile): string[] =>
  rows.map(({ values }) => `(${values.map(value => (value === null ? 'NULL' : quote(value))).join(', ')})`)

/** Columns that are named, each somewhere, and that a table has not. */
const strays = (
  names: readonly string[],
  table: string,
  known: readonly string[],
  where: (name: string, index: number) => Pick<Fault, 'file' | 'place'>,
): Fault[] =>
  names.flatMap((name, index) =>
    known.some(column => column.toLowerCase() === name.toLowerCase())
      ? []
      : [
          {
            ...where(name, index),
            message: `${table} has no column ${name}${didYouMean(name, [...known])}`,
            hint: `Its columns: ${known.join(', ')}.`,
          },
        ],
  )

/** Columns that a file names and its table has not. */
export const strayColumns = (rows: RowsFile, table: string, known: readonly string[]): Fault[] =>
  strays(rows.names, table, known, (_, index) => at(rows, rows.header, index))

/** Columns that a query gives and its table has not. */
export const strayOutputs = (
  { file, sql }: SqlFile,
  table: string,
  names: readonly string[],
  known: readonly string[],
): Fault[] =>
  strays(names, table, known, name => {
    const found = [...tokensOf(sql)].find(({ text }) => text === name || text === quoteName(name))
    return { file, ...(found && { place: placeOf(sql, found.start) }) }
  })

/** The first value of each column that is not of its type. */
export async function wronglyTyped(duck: Duck, rows: RowsFile, columns: readonly Column[]): Promise<Fault[]> {
  if (rows.rows.length === 0) return []
  const numbered = valuesOf(rows).map((row, index) => `(${index}, ${row.slice(1)}`)
  const given = `(VALUES ${numbered.join(', ')}) AS given(_nf_at, ${rows.names.map(quoteName).join(', ')})`
  const faults: Fault[] = []
  for (const column of columns) {
    const index = rows.names.findIndex(name => name.toLowerCase() === column.name.toLowerCase())
    if (index < 0) continue
    const value = quoteName(rows.names[index]!)
    const type = typeName(column.type)
    const [bad] = await duck.rows(
      `SELECT _nf_at AS row, ${value}::VARCHAR AS value FROM ${given} WHERE ${value} IS NOT NULL AND TRY_CAST(${value}::VARCHAR AS ${type}) IS NULL ORDER BY _nf_at LIMIT 1`,
    )
    if (bad)
      faults.push({
        ...at(rows, rows.rows[Number(bad.row)]!, index),
        message: `${column.name}: ${bad.value} is no ${type}`,
      })
  }
  return faults.sort((a, b) => a.place!.line - b.place!.line)
}

/** Fails with CONFIG_INVALID where there are faults. */
export function refuseRows(faults: Fault[]): void {
  if (faults.length > 0) throw new ConfigInvalid(faults)
}
