import type { BatchBuilder, ColumnBuilder } from '../../../engine/batch/builder.ts'
import { unflattened } from '../../../engine/types/logical.ts'
import { daysOf } from '../wire/days.ts'
import { parseDecimal } from '../wire/decimals.ts'
import { writeLong, writeProduct } from '../wire/integers.ts'
import { isText } from '../wire/utf8.ts'
import { appendChar } from './decodeText.ts'
import type { Wire } from './types.ts'

// The server's own notation of values (ISO dates, UTC, hexadecimal bytea, the shortest exact digits of floats), in which
// logical replication sends them, into the same columns as COPY BINARY gives.

/** Writes the value of row `row`; gives what is wrong with the bytes, where they are no such value. */
export type NotationReader = (
  builder: BatchBuilder,
  column: ColumnBuilder,
  row: number,
  bytes: Buffer,
  from: number,
  to: number,
) => string | undefined

/** What reads the notation of a column. */
export function notationReader({ column: { type, inexact, wire } }: ColumnBuilder): NotationReader {
  switch (type.kind) {
    case 'bool':
      return readBool
    case 'int':
      return type.bits === 64 ? readBigint : integer(type.bits === 16 ? 16 : 32, type.signed)
    case 'float':
      return type.bits === 32 ? readFloat : readDouble
    case 'decimal':
      return readDecimal
    case 'date':
      return readDate
    case 'time':
      return readTime
    case 'timestamp':
      return readTimestamp
    case 'nested':
      return unflattened(type)
    case 'binary':
      return readBytea
    case 'text':
      if ((wire as Wire | undefined) === 'char') return readChar
      return inexact === undefined ? readText : readUncheckedText
  }
}

const readText: NotationReader = (_, column, row, bytes, from, to) => {
  column.append(row, bytes, from, to)
  return undefined
}

const readUncheckedText: NotationReader = (builder, column, row, bytes, from, to) => {
  if (isText(bytes, from, to)) column.append(row, bytes, from, to)
  else builder.inexact(column, `\\x${bytes.toString('hex', from, to)}`, 'is not UTF-8')
  return undefined
}

// Before version 16 a byte beyond ASCII is sent as it is.
const readChar: NotationReader = (_, column, row, bytes, from, to) => {
  if (to - from === 1 && bytes[from]! > 0x7f) appendChar(column, row, bytes[from]!)
  else column.append(row, bytes, from, to)
  return undefined
}

const readBool: NotationReader = (_, column, row, bytes, from, to) => {
  if (to - from !== 1 || (bytes[from] !== T && bytes[from] !== F)) return 'is not t or f'
  column.u8[row] = bytes[from] === T ? 1 : 0
  return undefined
}

const T = 116
const F = 102
const MINUS = 45
const SPACE = 32

/** Digits bytes[from, to) as a number; NaN where there is none or another sign among them. At most 15 are exact. */
function digits(bytes: Uint8Array, from: number, to: number): number {
  if (from >= to) return Number.NaN
  let value = 0
  for (let at = from; at < to; at++) {
    const digit = bytes[at]! - 48
    if (digit < 0 || digit > 9) return Number.NaN
    value = value * 10 + digit
  }
  return value
}

function whole(bytes: Uint8Array, from: number, to: number): number {
  return bytes[from] === MINUS ? -digits(bytes, from + 1, to) : digits(bytes, from, to)
}

const integer = (bits: 16 | 32, signed: boolean): NotationReader => {
  const [least, most] = signed ? [-(2 ** (bits - 1)), 2 ** (bits - 1)] : [0, 2 ** bits]
  return (_, column, row, bytes, from, to) => {
    const value = whole(bytes, from, to)
    if (!(value >= least && value < most)) return bits === 16 ? 'is no smallint' : 'is no integer'
    if (bits === 16) column.u16[row] = value
    else column.i32[row] = value
    return undefined
  }
}

const readBigint: NotationReader = (_, column, row, bytes, from, to) => {
  if (to - from <= 15) {
    const value = whole(bytes, from, to)
    if (Number.isNaN(value)) return 'is no bigint'
    writeLong(column, row, value)
    return undefined
  }
  const text = bytes.toString('latin1', from, to)
  if (!/^-?\d{1,20}$/.test(text)) return 'is no bigint'
  column.big[row] = BigInt.asIntN(64, BigInt(text))
  return undefined
}

const NUMBER = /^-?(\d+(\.\d*)?([eE][+-]?\d+)?|Infinity)$|^NaN$/

const readDouble: NotationReader = (_, column, row, bytes, from, to) => {
  const text = bytes.toString('latin1', from, to)
  if (!NUMBER.test(text)) return 'is no number'
  column.f64[row] = Number(text)
  return undefined
}

const readFloat: NotationReader = (_, column, row, bytes, from, to) => {
  const text = bytes.toString('latin1', from, to)
  if (!NUMBER.test(text)) return 'is no number'
  column.f32[row] = Number(text)
  return undefined
}

