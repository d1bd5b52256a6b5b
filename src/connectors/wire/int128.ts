// A 128-bit integer as four 32-bit digits, lowest first.

/** Changes the sign of a two's complement in place. */
export function negate(words: Uint32Array): void {
  let carry = 1
  for (let word = 0; word < 4; word++) {
    const sum = (~words[word]! >>> 0) + carry
    words[word] = sum
    carry = sum > 0xffffffff ? 1 : 0
  }
}

/** Divides an unsigned one in place and returns the remainder; `by` up to 10^6, so that every step is a safe integer. */
export function divide(words: Uint32Array, by: number): number {
  let rest = 0
  for (let word = 3; word >= 0; word--) {
    const value = rest * 2 ** 32 + words[word]!
    const quotient = Math.floor(value / by)
    words[word] = quotient
    rest = value - quotient * by
  }
  return rest
}
