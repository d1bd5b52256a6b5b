import { quote as literal } from '../../engine/sql/duckdb.ts'
import { badFile } from './bad.ts'
import {
  BACKSLASH,
  CLOSE,
  CLOSE_LIST,
  isBlank,
  OPEN,
  OPEN_LIST,
  QUOTE,
  type RecordKeys,
  RecordWriter,
} from './jsonRecord.ts'
import { type Layout, spoolSql, UNIT, unitDialect } from './layout.ts'
import { lineScan, type Pass, type RowSink } from './split.ts'

const SURROGATE = String.raw`'\\u[dD][89a-fA-F][0-9a-fA-F]{2}'`
const FAULT = `CASE WHEN j IS NULL THEN
  CASE WHEN regexp_matches(c1, ${SURROGATE}) AND json_valid(regexp_replace(c1, ${SURROGATE}, '', 'g'))
    THEN 'has half a surrogate pair' ELSE 'is not a JSON object' END END`

/** Rows that a {@link RecordWriter} wrote, with these columns. */
export function jsonLayout(columns: string[]): Layout {
  // A pointer (RFC 6901): in a path, a key of one asterisk is a wildcard.
  const paths = columns.map(name => literal(`/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`))
  return {
    separator: UNIT,
    from: path =>
      `(SELECT *, CASE WHEN json_valid(c1) AND json_type(c1) = 'OBJECT'
          THEN json_extract_string(c0, [${paths.join(', ')}]) END AS j FROM ${spoolSql(path, 2, unitDialect)})`,
    text: column => {
      const index = columns.indexOf(column)
      return index < 0 ? undefined : `j[${index + 1}]`
    },
    rowFault: { reason: FAULT, raw: 'c1' },
    emptyIsText: true,
    id: 'json',
  }
}

/**
 * Splits a JSON document into the objects of its list; objects one after another are taken, too. Fails with a bad
 * file where anything else stands between them.
 */
export function jsonScan(where: string, sink: RowSink, keys: RecordKeys) {
  const writer = new RecordWriter(keys)
  let opened = false
  let closed = false
  let afterComma = true
  const scan = (block: Buffer, line: number, last: boolean): Pass => {
    let at = 0
    while (at < block.length) {
      const byte = block[at]!
      if (byte === 10) line++
      if (isBlank(byte)) at++
      else if (byte === OPEN_LIST && !opened) {
        opened = true
        at++
      } else if (byte === CLOSE_LIST && opened && !closed) {
        closed = true
        at++
      } else if (byte === 44 && opened && !closed && !afterComma) {
        afterComma = true
        at++
      } else if (byte === OPEN && !closed && (afterComma || !opened)) {
        const end = objectEnd(block, at)
        if (end < 0) {
          if (last) throw badFile(where, `line ${line}: ends within a record`)
          return { rest: at, line }
        }
        writer.write(sink, block, at, end, line)
        for (let index = at; index < end; index++) if (block[index] === 10) line++
        at = end
        afterComma = false
      } else {
        const shown = JSON.stringify(block.toString('utf8', at, at + 20))
        throw badFile(where, `line ${line}: ${shown} is not where a list of objects can have it`)
      }
    }
    return { rest: block.length, line }
  }
  const end = () => {
    if (opened && !closed) throw badFile(where, 'its list of records is not closed: the file is cut')
  }
  return { scan, end }
}

function objectEnd(block: Buffer, from: number): number {
  let depth = 0
  let inString = false
  for (let at = from; at < block.length; at++) {
    const byte = block[at]!
    if (inString) {
      if (byte === BACKSLASH) at++
      else if (byte === QUOTE) inString = false
    } else if (byte === QUOTE) inString = true
    else if (byte === OPEN || byte === OPEN_LIST) depth++
    else if ((byte === CLOSE || byte === CLOSE_LIST) && --depth === 0) return at + 1
  }
  return -1
}

/** Splits lines of one record each. Fails with a bad file where the first is a list: that is another format. */
export function recordScan(where: string, sink: RowSink, keys: RecordKeys) {
  const writer = new RecordWriter(keys)
  let first = true
  return lineScan({
    ...sink,
    row: (source, from, to, line) => {
      if (first && /^\s*\[/.test(source.toString('latin1', from, Math.min(to, from + 100))))
        throw badFile(
          where,
          `line ${line}: is a JSON array, not an object`,
          undefined,
          'DECODE_FAILED',
          'Write format: json in this extract: it reads arrays of objects.',
        )
      first = false
      writer.write(sink, source, from, to, line)
    },
  })
}