const readDecimal: NotationReader = (builder, column, row, bytes, from, to) => {
  if (parseDecimal(column, row, bytes, from, to) === 0) return undefined
  const text = bytes.toString('latin1', from, to)
  if (text !== 'NaN') return 'has more digits than its column'
  builder.inexact(column, 'NaN', 'is not a number')
  return undefined
}

/** The day that `YYYY-MM-DD` is, from 1970-01-01; NaN where it is none. `dash`: of the one behind the year. */
function dayOf(bytes: Uint8Array, from: number, dash: number, era: boolean): number {
  const year = digits(bytes, from, dash)
  const month = digits(bytes, dash + 1, dash + 3)
  const day = digits(bytes, dash + 4, dash + 6)
  if (!(month >= 1 && month <= 12 && day >= 1 && day <= 31)) return Number.NaN
  return daysOf(era ? 1 - year : year, month, day)
}

// ` BC` ends it.
const isBefore = (bytes: Uint8Array, to: number) => bytes[to - 1] === 67 && bytes[to - 2] === 66

const isInfinite = (bytes: Buffer, from: number, to: number) =>
  bytes.toString('latin1', to - 8, to) === 'infinity' && to - from <= 9

const readDate: NotationReader = (builder, column, row, bytes, from, to) => {
  if (isInfinite(bytes, from, to)) {
    builder.inexact(column, bytes.toString('latin1', from, to), 'is not a day')
    return undefined
  }
  const day = dayOf(bytes, from, bytes.indexOf(MINUS, from), isBefore(bytes, to))
  if (Number.isNaN(day)) return 'is no date'
  column.i32[row] = day
  return undefined
}

// Left here by `clock`, since a second result would cost an object.
let seconds = 0
let micros = 0

/** Reads `HH:MM:SS` and up to six digits behind a point; gives where it ends, -1 where it is none. */
function clock(bytes: Uint8Array, from: number, to: number): number {
  const hour = digits(bytes, from, from + 2)
  const minute = digits(bytes, from + 3, from + 5)
  const second = digits(bytes, from + 6, from + 8)
  seconds = hour * 3600 + minute * 60 + second
  micros = 0
  if (!(hour <= 24 && minute < 60 && second < 60) || from + 8 > to) return -1
  let at = from + 8
  if (bytes[at] !== 46 || at >= to) return at
  let unit = 100_000
  for (at++; at < to; at++) {
    const digit = bytes[at]! - 48
    if (digit < 0 || digit > 9) break
    micros += digit * unit
    unit = Math.floor(unit / 10)
  }
  return at
}

const readTime: NotationReader = (_, column, row, bytes, from, to) => {
  if (clock(bytes, from, to) !== to) return 'is no time of day'
  writeProduct(column, row, seconds, 1_000_000, micros)
  return undefined
}

// Seconds of the last moment that DuckDB holds, 294247-01-10 04:00:54.775806.
const LAST_SECOND = 9_223_372_036_854
const LAST_MICRO = 775_806

const readTimestamp: NotationReader = (builder, column, row, bytes, from, to) => {
  if (isInfinite(bytes, from, to)) {
    builder.inexact(column, bytes.toString('latin1', from, to), 'is not a moment')
    return undefined
  }
  const dash = bytes.indexOf(MINUS, from)
  const day = dayOf(bytes, from, dash, isBefore(bytes, to))
  const space = dash + 6
  // A date, where the column was one before it became a timestamp.
  const end =
    space < to && bytes[space] === SPACE && bytes[space + 1] !== 66 ? clock(bytes, space + 1, to) : space
  if (end === space) {
    seconds = 0
    micros = 0
  }
  if (end < 0 || Number.isNaN(day)) return 'is no moment'
  const rest = bytes.toString('latin1', end, to)
  if (rest !== '' && rest !== '+00' && rest !== ' BC' && rest !== '+00 BC') return 'is no moment in UTC'
  const total = day * 86_400 + seconds
  if (total > LAST_SECOND || (total === LAST_SECOND && micros > LAST_MICRO)) {
    builder.inexact(column, bytes.toString('latin1', from, to), 'is beyond 294247-01-10 04:00:54')
    return undefined
  }
  writeProduct(column, row, total, 1_000_000, micros)
  return undefined
}

const readBytea: NotationReader = (_, column, row, bytes, from, to) => {
  if (bytes[from] !== 92 || bytes[from + 1] !== 120 || (to - from) % 2 !== 0) return 'is no hexadecimal bytea'
  const length = (to - from - 2) / 2
  const at = column.reserve(row, length)
  const written = (column.u8 as Uint8Array).subarray(at, at + length)
  let problem = false
  for (let index = 0, place = from + 2; index < length; index++, place += 2) {
    const high = NIBBLES[bytes[place]!]!
    const low = NIBBLES[bytes[place + 1]!]!
    if ((high | low) > 15) problem = true
    written[index] = (high << 4) | low
  }
  return problem ? 'is no hexadecimal bytea' : undefined
}

const NIBBLES = Uint8Array.from({ length: 256 }, (_, code) => {
  const value = Number.parseInt(String.fromCharCode(code), 16)
  return Number.isNaN(value) ? 16 : value
})
