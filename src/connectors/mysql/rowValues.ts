import type { ColumnBuilder } from '../../../engine/batch/builder.ts'
import { EngineError } from '../../../engine/errors.ts'
import { parseDecimal } from '../wire/decimals.ts'
import { writeProduct } from '../wire/integers.ts'
import { isText } from '../wire/utf8.ts'
import type { CharacterSets } from './characterSets.ts'
import { CALENDAR, dateText, readDate, readTimestamp, ZERO } from './dates.ts'
import { integer, type ValueReader } from './loggedIntegers.ts'
import {
  decimalBytes,
  decimalText,
  fraction,
  fractionBytes,
  fractionText,
  INTEGER_BYTES,
  inet6Text,
  integerAt,
  timeText,
  uuidText,
} from './loggedTexts.ts'
import type { LoggedColumn } from './tableMap.ts'

/** How many bytes a value takes. */
export type ValueLength = (bytes: Buffer, at: number) => number

const fixed =
  (length: number): ValueLength =>
  () =>
    length
const behind =
  (width: number): ValueLength =>
  (bytes, at) =>
    width + bytes.readUIntLE(at, width)

/** How long the values of a column are; undefined of a type that we do not know. */
export function lengthOf({ type, low, high }: LoggedColumn): ValueLength | undefined {
  switch (type) {
    case 1:
    case 13:
      return fixed(1)
    case 2:
      return fixed(2)
    case 9:
    case 10:
    case 14:
    case 11:
      return fixed(3)
    case 3:
    case 4:
    case 7:
      return fixed(4)
    case 5:
    case 8:
    case 12:
      return fixed(8)
    case 6:
      return fixed(0)
    case 246:
      return fixed(decimalBytes(low, high))
    case 16:
      return fixed(high + (low > 0 ? 1 : 0))
    case 17:
      return fixed(4 + fractionBytes(low))
    case 18:
      return fixed(5 + fractionBytes(low))
    case 19:
      return fixed(3 + fractionBytes(low))
    case 15:
    case 253:
    case 254:
    case 141:
      return behind((low | (high << 8)) > 255 ? 2 : 1)
    case 247:
    case 248:
      return fixed(low)
    case 140:
    case 245:
    case 252:
    case 255:
      return behind(low)
    default:
      return undefined
  }
}

