import { didYouMean } from '../../engine/nearest.ts'
import { counted } from '../../engine/plural.ts'
import { BadFile, badFile, NOT_UTF8 } from './bad.ts'
import { skipLines, toUtf8 } from './blocks.ts'
import { usualDelimiter } from './byName.ts'
import { type CsvDialect, csvFields, csvLayout, csvScan, type RowShape } from './csv.ts'
import { DUMP_SPOOLED, dumpScan } from './dump.ts'
import { escapedRows } from './escaped.ts'
import { excelCsv, isErrorCell } from './excel/sheet.ts'
import { absent, unread } from './notes.ts'
import { type RowSink, splitRows, tooLong } from './split.ts'
import type { ReadColumns, TextFile, TextFormat } from './textFormat.ts'

/** Opens CSV, TSV, a dump, or a sheet as CSV: see {@link openText}. */
export async function openCsv(
  where: string,
  bytes: AsyncIterable<Buffer>,
  format: TextFormat,
  columns: ReadColumns | undefined,
): Promise<TextFile | undefined> {
  const excel = format.format === 'excel'
  const dialect: CsvDialect = {
    delimiter: excel ? ',' : (format.delimiter ?? usualDelimiter(format.format)),
    quote: excel ? '"' : format.quote,
    escape: excel ? '' : (format.escape ?? ''),
  }
  const dump = dialect.quote === '' && dialect.escape !== ''
  const escaped = !dump && dialect.escape !== '' && dialect.escape !== dialect.quote
  const spooled = dump || escaped ? DUMP_SPOOLED : dialect
  const nulls = format.null_values
  const scanOf = (sink: RowSink, shape: RowShape) =>
    dump
      ? dumpScan(where, dialect, sink, shape, nulls)
      : csvScan(dialect, escaped ? escapedRows(dialect, sink, nulls) : sink, shape)
  const told: string[] = []
  const utf8 = excel
    ? excelCsv(where, bytes, format.sheet, note => told.push(note))
    : toUtf8(bytes, format.encoding, where)
  const text = skipLines(where, utf8, format.skip, format.max_row)
  const first = await firstRow(where, text, format, scanOf)
  if (!first) return undefined
  const names = format.header ? headerOf(csvFields(first.row, spooled)) : columns!.names
  if (format.header) checkHeader(`${where}: line ${first.line}`, names, format, columns)
  const shape: RowShape = { fields: names.length, header: format.header }
  const read = async (sink: RowSink) => {
    let header: Buffer | undefined
    const isHeader = (source: Buffer, from: number, to: number) =>
      names.length > 1 && to - from === header!.length && header!.compare(source, from, to) === 0
    const rows: RowSink = {
      ...sink,
      row: (source, from, to, line) => {
        if (!format.header) sink.row(source, from, to, line)
        else if (header === undefined) header = Buffer.from(source.subarray(from, to))
        else if (isHeader(source, from, to))
          sink.bad(
            source.toString('utf8', from, to),
            line,
            'is the header again: files may have been put together',
          )
        else sink.row(source, from, to, line)
      },
    }
    await splitRows(where, first.all(), sink, scanOf(rows, shape), format.max_row, format.skip + 1)
  }
  const named = names.filter(name => name !== '')
  const found = () => {
    const extra = columns ? named.filter(name => !columns.names.includes(name)) : []
    const lost = columns ? columns.optional.filter(name => !named.includes(name)) : []
    const unnamed = names.length - named.length
    return {
      names: named,
      notes: [
        ...unread('columns', extra),
        ...absent('column', lost),
        ...(unnamed > 0
          ? [`has ${counted(unnamed, 'column')} without a name: passed over where they hold nothing`]
          : []),
        ...told,
        ...(shape.returns
          ? [
              `has ${counted(shape.returns, 'row')} that end in a carriage return, as others do not: taken as the end of the last column`,
            ]
          : []),
        ...(shape.trailing ? ['ends each row with a delimiter that its header has not: passed over'] : []),
      ],
    }
  }
  const plain = csvLayout(names, spooled, spooled === dialect ? nulls : [])
  const layout = excel ? { ...plain, isError: isErrorCell, id: `excel ${plain.id}` } : plain
  return { layout, names: named, read, found }
}

// A name of blanks is what a spreadsheet writes where there is none.
const headerOf = (names: string[]) => names.map(name => (name.trim() === '' ? '' : name))

