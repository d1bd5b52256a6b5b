import type { ColumnBuilder } from '../../../engine/batch/builder.ts'

/** The bytes are not a value of the column's type. */
export const BAD = 1

const TWO32 = 0x100000000

/** Writes an integer that a double holds exactly as a 64-bit value. */
export function writeLong(column: ColumnBuilder, row: number, value: number): void {
  const high = Math.floor(value / TWO32)
  column.i32[2 * row] = value - high * TWO32
  column.i32[2 * row + 1] = high
}

/** Writes `high * factor + low` as a 64-bit value, exact while |high * factor| < 2^63 and low and factor < 2^31. */
export function writeProduct(
  column: ColumnBuilder,
  row: number,
  high: number,
  factor: number,
  low: number,
): void {
  // high = h1 * 2^16 + h0: both partial products stay below 2^53.
  const h1 = Math.floor(high / 65536)
  const p1 = h1 * factor
  const p0 = (high - h1 * 65536) * factor + low
  const p1High = Math.floor(p1 / 65536)
  const sum = (p1 - p1High * 65536) * 65536 + p0
  const carry = Math.floor(sum / TWO32)
  column.i32[2 * row] = sum - carry * TWO32
  column.i32[2 * row + 1] = p1High + carry
}

/** Four bytes, little-endian, as the bits of an Int32. */
export const word = (bytes: Uint8Array, at: number): number =>
  bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)

/** A BIT(n): up to eight bytes, the highest first. */
export function readBits(
  column: ColumnBuilder,
  row: number,
  bytes: Uint8Array,
  from: number,
  to: number,
): number {
  if (to - from > 8 || to === from) return BAD
  let low = 0
  let high = 0
  for (let at = from; at < to; at++) {
    high = (high << 8) | (low >>> 24)
    low = (low << 8) | bytes[at]!
  }
  column.i32[2 * row] = low
  column.i32[2 * row + 1] = high
  return 0
}
