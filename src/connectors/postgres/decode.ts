import type { BatchBuilder, ColumnBuilder } from '../../../engine/batch/builder.ts'
import { EngineError } from '../../../engine/errors.ts'
import { decodeNumeric } from './decodeNumeric.ts'

/** Days and microseconds from 1970-01-01 to Postgres's epoch, 2000-01-01. */
const EPOCH_DAYS = 10_957
const EPOCH_MICROS = 946_684_800_000_000
const TWO32 = 0x100000000
const SIGNATURE = 'PGCOPY\n\xff\r\n\0'

const BOOL = 0
const INT16 = 1
const INT32 = 2
const INT64 = 3
const FLOAT32 = 4
const FLOAT64 = 5
const DECIMAL = 6
const BYTES = 7
const DATE = 8
const TIME = 9
const TIMESTAMP = 10

/**
 * Decodes COPY BINARY (PostgreSQL documentation, COPY, "Binary Format") into columns. One COPY message holds a
 * whole number of tuples or the header, as the server sends them; {@link message} takes one at a time.
 */
export class CopyDecoder {
  private readonly where: string
  private readonly builder: BatchBuilder
  private readonly columns: ColumnBuilder[]
  private readonly kinds: Uint8Array
  private readonly onFull: () => void
  private rows = 0
  private started = false
  private ended = false

  /** `count` columns are sent; the builder may have one more of its own. `onFull` must empty the builder. */
  constructor(where: string, builder: BatchBuilder, count: number, onFull: () => void) {
    this.where = where
    this.builder = builder
    this.columns = builder.columns.slice(0, count)
    this.kinds = Uint8Array.from(this.columns, kindOf)
    this.onFull = onFull
  }

  /** Decodes the CopyData payload `bytes[from, to)`. Fails with DECODE_FAILED. */
  message(bytes: Buffer, from: number, to: number): void {
    if (!this.started) from = this.header(bytes, from, to)
    while (from < to) from = this.row(bytes, from, to)
  }

  /** Checks that the stream came to its own end. */
  end(): void {
    if (!this.ended) this.fail('', 'the stream ended before its trailer')
  }

  private header(bytes: Buffer, from: number, to: number): number {
    if (to - from < 19 || bytes.toString('latin1', from, from + 11) !== SIGNATURE)
      this.fail('', 'no COPY BINARY header')
    const extension = bytes.readInt32BE(from + 15)
    if (extension < 0 || from + 19 + extension > to) this.fail('', 'its header extension is cut')
    this.started = true
    return from + 19 + extension
  }

  private row(bytes: Buffer, at: number, to: number): number {
    const { columns, kinds, builder } = this
    if (this.ended) this.fail('', 'data follows the trailer')
    if (at + 2 > to) this.fail('', 'a tuple is cut')
    const count = (bytes[at]! << 8) | bytes[at + 1]!
    at += 2
    if (count === 0xffff) {
      this.ended = true
      return at
    }
    if (count !== columns.length) this.fail('', `a tuple has ${count} fields instead of ${columns.length}`)
    const row = builder.rows
    for (let index = 0; index < count; index++) {
      const column = columns[index]!
      if (at + 4 > to) this.fail(column.column.name, 'the field is cut')
      const length = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
      at += 4
      if (length === -1) {
        column.setNull(row)
        continue
      }
      const end = at + length
      if (length < 0 || end > to) this.fail(column.column.name, `a length of ${length} is beyond the message`)
      switch (kinds[index]) {
        case BYTES:
          column.append(row, bytes, at, end)
          break
        case INT32:
          if (length !== 4) this.wrong(column, length)
          column.i32[row] =
            (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
          break
        case INT64:
        case TIME:
          if (length !== 8) this.wrong(column, length)
          column.i32[2 * row] =
            (bytes[at + 4]! << 24) | (bytes[at + 5]! << 16) | (bytes[at + 6]! << 8) | bytes[at + 7]!
          column.i32[2 * row + 1] =
            (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
          break
        case DECIMAL: {
          const problem = decodeNumeric(column, row, bytes, at, end)
          if (problem === 'NaN') builder.inexact(column, 'NaN', 'is not a number')
          else if (problem !== undefined) this.fail(column.column.name, problem)
          break
        }
        case TIMESTAMP:
          if (length !== 8) this.wrong(column, length)
          this.timestamp(column, row, bytes, at)
          break
        case DATE:
          if (length !== 4) this.wrong(column, length)
          this.date(column, row, bytes.readInt32BE(at))
          break
        case BOOL:
          if (length !== 1 || bytes[at]! > 1) this.wrong(column, length)
          column.u8[row] = bytes[at]!
          break
        case INT16:
          if (length !== 2) this.wrong(column, length)
          column.u16[row] = (bytes[at]! << 8) | bytes[at + 1]!
          break
        case FLOAT64:
          if (length !== 8) this.wrong(column, length)
          column.f64[row] = bytes.readDoubleBE(at)
          break
        case FLOAT32:
          if (length !== 4) this.wrong(column, length)
          // The bits, not the number: reading a signalling NaN as a number would change it.
          column.i32[row] = bytes.readInt32BE(at)
          break
      }
      at = end
    }
    builder.endRow()
    this.rows++
    if (builder.full) this.onFull()
    return at
  }

  private timestamp(column: ColumnBuilder, row: number, bytes: Buffer, at: number): void {
    const high = bytes.readInt32BE(at)
    const low = bytes.readUInt32BE(at + 4)
    if ((high === 0x7fffffff && low === 0xffffffff) || (high === -0x80000000 && low === 0)) {
      this.builder.inexact(column, high > 0 ? 'infinity' : '-infinity', 'is not a moment')
      return
    }
    // Up to year 294276, beyond 2^53 microseconds: halves are added apart.
    const sum = low + (EPOCH_MICROS % TWO32)
    const top = high + Math.floor(EPOCH_MICROS / TWO32) + (sum >= TWO32 ? 1 : 0)
    if (top > 0x7fffffff) {
      const micros = bytes.readBigInt64BE(at)
      this.builder.inexact(column, `2000-01-01 + ${micros} µs`, 'is beyond year 294246')
      return
    }
    column.i32[2 * row] = sum | 0
    column.i32[2 * row + 1] = top
  }

  private date(column: ColumnBuilder, row: number, days: number): void {
    if (days === 0x7fffffff || days === -0x80000000)
      this.builder.inexact(column, days > 0 ? 'infinity' : '-infinity', 'is not a day')
    else column.i32[row] = days + EPOCH_DAYS
  }

  private wrong(column: ColumnBuilder, length: number): never {
    this.fail(column.column.name, `${length} bytes are not a ${column.column.native}`)
  }

  private fail(column: string, problem: string): never {
    throw new EngineError(
      'DECODE_FAILED',
      `${this.where}${column ? `.${column}` : ''}: row ${this.rows + 1} of the chunk: ${problem}`,
      { hint: 'The connection sent what COPY BINARY does not allow; run again, and report it if it stays.' },
    )
  }
}

function kindOf({ column: { type } }: ColumnBuilder): number {
  switch (type.kind) {
    case 'bool':
      return BOOL
    case 'int':
      return type.bits === 16 ? INT16 : type.bits === 64 ? INT64 : INT32
    case 'float':
      return type.bits === 32 ? FLOAT32 : FLOAT64
    case 'decimal':
      return DECIMAL
    case 'date':
      return DATE
    case 'time':
      return TIME
    case 'timestamp':
      return TIMESTAMP
    case 'text':
    case 'binary':
      return BYTES
  }
}
