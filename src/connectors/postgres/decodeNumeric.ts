import type { ColumnBuilder } from '../../../engine/batch/builder.ts'

const NEGATIVE = 0x4000
const NAN = 0xc000
const TWO32 = 0x100000000
/** Powers of ten that a double holds exactly and a scale or a small precision asks for: looked up, since `**` calls the library. */
const TENS = Array.from({ length: 16 }, (_, power) => 10 ** power)

/**
 * Decodes a numeric (`numeric_send` of Postgres: count, weight, sign, display scale, then base-10000 digits, all
 * int16) into the column's 16-byte value scaled by 10^scale. Returns what is wrong, 'NaN' for the value itself.
 */
export function decodeNumeric(
  column: ColumnBuilder,
  row: number,
  view: DataView,
  at: number,
  end: number,
): string | undefined {
  const type = column.column.type
  if (type.kind !== 'decimal' || end - at < 8) return 'a numeric is cut'
  const count = view.getUint16(at)
  const weight = view.getInt16(at + 2)
  const sign = view.getUint16(at + 4)
  if (sign === NAN) return 'NaN'
  if (sign !== 0 && sign !== NEGATIVE) return 'an infinite numeric in a column with a precision'
  if (end - at !== 8 + 2 * count) return 'a numeric is cut'
  // Digit i stands for digit * 10000^(weight - i); the last one wanted holds the decimal of 10^-scale.
  const last = weight + Math.ceil(type.scale / 4)
  if (last > 40 || count > Math.max(0, last + 1)) return 'a numeric has more digits than its column'
  const drop = 4 * Math.ceil(type.scale / 4) - type.scale
  const unit = TENS[drop]!
  if ((weight + 1) * 4 + type.scale <= 15) {
    let value = 0
    for (let index = 0; index <= last; index++) {
      const place = at + 8 + 2 * index
      const digit = index < count ? view.getUint16(place) : 0
      if (digit > 9999) return 'a numeric has a digit over 9999'
      if (index !== last || drop === 0) value = value * 10000 + digit
      else if (digit % unit !== 0) return 'a numeric has more decimals than its column'
      else value = value * TENS[4 - drop]! + digit / unit
    }
    // Fifteen digits have been looked at: a longer precision holds them.
    if (type.precision < TENS.length && value >= TENS[type.precision]!)
      return 'a numeric has more digits than its column'
    small(column, row, sign === NEGATIVE ? -value : value)
    return undefined
  }
  let value = 0n
  for (let index = 0; index <= last; index++) {
    const digit = index < count ? view.getUint16(at + 8 + 2 * index) : 0
    if (digit > 9999) return 'a numeric has a digit over 9999'
    value = value * 10000n + BigInt(digit)
  }
  if (value % BigInt(unit) !== 0n) return 'a numeric has more decimals than its column'
  value /= BigInt(unit)
  if (value >= 10n ** BigInt(type.precision)) return 'a numeric has more digits than its column'
  if (sign === NEGATIVE) value = -value
  column.big[2 * row] = BigInt.asIntN(64, value)
  column.big[2 * row + 1] = value >> 64n
  return undefined
}

function small(column: ColumnBuilder, row: number, value: number): void {
  const high = Math.floor(value / TWO32)
  column.i32[4 * row] = value - high * TWO32
  column.i32[4 * row + 1] = high
  column.i32[4 * row + 2] = value < 0 ? -1 : 0
  column.i32[4 * row + 3] = value < 0 ? -1 : 0
}
