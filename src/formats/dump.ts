import { isUtf8 } from 'node:buffer'
import { badFile } from './bad.ts'
import { type CsvDialect, faultOf, type RowShape } from './csv.ts'
import { UNIT } from './layout.ts'
import type { Pass, RowSink } from './split.ts'

/** How rows of a dump stand in a spool: every field quoted but the missing ones. */
export const DUMP_SPOOLED: CsvDialect = { delimiter: String.fromCharCode(UNIT), quote: '"', escape: '' }

const CR = 13
const LF = 10
const QUOTE = 34

/** Letters that stand for another byte behind the escaping; every other byte stands for itself. */
const LETTERS: Record<string, number> = { 0: 0, b: 8, t: 9, n: 10, v: 11, f: 12, r: 13, Z: 26 }

/**
 * Splits what `SELECT … INTO OUTFILE` of MySQL and `COPY … TO` of Postgres write: no quotes, an escape before what is
 * not the byte itself, `\N` for NULL, and perhaps `\.` as the end. `\0` is a byte 0, whatever follows: so MySQL writes it; other
 * octal and hexadecimal numbers are those that COPY reads, and no server writes. Rows are handed on as {@link DUMP_SPOOLED}.
 *
 * A CR before the line break is of the break only where it stands before each: MySQL writes one at the end of a text as it is.
 * The first row tells, whatever the header has. Fails where it stands before the first, and not before each; rows that end in one
 * where the first does not are counted.
 */
export function dumpScan(
  where: string,
  dialect: { delimiter: string; escape: string },
  sink: RowSink,
  shape: RowShape,
  nulls: string[],
) {
  const delimiter = dialect.delimiter.charCodeAt(0)
  const escaping = dialect.escape.charCodeAt(0)
  const missing = new Set(nulls)
  let out = Buffer.alloc(64 * 1024)
  let isCrlf: boolean | undefined
  return (block: Buffer, line: number, last: boolean): Pass => {
    let from = 0
    while (from < block.length) {
      const end = endOf(block, from, escaping)
      if (end < 0 && !last) return { rest: from, line }
      const stop = end < 0 ? block.length : end
      const hasCr = stop > from && block[stop - 1] === CR && !isEscaped(block, from, stop - 1, escaping)
      const bare = hasCr ? stop - 1 : stop
      const isEnd = bare - from === 2 && block[from] === escaping && block[from + 1] === 46
      const isRow = !isEnd && bare > from && !shape.header
      if (isRow && end >= 0) {
        isCrlf ??= hasCr
        if (isCrlf && !hasCr) throw mixedBreaks(where, line)
        if (!isCrlf && hasCr) shape.returns = (shape.returns ?? 0) + 1
      }
      const to = end >= 0 && isCrlf !== false ? bare : stop
      if (out.length < (to - from) * 2 + 1024) out = Buffer.alloc((to - from) * 4 + 1024)
      if ((to > from || (shape.fields === 1 && !shape.header)) && !isEnd) row(block, from, to, line)
      for (let at = from; at < stop; at++) if (block[at] === LF) line++
      line++
      from = stop + 1
    }
    return { rest: block.length, line }
  }

  function row(block: Buffer, from: number, to: number, line: number): void {
    let used = 0
    let count = 0
    let at = from
    for (;;) {
      let end = at
      while (end < to && block[end] !== delimiter) end += block[end] === escaping ? 2 : 1
      end = Math.min(end, to)
      if (count++ > 0) out[used++] = UNIT
      const isNull = end - at === 2 && block[at] === escaping && block[at + 1] === 78
      if (!isNull && !(missing.size > 0 && missing.has(block.toString('utf8', at, end))))
        used = field(block, at, end, used)
      if (end >= to) break
      at = end + 1
    }
    const fault = isUtf8(out.subarray(0, used))
      ? faultOf(shape, count, block[to - 1] === delimiter)
      : 'is not UTF-8'
    if (fault === '') sink.row(out, 0, used - (shape.trailing ? 3 : 0), line)
    else sink.bad(block.toString('utf8', from, to), line, fault)
  }

  function field(block: Buffer, from: number, to: number, used: number): number {
    out[used++] = QUOTE
    for (let at = from; at < to; at++) {
      let byte = block[at]!
      if (byte === escaping && at + 1 < to) {
        byte = block[++at]!
        const digits = /^(?:[1-7][0-7]{0,2}|x[0-9A-Fa-f]{1,2})/.exec(
          block.toString('latin1', at, Math.min(at + 3, to)),
        )?.[0]
        if (digits !== undefined) {
          byte = digits.startsWith('x')
            ? Number.parseInt(digits.slice(1), 16)
            : Number.parseInt(digits, 8) & 255
          at += digits.length - 1
        } else byte = LETTERS[String.fromCharCode(byte)] ?? byte
      }
      if (byte === QUOTE) out[used++] = QUOTE
      out[used++] = byte
    }
    out[used++] = QUOTE
    return used
  }
}

/** Where the line that begins at `from` ends: a line break with no escape before it; -1 where it does not. */
function endOf(block: Buffer, from: number, escaping: number): number {
  for (let at = block.indexOf(LF, from); at >= 0; at = block.indexOf(LF, at + 1))
    if (!isEscaped(block, from, at, escaping)) return at
  return -1
}

function isEscaped(block: Buffer, from: number, at: number, escaping: number): boolean {
  let escapes = 0
  while (at - 1 - escapes >= from && block[at - 1 - escapes] === escaping) escapes++
  return escapes % 2 === 1
}

const mixedBreaks = (where: string, line: number) =>
  badFile(
    where,
    `line ${line} ends in a line feed alone, and those before it in a carriage return, too: it may be of their last column`,
    undefined,
    'DECODE_FAILED',
    "Have it written with LINES TERMINATED BY '\\n', or with a last column that no carriage return ends, such as a number; or get the file again.",
  )
