import { divide, negate } from '../wire/int128.ts'

const DIGITS = new Uint16Array(12)
const LOWEST = [10_000, 10, 100, 1000]
const WORK = new Uint32Array(4)

/** Bytes that {@link writeNumeric} writes for a scaled integer below 2^53 in magnitude, length included. */
export function numericBytes(scaled: number, scale: number): number {
  const magnitude = Math.abs(scaled)
  let count = 0
  for (let bound = 1; magnitude >= bound; count++) bound *= count === 0 ? LOWEST[scale & 3]! : 10_000
  return 12 + 2 * count
}

/** Writes a scaled integer as a Postgres numeric in binary form, length first, and returns where it ends. */
export function writeNumeric(out: DataView, at: number, scaled: number, scale: number): number {
  return put(out, at, splitSmall(Math.abs(scaled), scale), scaled < 0, scale)
}

/**
 * As {@link numericBytes}, for any: `words` are the scaled integer's four 32-bit digits, lowest first, two's complement
 * where `signed`.
 */
export function largeNumericBytes(words: Uint32Array, signed: boolean, scale: number): number {
  return 12 + 2 * splitLarge(words, signed, scale)
}

/** As {@link writeNumeric}, for any. */
export function writeLargeNumeric(
  out: DataView,
  at: number,
  words: Uint32Array,
  signed: boolean,
  scale: number,
): number {
  return put(out, at, splitLarge(words, signed, scale), signed && words[3]! >= 0x80000000, scale)
}

function put(out: DataView, at: number, count: number, negative: boolean, scale: number): number {
  out.setInt32(at, 8 + 2 * count)
  out.setInt16(at + 4, count)
  out.setInt16(at + 6, count === 0 ? 0 : count - ((scale + 3) >> 2) - 1)
  out.setUint16(at + 8, negative ? 0x4000 : 0)
  out.setUint16(at + 10, scale)
  at += 12
  while (count > 0) {
    out.setUint16(at, DIGITS[--count]!)
    at += 2
  }
  return at
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
