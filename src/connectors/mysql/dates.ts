import type { ColumnBuilder } from '../../../engine/batch/builder.ts'
import { daysOf } from '../wire/days.ts'
import { BAD, word, writeProduct } from '../wire/integers.ts'

/** A date with a zero month or day, such as 0000-00-00. */
export const ZERO = 2
/** A day that no calendar has, such as 2026-02-31 (stored under ALLOW_INVALID_DATES). */
export const CALENDAR = 3

const MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

// The day's number is left here, since a second result would cost an object.
let days = 0

function readDay(bytes: Uint8Array, at: number): number {
  const year = bytes[at]! | (bytes[at + 1]! << 8)
  const month = bytes[at + 2]!
  const day = bytes[at + 3]!
  if (year > 9999 || month > 99 || day > 99) return BAD
  if (month === 0 || day === 0) return ZERO
  if (month > 12) return CALENDAR
  const leap = month === 2 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 1 : 0
  if (day > MONTH_DAYS[month - 1]! + leap) return CALENDAR
  days = daysOf(year, month, day)
  return 0
}

/** Year (two bytes), month, day as days since 1970-01-01; no bytes are 0000-00-00. */
export function readDate(
  column: ColumnBuilder,
  row: number,
  bytes: Uint8Array,
  at: number,
  length: number,
): number {
  if (length === 0) return ZERO
  if (length !== 4) return BAD
  const status = readDay(bytes, at)
  if (status === 0) column.i32[row] = days
  return status
}

/**
 * A date, then hours, minutes, seconds, then microseconds (four bytes), as microseconds since 1970-01-01T00:00.
 * The server leaves out what is zero at the end: 0, 4, 7 or 11 bytes.
 */
export function readTimestamp(
  column: ColumnBuilder,
  row: number,
  bytes: Uint8Array,
  at: number,
  length: number,
): number {
  if (length === 0) return ZERO
  if (length !== 4 && length !== 7 && length !== 11) return BAD
  let seconds = 0
  let micros = 0
  if (length > 4) {
    const hour = bytes[at + 4]!
    const minute = bytes[at + 5]!
    const second = bytes[at + 6]!
    if (hour > 23 || minute > 59 || second > 59) return BAD
    seconds = hour * 3600 + minute * 60 + second
    if (length > 7) micros = word(bytes, at + 7)
    if (micros < 0 || micros > 999999) return BAD
  }
  const status = readDay(bytes, at)
  if (status === 0) writeProduct(column, row, days * 86400 + seconds, 1e6, micros)
  return status
}

/** The server's own text of a date (`decimals` undefined) or a timestamp: what the quarantine keeps. */
export function dateText(bytes: Uint8Array, at: number, length: number, decimals?: number): string {
  const pad = (value: number | undefined, width = 2) => String(value ?? 0).padStart(width, '0')
  const part = (index: number) => (index < length ? bytes[at + index] : 0)
  const year = length > 1 ? bytes[at]! | (bytes[at + 1]! << 8) : 0
  const date = `${pad(year, 4)}-${pad(part(2))}-${pad(part(3))}`
  if (decimals === undefined) return date
  const time = `${pad(part(4))}:${pad(part(5))}:${pad(part(6))}`
  const micros = pad(length > 7 ? word(bytes, at + 7) : 0, 6)
  return `${date} ${time}${decimals > 0 && decimals <= 6 ? `.${micros.slice(0, decimals)}` : ''}`
}
