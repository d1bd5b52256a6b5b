import type { ColumnBuilder } from '../../../engine/batch/builder.ts'
import { BAD, writeProduct } from './integers.ts'

/** A date with a zero month or day, such as 0000-00-00. */
export const ZERO = 2
/** A day that no calendar has, such as 2026-02-31 (stored under ALLOW_INVALID_DATES). */
export const CALENDAR = 3

const NOT_DIGITS = -1
const DAYS_BEFORE_EPOCH = 719468
const MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

function two(bytes: Uint8Array, at: number): number {
  const tens = bytes[at]! - 48
  const ones = bytes[at + 1]! - 48
  return tens < 0 || tens > 9 || ones < 0 || ones > 9 ? NOT_DIGITS : tens * 10 + ones
}

// The day's number is left here, since a second result would cost an object.
let days = 0

function parseDay(bytes: Uint8Array, at: number): number {
  const century = two(bytes, at)
  const short = two(bytes, at + 2)
  const month = two(bytes, at + 5)
  const day = two(bytes, at + 8)
  if (century < 0 || short < 0 || month < 0 || day < 0 || bytes[at + 4] !== 45 || bytes[at + 7] !== 45)
    return BAD
  if (month === 0 || day === 0) return ZERO
  if (month > 12) return CALENDAR
  let year = century * 100 + short
  const leap = month === 2 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 1 : 0
  if (day > MONTH_DAYS[month - 1]! + leap) return CALENDAR
  // Days since the first of March of year 0, so that the leap day comes last.
  if (month < 3) year--
  const era = Math.floor(year / 400)
  const yearOfEra = year - era * 400
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1
  const leaps = Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100)
  days = era * 146097 + yearOfEra * 365 + leaps + dayOfYear - DAYS_BEFORE_EPOCH
  return 0
}

/** `2026-01-31` as days since 1970-01-01. */
export function parseDate(
  column: ColumnBuilder,
  row: number,
  bytes: Uint8Array,
  from: number,
  to: number,
): number {
  if (to - from !== 10) return BAD
  const status = parseDay(bytes, from)
  if (status === 0) column.i32[row] = days
  return status
}

/** `2026-01-31 23:55:00[.ffffff]` as microseconds since 1970-01-01T00:00. */
export function parseTimestamp(
  column: ColumnBuilder,
  row: number,
  bytes: Uint8Array,
  from: number,
  to: number,
): number {
  const length = to - from
  if (length !== 19 && (length < 21 || length > 26)) return BAD
  const hours = two(bytes, from + 11)
  const minutes = two(bytes, from + 14)
  const seconds = two(bytes, from + 17)
  if (bytes[from + 10] !== 32 || bytes[from + 13] !== 58 || bytes[from + 16] !== 58) return BAD
  if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59 || seconds < 0 || seconds > 59) return BAD
  let micros = 0
  if (length > 19) {
    if (bytes[from + 19] !== 46) return BAD
    for (let at = from + 20; at < from + 26; at++) {
      const digit = at < to ? bytes[at]! - 48 : 0
      if (digit < 0 || digit > 9) return BAD
      micros = micros * 10 + digit
    }
  }
  const status = parseDay(bytes, from)
  if (status !== 0) return status
  writeProduct(column, row, days * 86400 + hours * 3600 + minutes * 60 + seconds, 1e6, micros)
  return 0
}
