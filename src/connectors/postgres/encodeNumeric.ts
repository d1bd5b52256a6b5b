import { divide, negate } from '../wire/int128.ts'

const DIGITS = new Uint16Array(12)
const LOWEST = [10_000, 10, 100, 1000]
const WORK = new Uint32Array(4)

/**
 * What {@link splitNumeric} leaves of a value for {@link writeNumeric}, in so many halfwords: the number of digits, of the
 * zeros below them that are not sent, the sign, and up to five digits, the highest first.
 */
export const NUMERIC_SLOT = 8

/**
 * Splits a scaled integer below 2^53 in magnitude into Postgres's digits, at `slots[at]`, and gives the bytes that it takes as
 * a numeric, length included. As the server writes them: without the zeros behind the last digit.
 */
export function splitNumeric(slots: Uint16Array, at: number, scaled: number, scale: number): number {
  const count = splitSmall(Math.abs(scaled), scale)
  const zeros = lowZeros(count)
  slots[at] = count - zeros
  slots[at + 1] = zeros
  slots[at + 2] = scaled < 0 ? 0x4000 : 0
  for (let digit = count, to = at + 3; digit > zeros; ) slots[to++] = DIGITS[--digit]!
  return 12 + 2 * (count - zeros)
}

/** Writes what was split as a Postgres numeric in binary form, length first, and returns where it ends. */
export function writeNumeric(
  out: DataView,
  to: number,
  slots: Uint16Array,
  at: number,
  scale: number,
): number {
  const count = slots[at]!
  writeHead(out, to, count, slots[at + 1]!, slots[at + 2]!, scale)
  to += 12
  for (let from = at + 3, end = from + count; from < end; to += 2) out.setUint16(to, slots[from++]!)
  return to
}

/**
 * The bytes of a scaled integer of any size as a numeric: `words` are its four 32-bit digits, lowest first, two's complement
 * where `signed`.
 */
export function largeNumericBytes(words: Uint32Array, signed: boolean, scale: number): number {
  const count = splitLarge(words, signed, scale)
  return 12 + 2 * (count - lowZeros(count))
}

/** As {@link writeNumeric}, of any size. */
export function writeLargeNumeric(
  out: DataView,
  to: number,
  words: Uint32Array,
  signed: boolean,
  scale: number,
): number {
  const count = splitLarge(words, signed, scale)
  const zeros = lowZeros(count)
  writeHead(out, to, count - zeros, zeros, signed && words[3]! >= 0x80000000 ? 0x4000 : 0, scale)
  to += 12
  for (let digit = count; digit > zeros; to += 2) out.setUint16(to, DIGITS[--digit]!)
  return to
}

function writeHead(out: DataView, to: number, count: number, zeros: number, sign: number, scale: number) {
  const weight = count === 0 ? 0 : count + zeros - ((scale + 3) >> 2) - 1
  out.setInt32(to, 8 + 2 * count)
  out.setInt32(to + 4, (count << 16) | (weight & 0xffff))
  out.setInt32(to + 8, (sign << 16) | scale)
}

/** How many of the lowest digits are zeros. */
function lowZeros(count: number): number {
  let zeros = 0
  while (zeros < count && DIGITS[zeros] === 0) zeros++
  return zeros
}

// Postgres's digits of base 10000 meet at the decimal point: the lowest may hold fewer decimal digits.
function splitSmall(rest: number, scale: number): number {
  if (rest === 0) return 0
  const divisor = LOWEST[scale & 3]!
  let quotient = Math.floor(rest / divisor)
  DIGITS[0] = (rest - quotient * divisor) * (10_000 / divisor)
  let count = 1
  while (quotient > 0x7fffffff) {
    rest = quotient
    quotient = Math.floor(rest / 10_000)
    DIGITS[count++] = rest - quotient * 10_000
  }
  for (let small = quotient | 0; small > 0; ) {
    const next = (small / 10_000) | 0
    DIGITS[count++] = small - next * 10_000
    small = next
  }
  return count
}

function splitLarge(words: Uint32Array, signed: boolean, scale: number): number {
  WORK.set(words)
  if (signed && WORK[3]! >= 0x80000000) negate(WORK)
  const divisor = LOWEST[scale & 3]!
  let count = 0
  for (let by = divisor; WORK[3]! + WORK[2]! + WORK[1]! + WORK[0]! > 0; by = 10_000) {
    const digit = divide(WORK, by)
    DIGITS[count] = digit * (count === 0 ? 10_000 / divisor : 1)
    count++
  }
  return count
}
