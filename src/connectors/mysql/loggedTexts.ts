/** Bytes of a fraction of so many digits. */
export const fractionBytes = (digits: number) => (digits + 1) >> 1

export const INTEGER_BYTES: Record<number, number> = { 1: 1, 2: 2, 9: 3, 3: 4, 8: 8 }

export function integerAt(type: number, unsigned: boolean, bytes: Buffer, at: number): number | bigint {
  if (type === 8) return unsigned ? bytes.readBigUInt64LE(at) : bytes.readBigInt64LE(at)
  const length = INTEGER_BYTES[type]!
  return unsigned ? bytes.readUIntLE(at, length) : bytes.readIntLE(at, length)
}

/** Bytes that digits take, nine in four. */
const DIGIT_BYTES = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4]

export const decimalBytes = (precision: number, scale: number) =>
  4 * Math.floor((precision - scale) / 9) +
  DIGIT_BYTES[(precision - scale) % 9]! +
  4 * Math.floor(scale / 9) +
  DIGIT_BYTES[scale % 9]!

/** A DECIMAL as the server writes it: groups of nine digits, the highest first, the first bit its sign (MySQL source, decimal.c). */
export function decimalText(bytes: Buffer, at: number, precision: number, scale: number): string {
  const negative = (bytes[at]! & 0x80) === 0
  const mask = negative ? 0xff : 0
  let place = at
  let first = 0x80
  const group = (digits: number): string => {
    const length = digits === 9 ? 4 : DIGIT_BYTES[digits]!
    let value = 0
    for (let index = 0; index < length; index++) {
      value = value * 256 + ((bytes[place++]! ^ mask ^ first) & 0xff)
      first = 0
    }
    return String(value).padStart(digits, '0')
  }
  const whole = precision - scale
  let text = whole % 9 > 0 ? group(whole % 9) : ''
  for (let left = Math.floor(whole / 9); left > 0; left--) text += group(9)
  text = text.replace(/^0+(?=\d)/, '') || '0'
  if (scale > 0) {
    text += '.'
    for (let left = Math.floor(scale / 9); left > 0; left--) text += group(9)
    if (scale % 9 > 0) text += group(scale % 9)
  }
  return negative ? `-${text}` : text
}

/** Microseconds of a fraction of so many digits. */
export function fraction(bytes: Buffer, at: number, digits: number): number {
  const length = fractionBytes(digits)
  return length === 0 ? 0 : bytes.readUIntBE(at, length) * 10 ** (6 - 2 * length)
}

export const fractionText = (micros: number, digits: number) =>
  digits > 0 ? `.${String(micros).padStart(6, '0').slice(0, digits)}` : ''

/** A TIME as the server writes it, up to 838 hours either way. */
export function timeText(bytes: Buffer, at: number, digits: number): string {
  const width = fractionBytes(digits)
  const total = bytes.readUIntBE(at, 3 + width) - 0x800000 * 256 ** width
  const packed = Math.abs(total)
  const whole = Math.floor(packed / 256 ** width)
  const micros = width === 0 ? 0 : (packed - whole * 256 ** width) * 10 ** (6 - 2 * width)
  const pad = (value: number) => String(value).padStart(2, '0')
  return `${total < 0 ? '-' : ''}${pad(whole >> 12)}:${pad((whole >> 6) & 63)}:${pad(whole & 63)}${fractionText(micros, digits)}`
}

/**
 * A UUID of a version below 6 lies with its parts in the order of their age, so that an index is in that order; one whose
 * variant says that it is none, or of 6 and above, lies as it is written (MariaDB source, sql_type_uuid.h).
 */
export function uuidText(bytes: Buffer): string {
  const hex = bytes.toString('hex')
  const cut = (from: number, length: number) => hex.slice(2 * from, 2 * (from + length))
  // As it lies swapped, the variant is the first bit of the seventh byte.
  const plain = (bytes[6]! & 0x80) === 0
  return plain
    ? [cut(0, 4), cut(4, 2), cut(6, 2), cut(8, 2), cut(10, 6)].join('-')
    : [cut(12, 4), cut(10, 2), cut(8, 2), cut(6, 2), cut(0, 6)].join('-')
}

export function inet6Text(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(2 * index))
  let best = -1
  let most = 0
  for (let from = 0; from < 8; from++) {
    let to = from
    while (to < 8 && groups[to] === 0) to++
    if (to - from > most) {
      best = from
      most = to - from
    }
  }
  const leading = groups.slice(0, 5).every(group => group === 0)
  const dotted = () => [...bytes.subarray(12)].join('.')
  if (leading && groups[5] === 0xffff) return `::ffff:${dotted()}`
  if (leading && groups[5] === 0 && groups[6] !== 0) return `::${dotted()}`
  const hex = (list: number[]) => list.map(group => group.toString(16)).join(':')
  return best < 0 ? hex(groups) : `${hex(groups.slice(0, best))}::${hex(groups.slice(best + most))}`
}
