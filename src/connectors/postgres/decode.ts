import type { BatchBuilder, ColumnBuilder } from '../../../engine/batch/builder.ts'
import { EngineError } from '../../../engine/errors.ts'
import { counted } from '../../../engine/plural.ts'
import { unflattened } from '../../../engine/types/logical.ts'
import { isText } from '../wire/utf8.ts'
import { decodeDate, decodeTime, decodeTimestamp } from './decodeMoment.ts'
import { decodeNumeric } from './decodeNumeric.ts'
import { appendChar, appendUuid } from './decodeText.ts'
import type { Wire } from './types.ts'

const SIGNATURE = 'PGCOPY\n\xff\r\n\0'

const BOOL = 0
const INT16 = 1
const INT32 = 2
const INT64 = 3
const DECIMAL = 4
const BYTES = 5
const DATE = 6
const TIME = 7
const TIMESTAMP = 8
const UUID = 9
const VERSIONED = 10
const CHAR = 11
const UNCHECKED = 12
const WIRES: Record<Wire, number> = {
  text: BYTES,
  output: BYTES,
  uuid: UUID,
  versioned: VERSIONED,
  char: CHAR,
}

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
  private viewed: Buffer | undefined
  private view: DataView = new DataView(new ArrayBuffer(0))
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
    // Messages of one piece lie in the same bytes.
    if (bytes !== this.viewed) {
      this.viewed = bytes
      this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    }
    while (from < to) from = this.row(bytes, this.view, from, to)
  }

  /** Checks that the stream came to its own end. */
  end(): void {
    if (!this.ended) this.fail('', 'the stream ended before its trailer')
  }

  private header(bytes: Buffer, from: number, to: number): number {
    const found = afterHeader(bytes, from, to)
    if (typeof found === 'string') this.fail('', found)
    this.started = true
    return found
  }

  private row(bytes: Buffer, view: DataView, at: number, to: number): number {
    const { columns, kinds, builder } = this
    if (this.ended) this.fail('', 'data follows the trailer')
    if (at + 2 > to) this.fail('', 'a tuple is cut')
    const count = view.getUint16(at)
    at += 2
    if (count === 0xffff) {
      this.ended = true
      return at
    }
    if (count !== columns.length)
      this.fail('', `a tuple has ${counted(count, 'field')} instead of ${columns.length}`)
    const row = builder.rows
    for (let index = 0; index < count; index++) {
      const column = columns[index]!
      if (at + 4 > to) this.fail(column.column.name, 'the field is cut')
      const length = view.getInt32(at)
      at += 4
      if (length === -1) {
        column.setNull(row)
        continue
      }
      const end = at + length
      if (length < 0 || end > to) this.fail(column.column.name, `a length of ${length} is beyond the message`)
      switch (kinds[index]) {
        case BYTES:
          column.appendFrom(row, bytes, view, at, end)
          break
        case INT32:
          if (length !== 4) this.wrong(column, length)
          column.i32[row] = view.getInt32(at)
          break
        case INT64:
          if (length !== 8) this.wrong(column, length)
          column.i32[2 * row] = view.getInt32(at + 4)
          column.i32[2 * row + 1] = view.getInt32(at)
          break
        case DECIMAL: {
          const problem = decodeNumeric(column, row, view, at, end)
          if (problem === 'NaN') builder.inexact(column, 'NaN', 'is not a number')
          else if (problem !== undefined) this.fail(column.column.name, problem)
          break
        }
        case TIMESTAMP: {
          if (length !== 8) this.wrong(column, length)
          const inexact = decodeTimestamp(column, row, bytes, at)
          if (inexact !== undefined) builder.inexact(column, inexact.value, inexact.reason)
          break
        }
        case DATE: {
          if (length !== 4) this.wrong(column, length)
          const problem = decodeDate(column, row, view.getInt32(at))
          if (typeof problem === 'string') this.fail(column.column.name, problem)
          if (problem !== undefined) builder.inexact(column, problem.value, problem.reason)
          break
        }
        case TIME:
          if (length !== 8) this.wrong(column, length)
          if (!decodeTime(column, row, bytes, at)) this.fail(column.column.name, 'a time is beyond 24:00:00')
          break
        case UUID:
          if (length !== 16) this.wrong(column, length)
          appendUuid(column, row, bytes, at)
          break
        case VERSIONED:
          if (length < 1 || bytes[at] !== 1)
            this.fail(column.column.name, `${column.column.native} is not of version 1`)
          column.append(row, bytes, at + 1, end)
          break
        case CHAR:
          if (length !== 1) this.wrong(column, length)
          appendChar(column, row, bytes[at]!)
          break
        case UNCHECKED:
          if (isText(bytes, at, end)) column.append(row, bytes, at, end)
          else builder.inexact(column, `\\x${bytes.toString('hex', at, end)}`, 'is not UTF-8')
          break
        case BOOL:
          if (length !== 1 || bytes[at]! > 1) this.wrong(column, length)
          column.u8[row] = bytes[at]!
          break
        case INT16:
          if (length !== 2) this.wrong(column, length)
          column.u16[row] = view.getUint16(at)
          break
      }
      at = end
    }
    builder.endRow()
    this.rows++
    if (builder.full) this.onFull()
    return at
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

/** Where the rows of a stream begin whose first message is `bytes[from, to)`, or what is wrong with its header. */
export function afterHeader(bytes: Buffer, from: number, to: number): number | string {
  if (to - from < 19 || bytes.toString('latin1', from, from + 11) !== SIGNATURE)
    return 'no COPY BINARY header'
  const extension = bytes.readInt32BE(from + 15)
  return extension < 0 || from + 19 + extension > to ? 'its header extension is cut' : from + 19 + extension
}

function kindOf({ column: { type, inexact, wire } }: ColumnBuilder): number {
  switch (type.kind) {
    case 'bool':
      return BOOL
    case 'int':
      return type.bits === 16 ? INT16 : type.bits === 64 ? INT64 : INT32
    // The bits, not the number: reading a signalling NaN as a number would change it.
    case 'float':
      return type.bits === 32 ? INT32 : INT64
    case 'decimal':
      return DECIMAL
    case 'date':
      return DATE
    case 'time':
      return TIME
    case 'timestamp':
      return TIMESTAMP
    case 'text':
      // Some text is inexact only where the server does not vouch for its encoding.
      return inexact === undefined ? WIRES[(wire as Wire) ?? 'text'] : UNCHECKED
    case 'binary':
      return BYTES
    case 'nested':
      return unflattened(type)
  }
}
