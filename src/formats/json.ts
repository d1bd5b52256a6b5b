import { isUtf8 } from 'node:buffer'
import { quote as literal } from '../../engine/sql/duckdb.ts'
import { badFile } from './bad.ts'
import { type Layout, spoolSql, UNIT, unitDialect } from './layout.ts'
import type { Pass, RowSink } from './split.ts'

const QUOTE = 34
const BACKSLASH = 92
const OPEN = 123
const CLOSE = 125
const OPEN_LIST = 91
const CLOSE_LIST = 93
const isBlank = (byte: number) => byte === 32 || byte === 10 || byte === 13 || byte === 9

/**
 * Writes a record twice into a row: as an object whose numbers and nested values are strings, so that every digit
 * comes out as it was written, and as it is. Whether it is JSON at all is left to DuckDB.
 */
export class RecordWriter {
  private scratch = Buffer.alloc(64 * 1024)

  /** Hands the record in `block[from, to)` to the sink. */
  write(sink: RowSink, block: Buffer, from: number, to: number, line: number): void {
    const bytes = block.subarray(from, to)
    const bad = (reason: string) => sink.bad(bytes.toString('utf8'), line, reason)
    if (!isUtf8(bytes)) {
      sink.bad(bytes.toString('latin1'), line, 'is not UTF-8')
      return
    }
    // A nested value's every quote may need an escape.
    if (this.scratch.length < bytes.length * 4 + 64) this.scratch = Buffer.alloc(bytes.length * 6 + 64)
    const out = this.scratch
    let at = 0
    let used = 0
    let depth = 0
    let inString = false
    while (at < bytes.length) {
      const byte = bytes[at]!
      if (byte < 32 && (inString || !isBlank(byte))) {
        bad('holds a control character')
        return
      }
      if (inString) {
        const escaped = byte === BACKSLASH && at + 1 < bytes.length
        for (let index = 0; index < (escaped ? 2 : 1); index++) {
          const part = bytes[at + index]!
          if (depth > 1 && (part === QUOTE || part === BACKSLASH)) out[used++] = BACKSLASH
          out[used++] = part
        }
        if (byte === QUOTE) inString = false
        at += escaped ? 2 : 1
        continue
      }
      at++
      if (byte === QUOTE) {
        inString = true
        if (depth > 1) out[used++] = BACKSLASH
        out[used++] = QUOTE
      } else if (byte === OPEN || byte === OPEN_LIST) {
        if (depth === 1) out[used++] = QUOTE
        out[used++] = byte
        depth++
      } else if (byte === CLOSE || byte === CLOSE_LIST) {
        out[used++] = byte
        depth--
        if (depth === 1) out[used++] = QUOTE
      } else if (depth === 1 && (byte === 45 || (byte >= 48 && byte <= 57))) {
        out[used++] = QUOTE
        out[used++] = byte
        while (at < bytes.length && !isBlank(bytes[at]!) && bytes[at] !== 44 && bytes[at] !== CLOSE)
          out[used++] = bytes[at++]!
        out[used++] = QUOTE
      } else if (!isBlank(byte)) out[used++] = byte
      else if (depth > 1) out[used++] = 32
    }
    out[used++] = UNIT
    for (const byte of bytes) out[used++] = isBlank(byte) ? 32 : byte
    sink.row(out, 0, used, line)
  }
}

/** Rows that a {@link RecordWriter} wrote, with these columns. */
export function jsonLayout(columns: string[]): Layout {
  const paths = columns.map(name => literal(`$."${name.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`))
  return {
    separator: UNIT,
    from: path =>
      `(SELECT *, CASE WHEN json_valid(c1) AND json_type(c1) = 'OBJECT'
          THEN json_extract_string(c0, [${paths.join(', ')}]) END AS j FROM ${spoolSql(path, 2, unitDialect)})`,
    text: column => {
      const index = columns.indexOf(column)
      return index < 0 ? undefined : `j[${index + 1}]`
    },
    rowFault: { reason: "CASE WHEN j IS NULL THEN 'is not a JSON object' END", raw: 'c1' },
    id: 'json',
  }
}

/**
 * Splits a JSON document into the objects of its list; objects one after another are taken, too. Fails with a bad
 * file where anything else stands between them.
 */
export function jsonScan(where: string, sink: RowSink) {
  const writer = new RecordWriter()
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
