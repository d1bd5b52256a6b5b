import type { ColumnBuilder } from '../../../engine/batch/builder.ts'

/** Days and microseconds from 1970-01-01 to Postgres's epoch, 2000-01-01. */
const EPOCH_DAYS = 10_957
const EPOCH_MICROS = 946_684_800_000_000
const TWO32 = 0x100000000
/** The days a Postgres date can be, from 2000-01-01: 4713 BC to 5874897 (datatype/timestamp.h). */
const FIRST_DAY = -2_451_545
const LAST_DAY = 2_145_031_948
const DAY_MICROS = 86_400_000_000n
const DAYS_IN_400_YEARS = 146_097n

/** A value that a column's type cannot hold: its text, and why. */
export interface Inexact {
  value: string
  reason: string
}

/** Decodes `timestamp_send`: microseconds from 2000-01-01, int64. Returns the value where the column cannot hold it. */
export function decodeTimestamp(
  column: ColumnBuilder,
  row: number,
  bytes: Buffer,
  at: number,
): Inexact | undefined {
  const high = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
  const low = bytes.readUInt32BE(at + 4)
  if ((high === 0x7fffffff && low === 0xffffffff) || (high === -0x80000000 && low === 0))
    return { value: high > 0 ? 'infinity' : '-infinity', reason: 'is not a moment' }
  // Up to year 294276, beyond 2^53 microseconds: halves are added apart.
  const sum = low + (EPOCH_MICROS % TWO32)
  const top = high + Math.floor(EPOCH_MICROS / TWO32) + (sum >= TWO32 ? 1 : 0)
  // The last microsecond of 64 bits is DuckDB's own infinity.
  if (top > 0x7fffffff || (top === 0x7fffffff && (sum | 0) === -1)) {
    const { type } = column.column
    const zoned = type.kind === 'timestamp' && type.zoned
    return { value: momentText(bytes.readBigInt64BE(at), zoned), reason: 'is beyond 294247-01-10 04:00:54' }
  }
  column.i32[2 * row] = sum | 0
  column.i32[2 * row + 1] = top
  return undefined
}

/** Decodes `date_send`: days from 2000-01-01, int32. `undefined` when done, a string where the bytes are no date. */
export function decodeDate(column: ColumnBuilder, row: number, days: number): Inexact | string | undefined {
  if (days === 0x7fffffff || days === -0x80000000)
    return { value: days > 0 ? 'infinity' : '-infinity', reason: 'is not a day' }
  if (days < FIRST_DAY || days > LAST_DAY) return `day ${days} is beyond what a date can be`
  column.i32[row] = days + EPOCH_DAYS
  return undefined
}

/** Decodes `time_send`: microseconds since midnight, int64, 24:00:00 included. False where it is no time of day. */
export function decodeTime(column: ColumnBuilder, row: number, bytes: Buffer, at: number): boolean {
  const high = bytes.readInt32BE(at)
  const low = bytes.readUInt32BE(at + 4)
  column.i32[2 * row] = low | 0
  column.i32[2 * row + 1] = high
  return high >= 0 && high * TWO32 + low <= 86_400_000_000
}

/** A moment after 2000 as the server writes it; for years that no Date reaches. */
function momentText(micros: bigint, zoned: boolean): string {
  const days = micros / DAY_MICROS
  const cycles = days / DAYS_IN_400_YEARS
  // The calendar repeats every 400 years.
  const date = new Date(Date.UTC(2000, 0, 1 + Number(days % DAYS_IN_400_YEARS)))
  const year = date.getUTCFullYear() + 400 * Number(cycles)
  const rest = micros % DAY_MICROS
  const clock = new Date(Number(rest / 1000n)).toISOString().slice(11, 19)
  const fraction = String(rest % 1_000_000n)
    .padStart(6, '0')
    .replace(/0+$/, '')
  return `${year}${date.toISOString().slice(4, 10)} ${clock}${fraction && `.${fraction}`}${zoned ? '+00' : ''}`
}