/** What writes a logged column's values into a table's; undefined where that is not known how. */
export function readerOf(
  logged: LoggedColumn,
  column: ColumnBuilder,
  sets: CharacterSets,
): ValueReader | undefined {
  const { type, low, high, unsigned } = logged
  const wanted = column.column.type
  const base = /^\w+/.exec(column.column.native)?.[0].toLowerCase() ?? ''
  const staged = wanted.kind
  switch (type) {
    case 1:
    case 2:
    case 9:
    case 3:
    case 8: {
      if (type === 8 && staged === 'int' && wanted.bits === 64 && wanted.signed !== unsigned) return eight
      const length = INTEGER_BYTES[type]!
      const value = (bytes: Buffer, at: number) => integerAt(type, unsigned, bytes, at)
      return staged === 'text'
        ? asText((bytes, at) => String(value(bytes, at)), length)
        : integer(length, value, column)
    }
    case 13: {
      const year = (bytes: Buffer, at: number) => (bytes[at] === 0 ? 0 : bytes[at]! + 1900)
      return staged === 'text'
        ? asText((bytes, at) => String(year(bytes, at)).padStart(4, '0'), 1)
        : integer(1, year, column)
    }
    case 4:
      if (staged !== 'float') return undefined
      return wanted.bits === 32
        ? (_, into, row, bytes, at) => {
            into.i32[row] = bytes.readInt32LE(at)
            return at + 4
          }
        : (_, into, row, bytes, at) => {
            into.f64[row] = bytes.readFloatLE(at)
            return at + 4
          }
    case 5:
      return staged === 'float' && wanted.bits === 64 ? eight : undefined
    case 246: {
      const length = decimalBytes(low, high)
      if (staged === 'text') return asText((bytes, at) => decimalText(bytes, at, low, high), length)
      if (staged !== 'decimal') return undefined
      return (_, into, row, bytes, at) => {
        const text = Buffer.from(decimalText(bytes, at, low, high), 'latin1')
        if (parseDecimal(into, row, text, 0, text.length) !== 0) refuse(into, text.toString('latin1'))
        return at + length
      }
    }
    case 16: {
      const length = high + (low > 0 ? 1 : 0)
      const number = (bytes: Buffer, at: number) => BigInt(`0x${bytes.toString('hex', at, at + length)}`)
      return staged === 'text'
        ? asText((bytes, at) => String(number(bytes, at)), length)
        : integer(length, number, column)
    }
    case 10:
    case 14:
      return moment(column, undefined, 3, (bytes, at) => {
        const packed = bytes.readUIntLE(at, 3)
        day(packed >> 9, (packed >> 5) & 15, packed & 31)
      })
    case 18:
      return moment(column, low, 5 + fractionBytes(low), (bytes, at) => {
        const packed = bytes.readUIntBE(at, 5) - 0x8000000000
        const date = Math.floor(packed / 0x20000)
        const clock = packed - date * 0x20000
        const months = date >> 5
        day(Math.floor(months / 13), months % 13, date & 31)
        time(clock >> 12, (clock >> 6) & 63, clock & 63, fraction(bytes, at + 5, low))
      })
    case 17: {
      const length = 4 + fractionBytes(low)
      if (staged === 'text')
        return asText((bytes, at) => {
          const seconds = bytes.readUInt32BE(at)
          const micros = fraction(bytes, at + 4, low)
          const text =
            seconds === 0 && micros === 0
              ? '0000-00-00 00:00:00'
              : new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ')
          return `${text}${fractionText(micros, low)}`
        }, length)
      if (staged !== 'timestamp') return undefined
      return (builder, into, row, bytes, at) => {
        const seconds = bytes.readUInt32BE(at)
        const micros = fraction(bytes, at + 4, low)
        if (seconds === 0 && micros === 0)
          builder.inexact(into, `0000-00-00 00:00:00${fractionText(0, low)}`, 'is a zero or partial date')
        else writeProduct(into, row, seconds, 1_000_000, micros)
        return at + length
      }
    }
    case 19:
      return staged === 'text'
        ? asText((bytes, at) => timeText(bytes, at, low), 3 + fractionBytes(low))
        : undefined
    case 247: {
      const members = logged.members.map(member => converted(logged, sets, member))
      if (staged !== 'text' || members.includes(undefined)) return undefined
      return (_, into, row, bytes, at) => {
        const number = bytes.readUIntLE(at, low)
        const member = number === 0 ? EMPTY : members[number - 1]
        if (!member) return refuse(into, `member ${number}`)
        into.append(row, member, 0, member.length)
        return at + low
      }
    }
    case 248: {
      const members = logged.members.map(member => converted(logged, sets, member)?.toString('utf8'))
      if (staged !== 'text' || members.includes(undefined)) return undefined
      return asText((bytes, at) => {
        let value = 0n
        for (let index = low - 1; index >= 0; index--) value = (value << 8n) | BigInt(bytes[at + index]!)
        return members.filter((_, index) => (value >> BigInt(index)) & 1n).join(',')
      }, low)
    }
    case 255:
      // Four bytes of the spatial reference come before the WKB.
      return staged === 'binary' ? bytesOf(low, 4) : undefined
    case 15:
    case 253:
    case 252:
    case 254: {
      const width = type === 252 ? low : (low | (high << 8)) > 255 ? 2 : 1
      if (type === 254 && ['uuid', 'inet6', 'inet4'].includes(base)) return special(base, width)
      if (staged === 'binary') return base === 'binary' ? padded(width, low | (high << 8)) : bytesOf(width, 0)
      return staged === 'text' ? text(logged, sets, width) : undefined
    }
    default:
      return undefined
  }
}

const EMPTY = Buffer.alloc(0)

function refuse(column: ColumnBuilder, value: string): never {
  throw new EngineError(
    'DECODE_FAILED',
    `${column.column.name}: the log has ${JSON.stringify(value)}, which is no ${column.column.native}`,
    { hint: 'Read the table anew: nightfreight run JOB --full-refresh TABLE.' },
  )
}

