import type { ColumnBuilder } from '../../../engine/batch/builder.ts'
import { BAD } from './integers.ts'

const TWO32 = 0x100000000
const MINUS = 45
const POINT = 46
/** Digits that a double holds exactly. */
const SHORT = 15

/** A decimal of at most 38 digits with at most the column's scale after the point, as 16 bytes. */
export function parseDecimal(
  column: ColumnBuilder,
  row: number,
  bytes: Uint8Array,
  from: number,
  to: number,
): number {
  const type = column.column.type
  if (type.kind !== 'decimal') return BAD
  if (to - from <= SHORT && parseShort(column, row, type, bytes, from, to)) return 0
  const negative = bytes[from] === MINUS && from < to
  let l0 = 0
  let l1 = 0
  let l2 = 0
  let l3 = 0
  let group = 0
  let unit = 1
  let digits = 0
  let significant = 0
  let fraction = -1
  // Six digits at a time: word * 10^6 + carry stays below 2^53.
  for (let at = negative ? from + 1 : from; ; at++) {
    let digit: number
    if (at < to) {
      digit = bytes[at]! - 48
      if (digit === -2 && fraction < 0) {
        fraction = 0
        continue
      }
      if (digit < 0 || digit > 9) return BAD
      digits++
    } else if (Math.max(fraction, 0) < type.scale) {
      if (fraction < 0) fraction = 0
      digit = 0
    } else break
    if (fraction >= 0 && ++fraction > type.scale) return BAD
    if ((significant > 0 || digit > 0) && ++significant > type.precision) return BAD
    group = group * 10 + digit
    unit *= 10
    if (unit < 1e6) continue
    l0 = l0 * unit + group
    const c0 = Math.floor(l0 / TWO32)
    l0 -= c0 * TWO32
    if (significant > 9) {
      l1 = l1 * unit + c0
      const c1 = Math.floor(l1 / TWO32)
      l1 -= c1 * TWO32
      l2 = l2 * unit + c1
      const c2 = Math.floor(l2 / TWO32)
      l2 -= c2 * TWO32
      l3 = l3 * unit + c2
    }
    group = 0
    unit = 1
  }
  if (digits === 0) return BAD
  if (unit > 1) {
    l0 = l0 * unit + group
    const c0 = Math.floor(l0 / TWO32)
    l0 -= c0 * TWO32
    l1 = l1 * unit + c0
    const c1 = Math.floor(l1 / TWO32)
    l1 -= c1 * TWO32
    l2 = l2 * unit + c1
    const c2 = Math.floor(l2 / TWO32)
    l2 -= c2 * TWO32
    l3 = l3 * unit + c2
  }
  const out = column.i32
  const at = 4 * row
  if (!negative) {
    out[at] = l0
    out[at + 1] = l1
    out[at + 2] = l2
    out[at + 3] = l3
    return 0
  }
  out[at] = -l0
  let borrow = l0 === 0
  out[at + 1] = borrow ? -l1 : ~l1
  borrow &&= l1 === 0
  out[at + 2] = borrow ? -l2 : ~l2
  borrow &&= l2 === 0
  out[at + 3] = borrow ? -l3 : ~l3
  return 0
}

// The usual decimal: its digits are one exact double, and none is missing behind the point. Gives false, and leaves
// the verdict to the caller, where it is not so.
function parseShort(
  column: ColumnBuilder,
  row: number,
  type: { precision: number; scale: number },
  bytes: Uint8Array,
  from: number,
  to: number,
): boolean {
  const negative = bytes[from] === MINUS && from < to
  const start = negative ? from + 1 : from
  const point = type.scale > 0 ? to - type.scale - 1 : to
  if (point < start || to === start || (type.scale > 0 && to - start < 2)) return false
  let value = 0
  for (let at = start; at < to; at++) {
    const digit = bytes[at]! - 48
    if (digit >= 0 && digit <= 9) value = value * 10 + digit
    else if (at !== point || digit !== -2) return false
  }
  if (point < to && bytes[point] !== POINT) return false
  if (type.precision < SHORT && value >= POWERS[type.precision]!) return false
  const high = Math.floor(value / TWO32)
  const low = value - high * TWO32
  const out = column.i32
  const at = 4 * row
  if (negative && value > 0) {
    out[at] = -low
    out[at + 1] = low === 0 ? -high : ~high
    out[at + 2] = -1
    out[at + 3] = -1
  } else {
    out[at] = low
    out[at + 1] = high
    out[at + 2] = 0
    out[at + 3] = 0
  }
  return true
}

const POWERS = Array.from({ length: SHORT }, (_, power) => 10 ** power)
