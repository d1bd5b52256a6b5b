import type { CsvDialect } from './csv.ts'
import { UNIT } from './layout.ts'
import type { RowSink } from './split.ts'

const SEPARATOR = String.fromCharCode(UNIT)

/**
 * Takes rows of quoted CSV whose escape is not the quote, and hands them on as `DUMP_SPOOLED`. An escape before a
 * letter or digit makes a row bad: to some writers `\n` is a line break, to others these two characters. So does `\N` without
 * quotes, which is NULL to some, unless `nulls` names it.
 */
export function escapedRows(
  { delimiter, quote, escape: mark }: CsvDialect,
  sink: RowSink,
  nulls: string[],
): RowSink {
  const missing = new Set(['', ...nulls])
  const word = `${mark}N`
  return {
    ...sink,
    row: (source, from, to, line) => {
      const text = source.toString('utf8', from, to)
      const fields: string[] = []
      let fault = ''
      for (let at = 0; at <= text.length; at++) {
        if (text[at] === quote) {
          let field = ''
          for (at++; text[at] !== quote; at++) {
            if (text[at] === mark && /[A-Za-z0-9]/.test(text[++at] ?? ''))
              fault ||= `has ${mark}${text[at] ?? ''} in quotes: writers differ in what it means`
            field += text[at] ?? ''
          }
          fields.push(`"${field.replaceAll('"', '""')}"`)
          at++
        } else {
          const end = text.indexOf(delimiter, at)
          const field = text.slice(at, end < 0 ? text.length : end)
          if (field === word && !missing.has(word))
            fault ||= `has ${word} without quotes: null_values: [${JSON.stringify(word)}] takes it for NULL`
          fields.push(missing.has(field) ? '' : `"${field.replaceAll('"', '""')}"`)
          at += field.length
        }
      }
      if (fault !== '') sink.bad(text, line, fault)
      else {
        const row = Buffer.from(fields.join(SEPARATOR))
        sink.row(row, 0, row.length, line)
      }
    },
  }
}