function checkHeader(
  where: string,
  names: string[],
  format: TextFormat,
  columns: ReadColumns | undefined,
): void {
  const sep = /^sep=(.?)$/i.exec(names[0]!)
  if (sep && names.length <= 2)
    throw badFile(
      where,
      `is no header: ${JSON.stringify(names[0])} tells Excel the delimiter`,
      undefined,
      'DECODE_FAILED',
      `Write skip: ${format.skip + 1} in this extract${sep[1] && sep[1] !== (format.delimiter ?? ',') ? `, and delimiter: ${JSON.stringify(sep[1])}` : ''}.`,
    )
  const broken = names.find(name => name.includes('\0'))
  if (broken !== undefined)
    throw badFile(
      where,
      `its header has a NUL byte: ${JSON.stringify(broken.slice(0, 40))}`,
      undefined,
      'DECODE_FAILED',
      'Where every other byte is one, it is UTF-16: write encoding: utf-16 in this extract. Else it is no text: see what it is (file NAME), or narrow files:.',
    )
  const other = otherDelimiter(names, format)
  const lacking = columns?.names.find(name => !names.includes(name) && !columns.optional.includes(name))
  const write = other && `Write delimiter: ${JSON.stringify(other.delimiter)} in this extract.`
  if (lacking !== undefined)
    throw new BadFile(
      'COLUMN_MISSING',
      `${where}: its header has no column ${lacking}${didYouMean(lacking, names)}`,
      {
        hint:
          write ??
          `Its columns: ${names.join(', ').slice(0, 400)}. Check delimiter and header of this extract, or write drift: { dropped: ignore }: then its rows have NULL.`,
      },
    )
  if (other && !columns)
    throw badFile(
      where,
      `has one column, ${JSON.stringify(names[0])}; delimiter: ${JSON.stringify(other.delimiter)} would give ${other.count}`,
      undefined,
      'DECODE_FAILED',
      `${write} If it is one column, write delimiter: ${JSON.stringify(usualDelimiter(format.format))}.`,
    )
  if (names.every(name => name === '')) throw badFile(where, 'its header has no name')
  const folded = names.map(name => name.toLowerCase())
  const twice = names.findIndex((name, index) => name !== '' && folded.indexOf(folded[index]!) !== index)
  if (twice >= 0)
    throw badFile(
      where,
      `its header names ${names[folded.indexOf(folded[twice]!)]} and ${names[twice]}: one column twice`,
    )
}

/** The delimiter that a header of one column suggests where the job declares none. */
function otherDelimiter(names: string[], { format, delimiter }: TextFormat) {
  if (names.length > 1 || delimiter !== undefined || format === 'excel') return undefined
  const counts = [';', '\t', '|', ','].map(mark => ({ delimiter: mark, count: names[0]!.split(mark).length }))
  const best = counts.reduce((one, other) => (other.count > one.count ? other : one))
  return best.count > 1 ? best : undefined
}

/** The first row, and all the bytes, those of the row again. */
async function firstRow(
  where: string,
  text: AsyncGenerator<Buffer>,
  { skip, max_row }: TextFormat,
  scanOf: (sink: RowSink, shape: RowShape) => ReturnType<typeof csvScan>,
) {
  const held: Buffer[] = []
  let row: string | undefined
  let at = 0
  const sink: RowSink = {
    row: (source, from, to, line) => {
      if (row !== undefined) return
      row = source.toString('utf8', from, to)
      at = line
    },
    bad: (raw, line, reason) => {
      if (row === undefined)
        throw badFile(
          where,
          `line ${line}: its first row ${reason}: ${JSON.stringify(raw.slice(0, 80))}`,
          undefined,
          'DECODE_FAILED',
          reason === 'is not UTF-8' ? NOT_UTF8 : undefined,
        )
    },
    reserve: async () => {},
  }
  const scan = scanOf(sink, { fields: 0, header: true })
  let ended = false
  while (row === undefined && !ended) {
    const next = await text.next()
    if (next.done) ended = true
    else held.push(next.value)
    const start = Buffer.concat(held)
    scan(start, skip + 1, ended)
    if (row === undefined && start.length > max_row) throw tooLong(where, skip + 1, max_row)
  }
  if (row === undefined) {
    await text.return(undefined)
    return undefined
  }
  async function* all() {
    yield* held
    if (!ended) yield* text
  }
  return { row, line: at, all }
}
