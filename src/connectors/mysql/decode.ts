import { type BatchBuilder, type ColumnBuilder, REJECTED } from '../../../engine/batch/builder.ts'
import { EngineError } from '../../../engine/errors.ts'
import { counted } from '../../../engine/plural.ts'
import type { LogicalType } from '../../../engine/types/logical.ts'
import { parseDecimal } from '../wire/decimals.ts'
import { readBits, word } from '../wire/integers.ts'
import { isText } from '../wire/utf8.ts'
import { CALENDAR, dateText, readDate, readTimestamp, ZERO } from './dates.ts'
import { isMarked } from './types.ts'

/** What the answer's own definition says of a column. */
export interface WireColumn {
  type: number
  unsigned: boolean
  /** Digits of a timestamp's fraction. */
  decimals: number
}

// Types of the wire (MySQL Internals, "Column Types") whose value is as wide as its column, hence copied.
const TINY = 1
const SHORT = 2
const LONG = 3
const FLOAT = 4
const DOUBLE = 5
const LONGLONG = 8
const INT24 = 9
const YEAR = 13
// Values behind their length.
const TIMESTAMP = 7
const DATE = 10
const DATETIME = 12
const BIT = 16
const NEWDECIMAL = 246
/** null (of a view's NULL, in which no value ever lies), varchar, json, enum, set, tinyblob, mediumblob, longblob, blob, var_string, string, geometry. */
const BYTES = new Set([6, 15, 245, 247, 248, 249, 250, 251, 252, 253, 254, 255])

const KIND = {
  bytes: 0,
  w1: 1,
  w2: 2,
  w4: 3,
  w8: 4,
  decimal: 5,
  date: 6,
  timestamp: 7,
  bit: 8,
  text: 9,
  marked: 10,
} as const

/**
 * Decodes rows of MySQL's binary protocol straight into a builder's columns: no strings and no objects per value.
 * A row packet is a zero byte, a bitmap of NULLs and the values one behind the other; whatever departs from that
 * is DECODE_FAILED, never a guess.
 */
export class RowDecoder {
  /** Rows decoded so far, across batches. */
  position = 0
  private readonly where: string
  private readonly part: string
  private readonly builder: BatchBuilder
  private readonly columns: ColumnBuilder[]
  private readonly wire: WireColumn[]
  private readonly kinds: Uint8Array

  /**
   * `where` names the table in errors, `part` the chunk whose rows are counted. The builder's {@link REJECTED}
   * column is not expected in packets. Fails with DECODE_FAILED where `wire` is not what was described.
   */
  constructor(where: string, builder: BatchBuilder, wire: WireColumn[], part = '') {
    this.where = where
    this.part = part && ` of ${part}`
    this.builder = builder
    this.columns = builder.columns.filter(({ column }) => column.name !== REJECTED)
    this.wire = wire
    if (wire.length !== this.columns.length)
      throw new EngineError(
        'DECODE_FAILED',
        `${where}: ${counted(wire.length, 'column')} came instead of the ${this.columns.length} that were asked for`,
      )
    this.kinds = Uint8Array.from(this.columns, ({ column }, index) => {
      const { type, unsigned } = wire[index]!
      const kind = kindOf(column.type, type, unsigned)
      if (kind === KIND.bytes && column.type.kind === 'text')
        return isMarked(column) ? KIND.marked : KIND.text
      if (kind !== undefined) return kind
      throw new EngineError(
        'DECODE_FAILED',
        `${where}.${column.name}: described as ${column.native}, but the server sends type ${type}${unsigned ? ' unsigned' : ''}`,
        {
          hint: `Altered since the run began? Then start a new run. Otherwise set columns.${column.name} to text.`,
        },
      )
    })
  }

