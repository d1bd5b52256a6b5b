import { type BatchBuilder, type ColumnBuilder, REJECTED } from '../../../engine/batch/builder.ts'
import { EngineError } from '../../../engine/errors.ts'
import type { LogicalType } from '../../../engine/types/logical.ts'
import { CALENDAR, parseDate, parseTimestamp, ZERO } from './dates.ts'
import { parseDecimal } from './decimals.ts'
import { parseFloatText } from './floats.ts'
import { parseInteger } from './integers.ts'

const INEXACT: Record<number, string> = {
  [ZERO]: 'is a zero or partial date',
  [CALENDAR]: 'is not a day of the calendar',
}

const KIND = { bytes: 0, int: 1, decimal: 2, float: 3, date: 4, timestamp: 5 } as const

/**
 * Decodes rows of MySQL's text protocol straight into a builder's columns: no strings and no objects per value.
 * A row packet is one length-encoded string (or NULL) per column and nothing else; whatever departs from that is
 * DECODE_FAILED, never a guess.
 */
export class RowDecoder {
  /** Rows decoded so far, across batches. */
  position = 0
  private readonly where: string
  private readonly part: string
  private readonly builder: BatchBuilder
  private readonly columns: ColumnBuilder[]
  private readonly kinds: Uint8Array

  /**
   * `where` names the table in errors, `part` the chunk whose rows are counted. The builder's {@link REJECTED}
   * column is not expected in packets.
   */
  constructor(where: string, builder: BatchBuilder, part = '') {
    this.where = where
    this.part = part && ` of ${part}`
    this.builder = builder
    this.columns = builder.columns.filter(({ column }) => column.name !== REJECTED)
    this.kinds = Uint8Array.from(this.columns, ({ column }) => kindOf(where, column.name, column.type))
  }

  /** Decodes the row packet whose payload is `buffer[offset, end)` as the builder's next row, and ends that row. */
  decode(buffer: Buffer, offset: number, end: number): void {
    const { columns, kinds } = this
    const row = this.builder.rows
    let at = offset
    for (let index = 0; index < columns.length; index++) {
      const column = columns[index]!
      if (at >= end) this.fail(column, 'the packet ends before this column')
      let length = buffer[at++]!
      if (length === 0xfb) {
        column.setNull(row)
        continue
      }
      if (length > 0xfb) {
        const width = length === 0xfc ? 2 : length === 0xfd ? 3 : length === 0xfe ? 8 : 0
        if (width === 0) this.fail(column, 'a length starts with 0xff')
        if (at + width > end) this.fail(column, 'the packet ends within a length')
        length = buffer[at]! + buffer[at + 1]! * 0x100
        if (width > 2) length += buffer[at + 2]! * 0x10000
        if (width > 3) length += buffer[at + 3]! * 0x1000000 + buffer.readUInt32LE(at + 4) * 0x100000000
        at += width
      }
      const to = at + length
      if (to > end) this.fail(column, `a value of ${length} bytes in a packet with ${end - at} left`)
      const status = parse(kinds[index]!, column, row, buffer, at, to)
      if (status !== 0) this.refuse(status, column, buffer, at, to)
      at = to
    }
    if (at !== end) this.fail(undefined, `${end - at} bytes follow the last column`)
    this.builder.endRow()
    this.position++
  }

  private refuse(status: number, column: ColumnBuilder, buffer: Buffer, from: number, to: number): void {
    const reason = INEXACT[status]
    if (reason !== undefined) {
      this.builder.inexact(column, buffer.toString('latin1', from, to), reason)
      return
    }
    const text = JSON.stringify(buffer.toString('latin1', from, Math.min(to, from + 60)))
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

// Gives 0, or why the bytes were not written: BAD, or one of the INEXACT reasons.
function parse(kind: number, column: ColumnBuilder, row: number, buffer: Buffer, from: number, to: number) {
  switch (kind) {
    case KIND.int:
      return parseInteger(column, row, buffer, from, to)
    case KIND.decimal:
      return parseDecimal(column, row, buffer, from, to)
    case KIND.float:
      return parseFloatText(column, row, buffer, from, to)
    case KIND.date:
      return parseDate(column, row, buffer, from, to)
    case KIND.timestamp:
      return parseTimestamp(column, row, buffer, from, to)
    default:
      column.append(row, buffer, from, to)
      return 0
  }
}

function kindOf(where: string, name: string, type: LogicalType): number {
  switch (type.kind) {
    case 'text':
    case 'binary':
      return KIND.bytes
    case 'int':
    case 'decimal':
    case 'float':
    case 'date':
    case 'timestamp':
      return KIND[type.kind]
    default:
      throw new EngineError('TYPE_UNSUPPORTED', `${where}.${name}: MySQL has no values of type ${type.kind}`)
  }
}
