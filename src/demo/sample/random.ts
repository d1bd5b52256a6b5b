// The two multipliers and the shifts of MurmurHash3's 32-bit finalizer (Austin Appleby, public domain).
function mix(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return (x ^ (x >>> 16)) >>> 0
}

/** One stream of numbers per kind of row, so that a member's name does not decide its payments. */
export type Stream = 'member' | 'contact' | 'payment' | 'correction' | 'change' | 'fault' | 'place'

const STREAMS: Record<Stream, number> = {
  member: 0x1000193,
  contact: 0x2f0b4c47,
  payment: 0x3c6ef372,
  correction: 0x4a7c15f9,
  change: 0x510e527f,
  fault: 0x5be0cd19,
  place: 0x6a09e667,
}

/**
 * The numbers of one row: a function of (seed, stream, index) alone, so any row can be made without its
 * neighbours. The generator is xoroshiro64** (Blackman and Vigna, https://prng.di.unimi.it/xoroshiro64starstar.c).
 */
export class Dice {
  #a: number
  #b: number

  /** `index` is a whole number from 0 to 2^53 - 1. */
  constructor(seed: number, stream: Stream, index: number) {
    const high = Math.floor(index / 0x1_0000_0000)
    const base = mix(mix(seed >>> 0) ^ STREAMS[stream])
    this.#a = mix(base ^ mix((index >>> 0) ^ 0x9e3779b9) ^ mix(high))
    this.#b = mix((base + Math.imul(index | 0, 0x9e3779b1) + high) | 0) | 1
  }

  /** 32 random bits, as a number from 0 to 2^32 - 1. */
  bits(): number {
    const a = this.#a
    const b = this.#b ^ a
    const product = Math.imul(a, 0x9e3779bb)
    this.#a = ((a << 26) | (a >>> 6)) ^ b ^ (b << 9)
    this.#b = (b << 13) | (b >>> 19)
    return Math.imul((product << 5) | (product >>> 27), 5) >>> 0
  }

  /** A fraction in [0, 1), in steps of 2^-32. */
  fraction(): number {
    return this.bits() / 0x1_0000_0000
  }

  /** A whole number in [0, n), n at most 2^53. */
  below(n: number): number {
    if (n <= 0xffff) return Math.floor(this.fraction() * n)
    return Math.floor(((this.bits() * 0x20_0000 + (this.bits() >>> 11)) / 0x20_0000_0000_0000) * n)
  }

  /** True with probability `p`. */
  chance(p: number): boolean {
    return this.fraction() < p
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!
  }

  /** Every `#` of the pattern becomes a digit. */
  digits(pattern: string): string {
    let text = ''
    for (const char of pattern) text += char === '#' ? this.below(10) : char
    return text
  }
}
