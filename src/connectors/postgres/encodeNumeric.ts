const DIGITS = new Uint16Array(12)
const LOWEST = [10_000, 10, 100, 1000]

/**
 * Writes a scaled integer as a Postgres numeric in binary form, length first, and returns where it ends. `limbs` are
 * its four 32-bit digits, lowest first, two's complement where `signed`; they are used up.
 */
export function writeNumeric(
  out: DataView,
  at: number,
  limbs: Uint32Array,
  signed: boolean,
  scale: number,
): number {
  const negative = signed && limbs[3]! >= 0x80000000
  if (negative) negate(limbs)
  const fraction = Math.ceil(scale / 4)
  // Postgres's digits of base 10000 meet at the decimal point: the lowest may hold fewer decimal digits.
  const partial = scale % 4
  const divisor = LOWEST[partial]!
  const factor = 10_000 / divisor
  let count = 0
  if (limbs[3] === 0 && limbs[2] === 0 && limbs[1]! < 0x200000) {
    let rest = limbs[1]! * 2 ** 32 + limbs[0]!
    for (let by = divisor; rest > 0; by = 10_000) {
      const quotient = Math.floor(rest / by)
      DIGITS[count] = (rest - quotient * by) * (count === 0 ? factor : 1)
      rest = quotient
      count++
    }
  } else {
    for (let by = divisor; limbs[3]! + limbs[2]! + limbs[1]! + limbs[0]! > 0; by = 10_000) {
      const digit = divide(limbs, by)
      DIGITS[count] = digit * (count === 0 ? factor : 1)
      count++
    }
  }
  out.setInt32(at, 8 + 2 * count)
  out.setInt16(at + 4, count)
  out.setInt16(at + 6, count === 0 ? 0 : count - fraction - 1)
  out.setUint16(at + 8, negative ? 0x4000 : 0)
  out.setUint16(at + 10, scale)
  at += 12
  while (count > 0) {
    out.setUint16(at, DIGITS[--count]!)
    at += 2
  }
  return at
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
