import type { ColumnBuilder } from '../../../engine/batch/builder.ts'
import { BAD } from './integers.ts'

const MINUS = 45

/**
 * A floating-point number. Up to 15 digits and a power of ten up to 22 are exact doubles, so that one multiplication
 * or division rounds correctly; anything longer goes through the language's own conversion.
 */
export function parseFloatText(
  column: ColumnBuilder,
  row: number,
  bytes: Uint8Array,
  from: number,
  to: number,
): number {
  const negative = bytes[from] === MINUS && from < to
  let at = negative ? from + 1 : from
  let mantissa = 0
  let digits = 0
  let significant = 0
  let scale = 0
  let point = false
  for (; at < to; at++) {
    const digit = bytes[at]! - 48
    if (digit === -2 && !point) point = true
    else if (digit < 0 || digit > 9) break
    else {
      digits++
      if (significant > 0 || digit > 0) significant++
      if (point) scale++
      mantissa = mantissa * 10 + digit
    }
  }
  if (digits === 0) return BAD
  let exponent = 0
  if (at < to) {
    if ((bytes[at]! | 32) !== 101) return BAD
    at++
    const down = bytes[at] === MINUS
    if (down || bytes[at] === 43) at++
    if (at >= to) return BAD
    for (; at < to; at++) {
      const digit = bytes[at]! - 48
      if (digit < 0 || digit > 9) return BAD
      exponent = exponent * 10 + digit
    }
    if (down) exponent = -exponent
  }
  exponent -= scale
  let value: number
  if (significant > 15 || exponent > 22 || exponent < -22) {
    value = Number(Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('latin1'))
    if (!Number.isFinite(value)) return BAD
  } else {
    value = exponent < 0 ? mantissa / POWERS[-exponent]! : mantissa * POWERS[exponent]!
    if (negative) value = -value
  }
  if (column.width === 8) column.f64[row] = value
  else {
    const single = Math.fround(value)
    if (single !== value) return BAD
    column.f32[row] = single
  }
  return 0
}

const POWERS = Array.from({ length: 23 }, (_, power) => Number(`1e${power}`))
