import { divide, negate } from '../wire/int128.ts'

const ZERO = 48
const MINUS = 45
const POINT = 46
const POWERS = Array.from({ length: 23 }, (_, exponent) => 10 ** exponent)
/** Digits of the widest value, 2^128, right-aligned. */
const DIGITS = new Uint8Array(42)

// Each function writes ASCII at `at` and returns where it ends.

/** Writes a safe integer of any sign. */
export function writeInteger(out: Uint8Array, at: number, value: number): number {
  if (value < 0) {
    out[at++] = MINUS
    value = -value
  }
  return writeDigits(out, at, value, digitsOf(value))
}

/** Writes the lowest `count` decimal digits of a safe integer, zeros before. */
export function writeDigits(out: Uint8Array, at: number, value: number, count: number): number {
  let to = at + count
  while (value > 0x7fffffff) {
    const quotient = Math.floor(value / 10)
    out[--to] = ZERO + (value - quotient * 10)
    value = quotient
  }
  let rest = value | 0
  while (to > at) {
    const quotient = (rest / 10) | 0
    out[--to] = ZERO + (rest - quotient * 10)
    rest = quotient
  }
  return at + count
}

function digitsOf(value: number): number {
  let count = 1
  while (count < 16 && value >= POWERS[count]!) count++
  return count
}

/**
 * Writes an integer of four 32-bit digits, lowest first, two's complement where `signed`, with its last `scale` digits
 * behind a point. The words are used up.
 */
export function writeWide(
  out: Uint8Array,
  at: number,
  words: Uint32Array,
  signed: boolean,
  scale: number,
): number {
  if (signed && words[3]! >= 0x80000000) {
    negate(words)
    out[at++] = MINUS
  }
  if (words[3] === 0 && words[2] === 0 && words[1]! < 0x200000) {
    const value = words[1]! * 2 ** 32 + words[0]!
    if (scale === 0) return writeDigits(out, at, value, digitsOf(value))
    // A value has 16 digits at most: behind a longer scale all of them are fraction.
    const power = scale > 16 ? 1e16 : POWERS[scale]!
    const whole = Math.floor(value / power)
    at = writeDigits(out, at, whole, digitsOf(whole))
    out[at++] = POINT
    return writeDigits(out, at, value - whole * power, scale)
  }
  let from = DIGITS.length
  while (words[3]! + words[2]! + words[1]! + words[0]! > 0) {
    from -= 6
    writeDigits(DIGITS, from, divide(words, 1e6), 6)
  }
  const point = DIGITS.length - scale
  while (from >= point) DIGITS[--from] = ZERO
  while (from < point - 1 && DIGITS[from] === ZERO) from++
  while (from < point) out[at++] = DIGITS[from++]!
  if (scale > 0) out[at++] = POINT
  while (from < DIGITS.length) out[at++] = DIGITS[from++]!
  return at
}

/**
 * Writes a finite double so that the nearest double of the text is the same one; 24 bytes at most. A value of up to
 * six decimals needs no string: a safe integer over a power of ten divides to the nearest double (Clinger 1990).
 */
export function writeDouble(out: Uint8Array, at: number, value: number): number {
  for (let scale = 0; scale <= 6; scale += 2) {
    const shifted = Math.round(value * POWERS[scale]!)
    if (!Number.isSafeInteger(shifted) || Object.is(value, -0)) break
    if (shifted / POWERS[scale]! !== value) continue
    if (scale === 0) return writeInteger(out, at, shifted)
    if (shifted < 0) out[at++] = MINUS
    const digits = Math.abs(shifted)
    const whole = Math.floor(digits / POWERS[scale]!)
    at = writeInteger(out, at, whole)
    out[at++] = POINT
    return writeDigits(out, at, digits - whole * POWERS[scale]!, scale)
  }
  const text = Object.is(value, -0) ? '-0' : String(value)
  for (let index = 0; index < text.length; index++) out[at++] = text.charCodeAt(index)
  return at
}

/** Writes `2026-01-31` of days since 1970-01-01; the caller has checked that the year has four digits. */
export function writeDate(out: Uint8Array, at: number, days: number): number {
  // Days to civil date by eras of 400 years that begin on 1 March: https://howardhinnant.github.io/date_algorithms.html
  const shifted = days + 719_468
  const era = Math.floor(shifted / 146_097)
  const dayOfEra = shifted - era * 146_097
  const yearOfEra =
    ((dayOfEra - ((dayOfEra / 1460) | 0) + ((dayOfEra / 36_524) | 0) - ((dayOfEra / 146_096) | 0)) / 365) | 0
  const dayOfYear = dayOfEra - (365 * yearOfEra + ((yearOfEra / 4) | 0) - ((yearOfEra / 100) | 0))
  const fromMarch = ((5 * dayOfYear + 2) / 153) | 0
  const month = fromMarch < 10 ? fromMarch + 3 : fromMarch - 9
  at = writeDigits(out, at, yearOfEra + era * 400 + (month <= 2 ? 1 : 0), 4)
  out[at] = MINUS
  at = writeDigits(out, at + 1, month, 2)
  out[at] = MINUS
  return writeDigits(out, at + 1, dayOfYear - (((153 * fromMarch + 2) / 5) | 0) + 1, 2)
}

/** Writes `23:55:00.123456` of seconds since midnight and microseconds. */
export function writeTime(out: Uint8Array, at: number, seconds: number, micros: number): number {
  const minutes = (seconds / 60) | 0
  const hours = (minutes / 60) | 0
  at = writeDigits(out, at, hours, 2)
  out[at] = 58
  at = writeDigits(out, at + 1, minutes - hours * 60, 2)
  out[at] = 58
  at = writeDigits(out, at + 1, seconds - minutes * 60, 2)
  if (micros === 0) return at
  out[at] = POINT
  return writeDigits(out, at + 1, micros, 6)
}
