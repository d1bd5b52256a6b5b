import { EngineError } from '../../engine/errors.ts'

/** A record of a CSV file: its values, and the character at which each begins. */
export interface CsvRecord {
  /** The line of the file that it begins in. */
  line: number
  values: (string | null)[]
  places: number[]
}

/** RFC 4180; an empty value without quotes is NULL, a byte order mark nothing. Fails with CONFIG_INVALID, naming the line. */
export function readCsv(csv: string): CsvRecord[] {
  const records: CsvRecord[] = []
  const pattern = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/gy
  pattern.lastIndex = csv.startsWith('\ufeff') ? 1 : 0
  let line = 1
  let record: CsvRecord = { line, values: [], places: [] }
  while (pattern.lastIndex < csv.length) {
    const at = pattern.lastIndex
    const match = pattern.exec(csv)
    if (!match)
      throw new EngineError('CONFIG_INVALID', `line ${line} of the CSV has a quote amiss`, {
        hint: 'A value with a quote, a comma or a line break is in quotes, and each quote in it is doubled.',
      })
    const [whole, quoted, plain, end] = match
    record.values.push(quoted !== undefined ? quoted.replaceAll('""', '"') : plain === '' ? null : plain!)
    record.places.push(at)
    line += whole.split('\n').length - 1
    if (end === ',') continue
    records.push(record)
    record = { line, values: [], places: [] }
  }
  // It ends behind a comma: with a value that is nothing.
  if (record.values.length > 0)
    records.push({ ...record, values: [...record.values, null], places: [...record.places, csv.length] })
  return records
}

/** The values of each record of a CSV; see {@link readCsv}. */
export const parseCsv = (csv: string): (string | null)[][] => readCsv(csv).map(({ values }) => values)

/** What parts the columns of a first line that has no comma, in words; undefined of one column. */
export function otherSeparator(header: readonly (string | null)[]): string | undefined {
  const found = header.length === 1 ? /[;\t|]/.exec(header[0] ?? '')?.[0] : undefined
  return found === '\t' ? 'tabs' : found
}

/** Lines that {@link parseCsv} reads as they are: NULL is nothing, an empty text is two quotes. */
export const csvText = (lines: (string | null)[][]): string =>
  lines.map(line => `${line.map(field).join(',')}\n`).join('')

const field = (value: string | null) =>
  value === null ? '' : /^$|[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value
