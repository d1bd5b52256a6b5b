const DIGITS = new Uint16Array(12)
const LOWEST = [10_000, 10, 100, 1000]
const WORK = new Uint32Array(4)

/**
 * Bytes that {@link writeNumeric} writes, length included. `limbs` are a scaled integer's four 32-bit digits, lowest
 * first, two's complement where `signed`.
 */
export function numericBytes(limbs: Uint32Array, signed: boolean, scale: number): number {
  const magnitude = smallMagnitude(limbs, signed)
  if (magnitude < 0) return 12 + 2 * splitLarge(limbs, signed, scale)
  let count = 0
  for (let bound = 1; magnitude >= bound; count++) bound *= count === 0 ? LOWEST[scale & 3]! : 10_000
  return 12 + 2 * count
}

/** Writes a scaled integer as a Postgres numeric in binary form, length first, and returns where it ends. */
export function writeNumeric(
  out: DataView,
  at: number,
  limbs: Uint32Array,
  signed: boolean,
  scale: number,
): number {
  const fraction = (scale + 3) >> 2
  const magnitude = smallMagnitude(limbs, signed)
  let count = magnitude < 0 ? splitLarge(limbs, signed, scale) : splitSmall(magnitude, scale)
  out.setInt32(at, 8 + 2 * count)
  out.setInt16(at + 4, count)
  out.setInt16(at + 6, count === 0 ? 0 : count - fraction - 1)
  out.setUint16(at + 8, signed && limbs[3]! >= 0x80000000 ? 0x4000 : 0)
  out.setUint16(at + 10, scale)
  at += 12
  while (count > 0) {
    out.setUint16(at, DIGITS[--count]!)
    at += 2
  }
  return at
}

/** The magnitude as a double where it is below 2^53, as most are; otherwise -1. */
function smallMagnitude(limbs: Uint32Array, signed: boolean): number {
  const low = limbs[0]!
  const high = limbs[1]!
  const top = limbs[2]! | limbs[3]!
  if (top === 0) return high < 0x200000 ? high * 2 ** 32 + low : -1
  if (!signed || (limbs[2]! & limbs[3]!) !== -1 || high < 0xffe00001) return -1
  return (0xffffffff - high) * 2 ** 32 + (0x100000000 - low)
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

function splitLarge(limbs: Uint32Array, signed: boolean, scale: number): number {
  WORK.set(limbs)
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

function negate(limbs: Uint32Array): void {
  let carry = 1
  for (let limb = 0; limb < 4; limb++) {
    const sum = (~limbs[limb]! >>> 0) + carry
    limbs[limb] = sum
    carry = sum > 0xffffffff ? 1 : 0
  }
}

/** Divides in place and returns the remainder. */
function divide(limbs: Uint32Array, by: number): number {
  let rest = 0
  for (let limb = 3; limb >= 0; limb--) {
    const value = rest * 2 ** 32 + limbs[limb]!
    const quotient = Math.floor(value / by)
    limbs[limb] = quotient
    rest = value - quotient * by
  }
  return rest
}
