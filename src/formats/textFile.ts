import { badFile } from './bad.ts'
import { skipLines, toUtf8 } from './blocks.ts'
import { fixedText } from './csv.ts'
import { openCsv } from './csvFile.ts'
import { ownText } from './foreign.ts'
import { jsonLayout, jsonScan, recordScan } from './json.ts'
import { RecordKeys } from './jsonRecord.ts'
import { type Layout, spoolSql, UNIT, unitDialect } from './layout.ts'
import { absent, unread } from './notes.ts'
import { lineScan, type RowSink, splitRows } from './split.ts'
import type { ReadColumns, TextFile, TextFormat } from './textFormat.ts'

const CR = 13

/**
 * Opens a text by its header. `columns`: those that are read; without, all there are. Undefined for a file without a
 * line. Fails with a bad file where a column is missing.
 */
export async function openText(
  where: string,
  given: AsyncIterable<Buffer>,
  format: TextFormat,
  columns: ReadColumns | undefined,
): Promise<TextFile | undefined> {
  const bytes = ownText(where, given, format)
  switch (format.format) {
    case 'json':
    case 'ndjson':
      return openJson(where, bytes, format, columns)
    case 'fixed': {
      const text = skipLines(where, toUtf8(bytes, format.encoding, where), format.skip, format.max_row)
      const names = Object.keys(format.widths!)
      const read = (sink: RowSink) =>
        splitRows(
          where,
          text,
          sink,
          lineScan(format.header ? withoutHeader(where, plainRows(sink), format.widths!) : plainRows(sink)),
          format.max_row,
          format.skip + 1,
        )
      return {
        layout: fixedLayout(format.widths!, format.null_values),
        names,
        read,
        found: () => ({ names, notes: [] }),
      }
    }
    default:
      return openCsv(where, bytes, format, columns)
  }
}

function openJson(
  where: string,
  bytes: AsyncIterable<Buffer>,
  { format, encoding, max_row }: TextFormat,
  columns: ReadColumns | undefined,
): TextFile {
  const text = toUtf8(bytes, encoding, where)
  const keys = new RecordKeys(columns?.names)
  const read = async (sink: RowSink) => {
    if (format === 'ndjson') {
      await splitRows(where, text, sink, recordScan(where, sink, keys), max_row)
      return
    }
    const { scan, end } = jsonScan(where, sink, keys)
    await splitRows(where, text, sink, scan, max_row)
    end()
  }
  const found = () => {
    const { names } = keys
    const extra = columns ? names.filter(name => !columns.names.includes(name)) : []
    const lost = columns && names.length > 0 ? columns.optional.filter(name => !names.includes(name)) : []
    return {
      names,
      emptyAt: keys.emptyAt,
      tooMany: keys.tooMany,
      notes: [...unread('keys', extra, keys.tooMany), ...absent('key', lost)],
    }
  }
  return { layout: jsonLayout(columns?.names ?? []), names: undefined, read, found }
}

function fixedLayout(widths: Record<string, number>, nulls: string[]): Layout {
  const texts = new Map<string, string>()
  let start = 1
  let last = 1
  for (const [name, width] of Object.entries(widths)) {
    texts.set(name, fixedText(start, width, nulls))
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

// Neither byte can stand in a field that is not quoted; DuckDB would end the row, or the field, there.
const plainRows = (sink: RowSink): RowSink => ({
  ...sink,
  row: (source, from, to, line) => {
    const bytes = source.subarray(from, to)
    if (bytes.includes(UNIT) || bytes.includes(CR))
      sink.bad(
        bytes.toString('utf8'),
        line,
        `holds a control character (${bytes.includes(CR) ? 'CR' : 'US'})`,
      )
    else sink.row(source, from, to, line)
  },
})

/** Passes over the first line. Fails with a bad file where that may be a row: see {@link headerDoubt}. */
function withoutHeader(where: string, sink: RowSink, widths: Record<string, number>): RowSink {
  let passed = false
  return {
    ...sink,
    row: (source, from, to, line) => {
      if (passed) return sink.row(source, from, to, line)
      passed = true
      const text = source.toString('utf8', from, to)
      const doubt = headerDoubt(text, widths)
      if (doubt !== undefined)
        throw badFile(
          where,
          `line ${line}: ${doubt}: ${JSON.stringify(text.slice(0, 60))}`,
          undefined,
          'DECODE_FAILED',
          'Write header: false in this extract, if that is a row; skip: 1 beside it, if it is a header with other names.',
        )
    },
  }
}

/**
 * Why a first line may be a row; undefined where it is none. A header has names at their places, perhaps cut, and nothing else;
 * one of them is whole, or as long as its column. A single letter tells nothing: `F` is a value of `flag`, too.
 */
function headerDoubt(line: string, widths: Record<string, number>): string | undefined {
  const characters = [...line]
  let start = 0
  const fields = Object.entries(widths).map(([name, width]) => {
    const field = characters
      .slice(start, start + width)
      .join('')
      .trim()
      .toLowerCase()
    start += width
    return {
      field,
      width,
      isName: field !== '' && name.toLowerCase().startsWith(field),
      name: name.toLowerCase(),
    }
  })
  if (!fields.some(({ isName }) => isName)) return 'names none of its columns at its place'
  const isSure = fields.some(({ field, width, isName, name }) =>
    field === name ? field.length > 1 : isName && width > 2 && [...field].length === width,
  )
  const isAll = fields.every(({ field, isName }) => field === '' || isName)
  return isSure && isAll
    ? undefined
    : 'may be a row: a header has names of its columns at their places, and nothing else'
}
