// A 128-bit integer as four 32-bit digits, lowest first.

/** Changes the sign of a two's complement in place. */
export function negate(limbs: Uint32Array): void {
  let carry = 1
  for (let limb = 0; limb < 4; limb++) {
    const sum = (~limbs[limb]! >>> 0) + carry
    limbs[limb] = sum
    carry = sum > 0xffffffff ? 1 : 0
  }
}

/** Divides an unsigned one in place and returns the remainder; `by` up to 10^6, so that every step is a safe integer. */
export function divide(limbs: Uint32Array, by: number): number {
  let rest = 0
  for (let limb = 3; limb >= 0; limb--) {
    const value = rest * 2 ** 32 + limbs[limb]!
    const quotient = Math.floor(value / by)
    limbs[limb] = quotient
    rest = value - quotient * by
  }
  return rest
}
