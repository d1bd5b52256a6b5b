import type { ColumnBuilder } from '../../../engine/batch/builder.ts'

/** The bytes are not a value of the column's type. */
export const BAD = 1

const TWO32 = 0x100000000
const MINUS = 45

/** Writes `high * factor + low` as a 64-bit value, exact while |high * factor| < 2^63 and low and factor < 2^31. */
export function writeProduct(
  column: ColumnBuilder,
  row: number,
  high: number,
  factor: number,
  low: number,
): number {
  // high = h1 * 2^16 + h0: both partial products stay below 2^53.
  const h1 = Math.floor(high / 65536)
  const p1 = h1 * factor
  const p0 = (high - h1 * 65536) * factor + low
  const p1High = Math.floor(p1 / 65536)
  const sum = (p1 - p1High * 65536) * 65536 + p0
  const carry = Math.floor(sum / TWO32)
  column.i32[2 * row] = sum - carry * TWO32
  column.i32[2 * row + 1] = p1High + carry
  return p1High + carry
}

/** An integer of up to 64 bits; leading zeros (ZEROFILL) are allowed. */
export function parseInteger(
  column: ColumnBuilder,
  row: number,
  bytes: Uint8Array,
  from: number,
  to: number,
): number {
  const negative = bytes[from] === MINUS && from < to
  let at = negative ? from + 1 : from
  if (at === to) return BAD
  while (to - at > 15 && bytes[at] === 48) at++
  const digits = to - at
  if (digits > 20) return BAD
  const type = column.column.type
  if (type.kind !== 'int') return BAD
  if (digits > 15)
    return type.bits === 64 ? parseLong(column, row, bytes, at, to, negative, type.signed) : BAD
  let value = 0
  for (; at < to; at++) {
    const digit = bytes[at]! - 48
    if (digit < 0 || digit > 9) return BAD
    value = value * 10 + digit
  }
  if (negative) value = -value
  if (type.bits === 64) {
    if (value < 0 && !type.signed) return BAD
    const high = Math.floor(value / TWO32)
    column.i32[2 * row] = value - high * TWO32
    column.i32[2 * row + 1] = high
    return 0
  }
  const span = type.bits === 32 ? TWO32 : type.bits === 16 ? 0x10000 : 0x100
  const lowest = type.signed ? -span / 2 : 0
  if (value < lowest || value >= lowest + span) return BAD
  if (type.bits === 32) column.i32[row] = value
  else if (type.bits === 16) column.u16[row] = value
  else column.u8[row] = value
  return 0
}

// 16 to 20 digits: the leading ones (at most 11) and the last nine are each an exact double.
function parseLong(
  column: ColumnBuilder,
  row: number,
  bytes: Uint8Array,
  from: number,
  to: number,
  negative: boolean,
  signed: boolean,
): number {
  let head = 0
  let tail = 0
  for (let at = from; at < to; at++) {
    const digit = bytes[at]! - 48
    if (digit < 0 || digit > 9) return BAD
    if (at < to - 9) head = head * 10 + digit
    else tail = tail * 10 + digit
  }
  const high = writeProduct(column, row, head, 1e9, tail)
  if (!signed) return negative || high >= TWO32 ? BAD : 0
  const low = column.i32[2 * row]!
  if (!negative) return high >= 0x80000000 ? BAD : 0
  if (high > 0x80000000 || (high === 0x80000000 && low !== 0)) return BAD
  column.i32[2 * row] = -low
  column.i32[2 * row + 1] = ~high + (low === 0 ? 1 : 0)
  return 0
}