/** Eight bytes, which are as they lie in the column. */
const eight: ValueReader = (_, into, row, bytes, at) => {
  into.i32[2 * row] = bytes.readInt32LE(at)
  into.i32[2 * row + 1] = bytes.readInt32LE(at + 4)
  return at + 8
}

const asText =
  (textAt: (bytes: Buffer, at: number) => string, length: number): ValueReader =>
  (_, column, row, bytes, at) => {
    column.appendText(row, textAt(bytes, at))
    return at + length
  }

// The bytes of the wire's own notation of a moment, which the readers of extraction know.
const wire = Buffer.alloc(11)

function day(year: number, month: number, date: number): void {
  wire.writeUInt16LE(year, 0)
  wire[2] = month
  wire[3] = date
}

function time(hour: number, minute: number, second: number, micros: number): void {
  wire[4] = hour
  wire[5] = minute
  wire[6] = second
  wire.writeUInt32LE(micros, 7)
}

/** A date (`digits` undefined) or a moment without a zone; `unpack` writes it into {@link wire}. */
function moment(
  column: ColumnBuilder,
  digits: number | undefined,
  length: number,
  unpack: (bytes: Buffer, at: number) => void,
): ValueReader | undefined {
  const size = digits === undefined ? 4 : 11
  const { kind } = column.column.type
  if (kind === 'text')
    return asText((bytes, at) => {
      unpack(bytes, at)
      return dateText(wire, 0, size, digits)
    }, length)
  if (kind !== 'date' && kind !== 'timestamp') return undefined
  return (builder, into, row, bytes, at) => {
    unpack(bytes, at)
    const status =
      kind === 'date' ? readDate(into, row, wire, 0, size) : readTimestamp(into, row, wire, 0, size)
    if (status === ZERO || status === CALENDAR)
      builder.inexact(
        into,
        dateText(wire, 0, size, digits),
        status === ZERO ? 'is a zero or partial date' : 'is not a day of the calendar',
      )
    else if (status !== 0) refuse(into, bytes.toString('hex', at, at + length))
    return at + length
  }
}

const bytesOf =
  (width: number, skip: number): ValueReader =>
  (_, column, row, bytes, at) => {
    const from = at + width
    const to = from + bytes.readUIntLE(at, width)
    column.append(row, bytes, from + skip, to)
    return to
  }

/** A BINARY(n): the log leaves out zeros at its end. */
const padded =
  (width: number, length: number): ValueReader =>
  (_, column, row, bytes, at) => {
    const from = at + width
    const to = from + bytes.readUIntLE(at, width)
    const start = column.reserve(row, length)
    column.u8.set(bytes.subarray(from, to), start)
    column.u8.fill(0, start + to - from, start + length)
    return to
  }

function text(logged: LoggedColumn, sets: CharacterSets, width: number): ValueReader | undefined {
  const convert = sets.convert(sets.name(logged.collation))
  if (convert === undefined) return undefined
  return (builder, column, row, bytes, at) => {
    const from = at + width
    const to = from + bytes.readUIntLE(at, width)
    const hex = () => `0x${bytes.toString('hex', from, Math.min(to, from + 500)).toUpperCase()}`
    if (convert === null) {
      if (isText(bytes, from, to)) column.append(row, bytes, from, to)
      else builder.inexact(column, hex(), 'is not UTF-8')
      return to
    }
    const found = convert(bytes, from, to)
    if (found) column.append(row, found, 0, found.length)
    else builder.inexact(column, hex(), 'has no counterpart in Unicode')
    return to
  }
}

const converted = ({ collation }: LoggedColumn, sets: CharacterSets, bytes: Buffer): Buffer | undefined => {
  const convert = sets.convert(sets.name(collation))
  return convert === null ? bytes : convert?.(bytes, 0, bytes.length)
}

/** MariaDB's own types, whose values are bytes behind a length. */
function special(base: string, width: number): ValueReader {
  return (_, column, row, bytes, at) => {
    const from = at + width
    const to = from + bytes.readUIntLE(at, width)
    const size = base === 'inet4' ? 4 : 16
    const value = Buffer.alloc(size)
    bytes.copy(value, 0, from, to)
    column.appendText(
      row,
      base === 'uuid' ? uuidText(value) : base === 'inet4' ? value.join('.') : inet6Text(value),
    )
    return to
  }
}
