import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/** Bytes of rows that are parsed at a time. */
const BLOCK = 32 * 1024 * 1024
/** Bytes of rejected rows' text held at most. */
const REJECTS = 4 * 1024 * 1024
/** Characters of a rejected row that the quarantine keeps. */
const RAW = 64 * 1024

/** Separates our own two fields from the row: never a delimiter that a job may choose, and no digit. */
const NEWLINE = 10

/** A row, or a whole file, that is none: where it is, its raw text, and why. */
export interface Reject {
  /** `orders.csv line 17`; the quarantine shows it where a column's name stands. */
  column: string
  value: string
  reason: string
}

/**
 * Rows on their way to DuckDB: each one's bytes as they came, behind the number of its file and of its line. Full, or
 * asked to, it writes them to a file and has that parsed. Rows after a {@link mark} can be taken back.
 */
export class RowSpool {
  private buffer = Buffer.allocUnsafe(BLOCK)
  private used = 0
  private marked = 0
  private rejects: Reject[] = []
  private rejectBytes = 0
  private markedRejects = 0
  private readonly folder: string
  private readonly parse: (path: string | undefined, rejects: Reject[]) => Promise<void>

  /** `parse` is given a file of rows (none where all are rejects), which is gone afterwards. */
  constructor(folder: string, parse: (path: string | undefined, rejects: Reject[]) => Promise<void>) {
    this.folder = folder
    this.parse = parse
  }

  /** Whether `bytes` more fit. */
  fits(bytes: number): boolean {
    return this.used + bytes + 64 <= BLOCK && this.rejectBytes < REJECTS
  }

  /** Adds `source[from, to)` as a row, whatever its length. `separator` is the byte between fields. */
  add(file: number, line: number, separator: number, source: Uint8Array, from: number, to: number): void {
    if (this.used + to - from + 64 > this.buffer.length) this.grow(this.used + to - from + 64)
    const { buffer } = this
    let at = digits(buffer, this.used, file)
    buffer[at++] = separator
    at = digits(buffer, at, line)
    buffer[at++] = separator
    const length = to - from
    // A native copy costs more than a short loop until about three dozen bytes.
    if (length > 36) buffer.set(source.subarray(from, to), at)
    else for (let index = 0; index < length; index++) buffer[at + index] = source[from + index]!
    at += length
    buffer[at++] = NEWLINE
    this.used = at
  }

  private grow(length: number): void {
    const grown = Buffer.allocUnsafe(length)
    this.buffer.copy(grown, 0, 0, this.used)
    this.buffer = grown
  }

  reject(reject: Reject): void {
    const value = reject.value.length > RAW ? `${reject.value.slice(0, RAW)}…` : reject.value
    this.rejects.push({ ...reject, value })
    this.rejectBytes += value.length + 200
  }

  /** What is there so far stays whatever comes of the next rows. */
  mark(): void {
    this.marked = this.used
    this.markedRejects = this.rejects.length
  }

  /** Takes the rows since the mark back: those that are still here. */
  takeBack(): void {
    this.used = this.marked
    this.rejects.length = this.markedRejects
  }

  /** Parses the rows before the mark, or all of them. */
  async flush(which: 'marked' | 'all'): Promise<void> {
    const until = which === 'all' ? this.used : this.marked
    const rejects = this.rejects.splice(0, which === 'all' ? this.rejects.length : this.markedRejects)
    this.rejectBytes = this.rejects.reduce((sum, { value }) => sum + value.length + 200, 0)
    if (until > 0 || rejects.length > 0) {
      const path = join(this.folder, 'rows.csv')
      if (until > 0) writeAll(path, this.buffer.subarray(0, until))
      try {
        await this.parse(until > 0 ? path : undefined, rejects)
      } finally {
        rmSync(path, { force: true })
      }
    }
    this.buffer.copyWithin(0, until, this.used)
    this.used -= until
    this.marked = 0
    this.markedRejects = 0
  }

  /** Whether rows wait before the mark. */
  get hasMarked(): boolean {
    return this.marked > 0 || this.markedRejects > 0
  }
}

function digits(buffer: Buffer, at: number, value: number): number {
  let power = 1
  while (power * 10 <= value) power *= 10
  for (; power >= 1; power /= 10) buffer[at++] = 48 + (Math.floor(value / power) % 10)
  return at
}

function writeAll(path: string, bytes: Uint8Array): void {
  const handle = openSync(path, 'w')
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(handle, bytes, at)
  } finally {
    closeSync(handle)
  }
}