  /** Decodes the row packet whose payload is `buffer[offset, end)` as the builder's next row, and ends that row. */
  decode(buffer: Buffer, offset: number, end: number): void {
    const { columns, kinds } = this
    const row = this.builder.rows
    const count = columns.length
    // The bitmap's first two bits are of no use.
    const bitmap = offset + 1
    let at = bitmap + ((count + 9) >> 3)
    if (at > end) this.fail(undefined, 'the packet ends within the bitmap of NULLs')
    for (let index = 0; index < count; index++) {
      const column = columns[index]!
      if ((buffer[bitmap + ((index + 2) >> 3)]! & (1 << ((index + 2) & 7))) !== 0) {
        column.setNull(row)
        continue
      }
      const kind = kinds[index]!
      if (kind !== KIND.bytes && kind <= KIND.w8) {
        const from = at
        at += 1 << (kind - 1)
        if (at > end) this.fail(column, 'the packet ends within this column')
        if (kind === KIND.w4) column.i32[row] = word(buffer, from)
        else if (kind === KIND.w8) {
          column.i32[2 * row] = word(buffer, from)
          column.i32[2 * row + 1] = word(buffer, from + 4)
        } else if (kind === KIND.w1) column.u8[row] = buffer[from]!
        else column.u16[row] = buffer[from]! | (buffer[from + 1]! << 8)
        continue
      }
      if (at >= end) this.fail(column, 'the packet ends before this column')
      let length = buffer[at++]!
      if (length > 0xfa) {
        const width = length === 0xfc ? 2 : length === 0xfd ? 3 : length === 0xfe ? 8 : 0
        if (width === 0) this.fail(column, `a length starts with 0x${length.toString(16)}`)
        if (at + width > end) this.fail(column, 'the packet ends within a length')
        length = buffer.readUIntLE(at, Math.min(width, 6))
        if (width === 8) length += buffer.readUInt16LE(at + 6) * 2 ** 48
        at += width
      }
      const to = at + length
      if (to > end)
        this.fail(column, `a value of ${counted(length, 'byte')} in a packet with ${end - at} left`)
      if (kind === KIND.bytes) column.append(row, buffer, at, to)
      else if (kind >= KIND.text) this.text(column, row, buffer, kind === KIND.marked ? at++ : -1, at, to)
      else {
        let status: number
        if (kind === KIND.decimal) status = parseDecimal(column, row, buffer, at, to)
        else if (kind === KIND.date) status = readDate(column, row, buffer, at, length)
        else if (kind === KIND.bit) status = readBits(column, row, buffer, at, to)
        else status = readTimestamp(column, row, buffer, at, length)
        if (status !== 0) this.refuse(status, index, buffer, at, to)
      }
      at = to
    }
    if (at !== end) this.fail(undefined, `the last column is followed by ${counted(end - at, 'byte')}`)
    this.builder.endRow()
    this.position++
  }

  /** A text; `mark` is where the byte lies that says what follows, or -1 where there is none. */
  private text(
    column: ColumnBuilder,
    row: number,
    buffer: Buffer,
    mark: number,
    from: number,
    to: number,
  ): void {
    const kind = mark < 0 ? 0 : buffer[mark]!
    if (kind === 1)
      this.builder.inexact(
        column,
        `0x${buffer.toString('latin1', from, to)}`,
        'has no counterpart in Unicode',
      )
    else if (kind !== 0) this.fail(column, 'the value is longer than max_allowed_packet')
    else if (isText(buffer, from, to)) column.append(row, buffer, from, to)
    else this.builder.inexact(column, `0x${buffer.toString('hex', from, to).toUpperCase()}`, 'is not UTF-8')
  }

  private refuse(status: number, index: number, buffer: Buffer, from: number, to: number): void {
    const column = this.columns[index]!
    const kind = this.kinds[index]!
    if (status === ZERO || status === CALENDAR) {
      const decimals = kind === KIND.timestamp ? this.wire[index]!.decimals : undefined
      const reason = status === ZERO ? 'is a zero or partial date' : 'is not a day of the calendar'
      this.builder.inexact(column, dateText(buffer, from, to - from, decimals), reason)
      return
    }
    const encoding = kind === KIND.decimal ? 'latin1' : 'hex'
    const text = JSON.stringify(buffer.toString(encoding, from, Math.min(to, from + 60)))
    this.fail(column, `${text} is not a value of type ${column.column.native}`)
  }

  private fail(column: ColumnBuilder | undefined, what: string): never {
    const place = column ? `${this.where}.${column.column.name}` : this.where
    throw new EngineError(
      'DECODE_FAILED',
      `${place}: row ${this.position + 1}${this.part} cannot be decoded: ${what}`,
    )
  }
}

// How a column's values lie on the wire; undefined where the wire's type is another than the column's.
function kindOf(logical: LogicalType, type: number, unsigned: boolean): number | undefined {
  switch (logical.kind) {
    case 'text':
    case 'binary':
      return BYTES.has(type) || (type === NEWDECIMAL && logical.kind === 'text') ? KIND.bytes : undefined
    case 'int':
      if (type === BIT && logical.bits === 64 && !logical.signed) return KIND.bit
      if (type === YEAR && logical.bits === 16) return KIND.w2
      if (unsigned === logical.signed) return undefined
      if (type === TINY && logical.bits === 8) return KIND.w1
      if (type === SHORT && logical.bits === 16) return KIND.w2
      if ((type === LONG || type === INT24) && logical.bits === 32) return KIND.w4
      return type === LONGLONG && logical.bits === 64 ? KIND.w8 : undefined
    case 'float':
      if (type === FLOAT && logical.bits === 32) return KIND.w4
      return type === DOUBLE && logical.bits === 64 ? KIND.w8 : undefined
    case 'decimal':
      return type === NEWDECIMAL ? KIND.decimal : undefined
    case 'date':
      return type === DATE ? KIND.date : undefined
    case 'timestamp':
      return type === DATETIME || type === TIMESTAMP ? KIND.timestamp : undefined
    default:
      return undefined
  }
}
