import { isUtf8 } from 'node:buffer'
import { counted } from '../../engine/plural.ts'
import { badFile } from './bad.ts'

const PIECE = 1024 * 1024

/** Where a splitter's rows go. Bytes are valid until the next call. */
export interface RowSink {
  /** A row without its line break; `line` counts from 1. */
  row(source: Buffer, from: number, to: number, line: number): void
  bad(raw: string, line: number, reason: string): void
  /** Makes room for the rows of a block; called between blocks. */
  reserve(bytes: number): Promise<void>
}

/** What one pass over a block found. */
export interface Pass {
  /** Where the first row that is not whole begins. */
  rest: number
  /** Lines begun before it. */
  line: number
  /** A last field that has no end: the line that it begins in, and how many lines it has after that. Each may be a row. */
  open?: { line: number; after: number }
}

/**
 * Feeds blocks to `scan`, each behind the row that the one before it cut; `scan` hands over every whole row of a block,
 * the last one too when `last`. Fails where a row is longer than `longest` bytes, without holding it, and where the last is not whole
 * and has taken lines that may be rows.
 */
export async function splitRows(
  where: string,
  bytes: AsyncIterable<Buffer>,
  sink: RowSink,
  scan: (block: Buffer, line: number, last: boolean) => Pass,
  longest: number,
  line = 1,
): Promise<void> {
  let carry: Buffer = Buffer.alloc(0)
  for await (const chunk of bytes) {
    // Pieces, so that a spool has room for what one of them holds.
    for (let at = 0; at < chunk.length; at += PIECE) {
      const piece = chunk.subarray(at, at + PIECE)
      const block = carry.length === 0 ? piece : Buffer.concat([carry, piece])
      await sink.reserve(block.length)
      const pass = scan(block, line, false)
      line = pass.line
      carry = Buffer.from(block.subarray(pass.rest))
      if (carry.length > longest) throw tooLong(where, line, longest)
    }
  }
  if (carry.length === 0) return
  await sink.reserve(carry.length)
  const { open } = scan(carry, line, true)
  if (open && open.after > 0)
    throw badFile(
      where,
      `line ${open.line} has a quote that is not closed at the end of the file: ${counted(open.after, 'line')} after it may be rows`,
      undefined,
      'DECODE_FAILED',
      'If it stands for itself, as in 3" of rain, and no field is quoted, write quote: "" in this extract; else get the file again, or set on_bad_file: quarantine.',
    )
}

export function tooLong(where: string, line: number, longest: number) {
  const size = longest >= 1e6 ? `${longest / 1e6} MB` : counted(longest, 'byte')
  return badFile(
    where,
    `line ${line}: no end of the row within ${size} (max_row): a quote that is not closed, or not the format`,
    undefined,
    'DECODE_FAILED',
    'Where rows are longer, write max_row: 100MB in this extract; else check format, quote and delimiter.',
  )
}

/** Splits at line breaks alone. */
export function lineScan(sink: RowSink): (block: Buffer, line: number, last: boolean) => Pass {
  return (block, line, last) => {
    const whole = isUtf8(block)
    let from = 0
    for (;;) {
      let end = block.indexOf(10, from)
      if (end < 0) {
        if (!last || from === block.length) return { rest: from, line }
        end = block.length
      }
      const to = end > from && block[end - 1] === 13 ? end - 1 : end
      if (to > from) hand(sink, block, from, to, line, whole)
      line++
      from = end + 1
      if (from >= block.length) return { rest: block.length, line }
    }
  }
}

/** Hands a row over, or rejects one that is not UTF-8, or begins with a mark. `whole`: its block is UTF-8, so it need not be looked at. */
export function hand(
  sink: RowSink,
  block: Buffer,
  from: number,
  to: number,
  line: number,
  whole: boolean,
): void {
  if (whole || isUtf8(block.subarray(from, to))) {
    // The file's own is gone: this one is of a file that was put behind another.
    if (block[from] === 0xef && block[from + 1] === 0xbb && block[from + 2] === 0xbf)
      sink.bad(block.toString('utf8', from, to), line, 'begins with a byte order mark')
    else sink.row(block, from, to, line)
  } else sink.bad(block.toString('latin1', from, to), line, 'is not UTF-8')
}
