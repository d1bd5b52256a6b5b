import { isUtf8 } from 'node:buffer'
import { counted } from '../../engine/plural.ts'
import { quote as literal } from '../../engine/sql/duckdb.ts'
import { type Layout, spoolSql } from './layout.ts'
import { hand, type Pass, type RowSink } from './split.ts'

/** How the fields of a row are written. Each is one ASCII character; quote and escape may be '' for none. */
export interface CsvDialect {
  delimiter: string
  quote: string
  escape: string
}

const CR = 13
const LF = 10

/** How many fields rows have: 0 where that is not known yet. */
export interface RowShape {
  fields: number
  /** Whether the next row is the header. */
  header: boolean
  /** Whether each row ends with a delimiter that the header has not; the first row tells. */
  trailing?: boolean
  /** Of a dump whose rows end in LF alone: how many have a CR before it, which is of their last column. */
  returns?: number
}

/**
 * Splits CSV (RFC 4180, any delimiter, quote and escape; line breaks \n, \r\n or \r, in quoted fields too) into rows of
 * a shape; others are bad.
 */
export function csvScan(dialect: CsvDialect, sink: RowSink, shape: RowShape) {
  const delimiter = dialect.delimiter.charCodeAt(0)
  const quote = dialect.quote === '' ? -1 : dialect.quote.charCodeAt(0)
  const escaping = dialect.escape === '' ? quote : dialect.escape.charCodeAt(0)
  return (block: Buffer, line: number, last: boolean): Pass => {
    const whole = isUtf8(block)
    const { length } = block
    let from = 0
    let open: Pass['open']
    while (from < length) {
      let at = from
      let count = 1
      let breaks = 0
      let opened = from
      let fault = ''
      let ended = false
      // At the start of a field.
      row: for (;;) {
        if (block[at] === quote && at < length) {
          opened = at++
          for (;;) {
            if (at >= length) break row
            const byte = block[at]!
            if (byte === escaping && escaping !== quote) at += 2
            else if (byte === quote) {
              if (escaping === quote && block[at + 1] === quote && at + 1 < length) at += 2
              else {
                // Whether it is doubled is in the next block.
                if (at + 1 >= length && !last) break row
                at++
                break
              }
            } else {
              if (byte === LF || (byte === CR && block[at + 1] !== LF)) breaks++
              at++
            }
          }
          const byte = block[at]
          if (at < length && byte !== delimiter && byte !== LF && byte !== CR && fault === '')
            fault = 'has text after a closing quote'
        }
        let byte = 0
        while (at < length) {
          byte = block[at]!
          if (byte === delimiter || byte === LF || byte === CR) break
          if (byte === quote && fault === '') fault = 'has a quote inside a field that is not quoted'
          at++
        }
        if (at >= length) {
          ended = last
          break
        }
        if (byte === delimiter) {
          count++
          at++
          continue
        }
        // Whether a line feed follows is in the next block.
        ended = byte === LF || at + 1 < length || last
        break
      }
      if (!ended) {
        if (!last) return { rest: from, line }
        fault = 'has a quote that is not closed'
        at = length
        open = {
          line: line + breaksIn(block.toString('latin1', from, opened)),
          after: breaksIn(block.toString('latin1', opened).trimEnd()),
        }
      }
      const to = Math.min(at, length)
      // Of one column, an empty line is a row; before the header it is none.
      if (to > from || (shape.fields === 1 && !shape.header)) {
        if (fault === '') fault = faultOf(shape, count, to > from && block[to - 1] === delimiter)
        if (fault === '') hand(sink, block, from, to - (shape.trailing ? 1 : 0), line, whole)
        else sink.bad(block.toString('utf8', from, to), line, fault)
      }
      line += breaks + 1
      from = to + (block[to] === CR && block[to + 1] === LF ? 2 : 1)
    }
    return { rest: length, line, ...(open && { open }) }
  }
}

const breaksIn = (text: string) => text.match(/\r\n?|\n/g)?.length ?? 0

/** What is wrong with the number of a row's fields; the first row after the header settles whether rows end with a delimiter. */
export function faultOf(shape: RowShape, count: number, ended: boolean): string {
  if (shape.fields === 0) return ''
  const { header } = shape
  shape.header = false
  if (!header) shape.trailing ??= ended && count === shape.fields + 1
  const expected = shape.fields + (!header && shape.trailing ? 1 : 0)
  if (count === expected)
    return expected === shape.fields || ended
      ? ''
      : 'has a last field that is not empty, where the header has none'
  return `has ${counted(count, 'field')}, not ${expected}${expected > shape.fields ? ', of which the last is empty' : ''}`
}

/** The fields of one row. */
export function csvFields(row: string, dialect: CsvDialect): string[] {
  const { delimiter, quote } = dialect
  const escaping = dialect.escape || quote
  const found: string[] = []
  let at = 0
  for (;;) {
    let field = ''
    if (quote !== '' && row[at] === quote) {
      at++
      while (at < row.length) {
        if (row[at] === escaping && (escaping !== quote || row[at + 1] === quote)) {
          field += row[at + 1] ?? ''
          at += 2
        } else if (row[at] === quote) {
          at++
          break
        } else field += row[at++]
      }
    } else {
      const end = row.indexOf(delimiter, at)
      field = row.slice(at, end < 0 ? row.length : end)
      at = end < 0 ? row.length : end
    }
    found.push(field)
    if (at >= row.length) return found
    at++
  }
}

/** Rows of CSV whose fields have these names; one without a name must hold nothing. `nulls`: words for a missing value. */
export function csvLayout(names: string[], dialect: CsvDialect, nulls: string[]): Layout {
  const written = { ...dialect, escape: dialect.escape || dialect.quote }
  const unnamed = names.flatMap((name, index) => (name === '' ? [index] : []))
  const faults = unnamed.map(
    index =>
      `WHEN c${index} <> '' THEN 'has a value in column ${index + 1}, whose name in the header is empty'`,
  )
  return {
    separator: dialect.delimiter.charCodeAt(0),
    from: path => spoolSql(path, names.length, written, nulls),
    text: column => {
      const index = names.indexOf(column)
      return index < 0 ? undefined : `c${index}`
    },
    ...(unnamed.length > 0 && {
      rowFault: {
        reason: `CASE ${faults.join(' ')} END`,
        raw: `concat_ws(',', ${unnamed.map(index => `c${index}`).join(', ')})`,
      },
    }),
    id: `csv ${JSON.stringify([names, dialect])}`,
  }
}

/** SQL of one field of fixed width, from character `start` (1-based): blanks around it are padding; none, or a word of `nulls`, is NULL. */
export function fixedText(start: number, width: number, nulls: string[]): string {
  const text = `nullif(trim(substring(c0, ${start}, ${width}), ${literal(' \t')}), '')`
  return nulls.reduce((sql, word) => `nullif(${sql}, ${literal(word)})`, text)
}
