import { didYouMean } from '../../engine/nearest.ts'
import { BadFile, badFile, LONGEST_ROW } from './bad.ts'
import { toUtf8 } from './blocks.ts'
import { type CsvDialect, csvFields, csvLayout, csvScan, fixedText } from './csv.ts'
import { excelCsv } from './excel.ts'
import { jsonLayout, jsonScan, RecordWriter } from './json.ts'
import { type Layout, spoolSql, UNIT, unitDialect } from './layout.ts'
import { lineScan, type RowSink, splitRows } from './split.ts'

/** How a file's text is written: the keys of an extract that say so. */
export interface TextFormat {
  format: 'csv' | 'tsv' | 'json' | 'ndjson' | 'fixed' | 'excel'
  encoding: string
  delimiter?: string
  quote: string
  escape?: string
  header: boolean
  skip: number
  widths?: Record<string, number>
  sheet?: string
}

/** A text file about to be read: how its rows will stand in a spool, and what reads them. */
export interface TextFile {
  layout: Layout
  /** Names of its columns; undefined where only its rows tell. */
  names: string[] | undefined
  read(sink: RowSink): Promise<void>
}

/**
 * Opens a text by its header. `columns`: those that are read; without, all there are. Undefined for a file without a
 * line. Fails with a bad file where a column is missing.
 */
export async function openText(
  where: string,
  bytes: AsyncIterable<Buffer>,
  format: TextFormat,
  columns: string[] | undefined,
): Promise<TextFile | undefined> {
  switch (format.format) {
    case 'json':
    case 'ndjson': {
      const text = toUtf8(bytes, format.encoding, where)
      const layout = jsonLayout(columns ?? [])
      return { layout, names: undefined, read: sink => readJson(where, text, format.format === 'json', sink) }
    }
    case 'fixed': {
      const text = skipLines(where, toUtf8(bytes, format.encoding, where), format)
      const read = (sink: RowSink) =>
        splitRows(where, text, sink, lineScan(withoutHeader(sink, format.header)), format.skip + 1)
      return { layout: fixedLayout(format.widths!), names: Object.keys(format.widths!), read }
    }
    default:
      return openCsv(where, bytes, format, columns)
  }
}

async function readJson(where: string, text: AsyncIterable<Buffer>, document: boolean, sink: RowSink) {
  if (document) {
    const { scan, end } = jsonScan(where, sink)
    await splitRows(where, text, sink, scan)
    end()
    return
  }
  const writer = new RecordWriter()
  const rows: RowSink = {
    ...sink,
    row: (source, from, to, line) => writer.write(sink, source, from, to, line),
  }
  await splitRows(where, text, sink, lineScan(rows))
}

function fixedLayout(widths: Record<string, number>): Layout {
  const texts = new Map<string, string>()
  let start = 1
  let last = 1
  for (const [name, width] of Object.entries(widths)) {
    texts.set(name, fixedText(start, width))
    last = start
    start += width
  }
  const fault = `CASE WHEN length(c0) < ${last} THEN 'ends before its last column' WHEN length(rtrim(c0)) >= ${start} THEN 'is longer than its columns' END`
  return {
    separator: UNIT,
    from: path => spoolSql(path, 1, unitDialect),
    text: column => {
      const text = texts.get(column)
      return text && `CASE WHEN (${fault}) IS NULL THEN ${text} END`
    },
    rowFault: { reason: fault, raw: 'c0' },
    id: `fixed ${JSON.stringify(widths)}`,
  }
}

async function openCsv(
  where: string,
  bytes: AsyncIterable<Buffer>,
  format: TextFormat,
  columns: string[] | undefined,
): Promise<TextFile | undefined> {
  const excel = format.format === 'excel'
  const dialect: CsvDialect = {
    delimiter: excel ? ',' : (format.delimiter ?? (format.format === 'tsv' ? '\t' : ',')),
    quote: excel ? '"' : format.quote,
    escape: excel ? '' : (format.escape ?? ''),
  }
  const utf8 = excel ? excelCsv(where, bytes, format.sheet) : toUtf8(bytes, format.encoding, where)
  const text = skipLines(where, utf8, format)
  const first = await firstRow(where, text, dialect)
  if (!first) return undefined
  const names = format.header ? csvFields(first.row, dialect) : columns!
  if (format.header) checkHeader(where, names, columns ?? [])
  let headers = format.header ? 1 : 0
  const read = async (sink: RowSink) => {
    const rows: RowSink = {
      ...sink,
      row: (source, from, to, line) => (headers > 0 ? headers-- : sink.row(source, from, to, line)),
    }
    await splitRows(
      where,
      first.all(),
      sink,
      csvScan(dialect, rows, () => names.length),
      format.skip + 1,
    )
  }
  return { layout: csvLayout(names, dialect), names, read }
}

function checkHeader(where: string, names: string[], columns: string[]): void {
  for (const name of columns)
    if (!names.includes(name))
      throw new BadFile(
        'COLUMN_MISSING',
        `${where}: its header has no column ${name}${didYouMean(name, names)}`,
        {
          hint: `Its columns: ${names.join(', ').slice(0, 400)}. Check delimiter and header of this extract.`,
        },
      )
  const folded = names.map(name => name.toLowerCase())
  const twice = names.find((_name, index) => folded.indexOf(folded[index]!) !== index)
  if (twice !== undefined) throw badFile(where, `line 1: its header names ${twice} twice`)
}

/** The first row, and all the bytes, those of the row again. */
async function firstRow(where: string, text: AsyncGenerator<Buffer>, dialect: CsvDialect) {
  const held: Buffer[] = []
  let row: string | undefined
  const sink: RowSink = {
    row: (source, from, to) => {
      row ??= source.toString('utf8', from, to)
    },
    bad: (raw, line, reason) => {
      if (row === undefined)
        throw badFile(where, `line ${line}: its first row ${reason}: ${JSON.stringify(raw.slice(0, 80))}`)
    },
    reserve: async () => {},
  }
  const scan = csvScan(dialect, sink, () => 0)
  let ended = false
  while (row === undefined && !ended) {
    const next = await text.next()
    if (next.done) ended = true
    else held.push(next.value)
    const start = Buffer.concat(held)
    scan(start.subarray(0, 2 * LONGEST_ROW), 1, ended)
    if (row === undefined && start.length > LONGEST_ROW)
      throw badFile(where, `line 1: no end of the row within ${LONGEST_ROW / 1024 / 1024} MiB`)
  }
  if (row === undefined) {
    await text.return(undefined)
    return undefined
  }
  async function* all() {
    yield* held
    if (!ended) yield* text
  }
  return { row, all }
}

const withoutHeader = (sink: RowSink, header: boolean): RowSink => {
  let headers = header ? 1 : 0
  return { ...sink, row: (...row) => (headers > 0 ? headers-- : sink.row(...row)) }
}

async function* skipLines(where: string, text: AsyncGenerator<Buffer>, { skip }: TextFormat) {
  let left = skip
  let skipped = 0
  for await (let block of text) {
    while (left > 0) {
      const end = block.indexOf(10)
      skipped += end < 0 ? block.length : 0
      if (skipped > LONGEST_ROW) throw badFile(where, `its first ${skip} lines are too long to be skipped`)
      block = end < 0 ? block.subarray(block.length) : block.subarray(end + 1)
      if (end < 0) break
      left--
    }
    if (block.length > 0) yield block
  }
}
