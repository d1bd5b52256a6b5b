import { type Batch, fixedWidth, isValid, type Vector } from './batch.ts'

/**
 * Rows counted and their 64-bit hashes added up, as two halves of 32 bits: equal for equal rows in any order and any
 * batches. Rows that were read back from a table are found to be those that were sent there by it, without a comparison of
 * each. Plain data: it crosses threads.
 */
export interface RowSum {
  rows: number
  low: bigint
  high: bigint
  /** Of the bytes that rows are sent as, not of their values: sums of one kind alone say anything of each other. */
  ofBytes?: true
}

export const NO_ROWS: RowSum = { rows: 0, low: 0n, high: 0n }

/** Adds sums of one kind up. */
export const addSums = (a: RowSum, b: RowSum): RowSum => ({
  ...a,
  ...b,
  rows: a.rows + b.rows,
  low: a.low + b.low,
  high: a.high + b.high,
})

export const sameSum = (a: RowSum, b: RowSum) =>
  a.rows === b.rows && a.low === b.low && a.high === b.high && a.ofBytes === b.ofBytes

/** Adds up batches of the same columns. A value's hash depends on its column's place, its bytes, and whether it is NULL. */
export class RowSummer {
  sum: RowSum = NO_ROWS
  private low = new Int32Array(0)
  private high = new Int32Array(0)

  add({ rows, vectors }: Batch): void {
    if (this.low.length < rows) {
      this.low = new Int32Array(rows)
      this.high = new Int32Array(rows)
    }
    const { low, high } = this
    low.fill(0, 0, rows)
    high.fill(0, 0, rows)
    for (const vector of vectors) this.mix(vector, rows)
    let [lows, highs] = [0, 0]
    for (let row = 0; row < rows; row++) {
      // Each half takes of the other: a pair of values that one half does not tell apart, both must not.
      lows += avalanche(low[row]! ^ (high[row]! >>> 7)) >>> 0
      highs += avalanche(high[row]! + Math.imul(low[row]!, LOW)) >>> 0
    }
    this.sum = addSums(this.sum, { rows, low: BigInt(lows), high: BigInt(highs) })
  }

  private mix(vector: Vector, rows: number): void {
    const { low, high } = this
    const width = fixedWidth(vector.column.type)
    if (vector.nulls > 0) {
      this.mixSome(vector, rows, width)
      return
    }
    const { data, offsets } = vector
    if (offsets) for (let row = 0; row < rows; row++) this.bytes(row, data, offsets[row]!, offsets[row + 1]!)
    else if (width < 4)
      for (let row = 0; row < rows; row++) this.bytes(row, data, row * width, (row + 1) * width)
    else {
      const words = new Int32Array(data.buffer, data.byteOffset, (rows * width) >> 2)
      const each = width >> 2
      for (let row = 0, at = 0; row < rows; row++) {
        let [a, b] = [low[row]!, high[row]!]
        for (let word = 0; word < each; word++) {
          const value = words[at++]!
          a = Math.imul(a ^ value, LOW)
          a ^= a >>> 15
          b = Math.imul(b + value, HIGH)
          b ^= b >>> 13
        }
        low[row] = a
        high[row] = b
      }
    }
  }

  private mixSome(vector: Vector, rows: number, width: number): void {
    const { data, offsets } = vector
    for (let row = 0; row < rows; row++)
      if (!isValid(vector, row)) this.bytes(row, NULL, 0, NULL.length)
      else if (offsets) this.bytes(row, data, offsets[row]!, offsets[row + 1]!)
      else if (width < 4) this.bytes(row, data, row * width, (row + 1) * width)
      else for (let at = row * width; at < (row + 1) * width; at += 4) this.word(row, wordAt(data, at))
  }

  /** Bytes after their number, so that neighbours cannot share them. */
  private bytes(row: number, data: Uint8Array, from: number, to: number): void {
    let [a, b] = [this.low[row]!, this.high[row]!]
    let value = data === NULL ? -1 : to - from
    for (let at = from; ; ) {
      a = Math.imul(a ^ value, LOW)
      a ^= a >>> 15
      b = Math.imul(b + value, HIGH)
      b ^= b >>> 13
      if (at >= to) break
      if (at + 4 <= to) value = wordAt(data, at)
      else {
        value = 0
        for (let last = at; last < to; last++) value = (value << 8) | data[last]!
      }
      at += 4
    }
    this.low[row] = a
    this.high[row] = b
  }

  private word(row: number, value: number): void {
    const a = Math.imul(this.low[row]! ^ value, LOW)
    this.low[row] = a ^ (a >>> 15)
    const b = Math.imul(this.high[row]! + value, HIGH)
    this.high[row] = b ^ (b >>> 13)
  }
}

/**
 * Adds up rows by the bytes that they are sent as: for what keeps a value as those bytes and gives it back in them. A tenth of
 * the work of their values.
 */
export class ByteSummer {
  private rows = 0
  private low = 0n
  private high = 0n
  /** Of the last rows, as numbers that are whole below 2^53. */
  private pending = 0
  private lows = 0
  private highs = 0

  get sum(): RowSum {
    this.flush()
    return { rows: this.rows, low: this.low, high: this.high, ofBytes: true }
  }

  /** Adds the row view[from, to). */
  add(view: DataView, from: number, to: number): void {
    // Words by turns into two states, which the processor works on side by side.
    let [a, b, c, d] = [to - from, 0, 0, to - from]
    let at = from
    for (; at + 8 <= to; at += 8) {
      const first = view.getInt32(at, true)
      const second = view.getInt32(at + 4, true)
      a = Math.imul(a ^ first, LOW)
      a ^= a >>> 15
      b = Math.imul(b + first, HIGH)
      b ^= b >>> 13
      c = Math.imul(c ^ second, LOW)
      c ^= c >>> 15
      d = Math.imul(d + second, HIGH)
      d ^= d >>> 13
    }
    for (let left = to - at; left > 0; left = to - at) {
      const word = left < 4 ? view.getUint8(at) : view.getInt32(at, true)
      at += left < 4 ? 1 : 4
      a = Math.imul(a ^ word, LOW)
      a ^= a >>> 15
      b = Math.imul(b + word, HIGH)
      b ^= b >>> 13
    }
    a = Math.imul(a ^ avalanche(c), LOW)
    b = Math.imul(b + avalanche(d), HIGH)
    // Each half takes of all states: rows that one does not tell apart, both must not.
    this.lows += avalanche(a ^ (b >>> 7) ^ (d >>> 5)) >>> 0
    this.highs += avalanche(b + Math.imul(a, LOW) + c) >>> 0
    if (++this.pending === MOST_PENDING) this.flush()
  }

  private flush(): void {
    this.rows += this.pending
    this.low += BigInt(this.lows)
    this.high += BigInt(this.highs)
    this.pending = this.lows = this.highs = 0
  }
}

/** So many numbers of 32 bits add up to less than 2^53. */
const MOST_PENDING = 1 << 20

/** Stands for NULL, after a length that no value has. */
const NULL = Uint8Array.from([0x9e, 0x37, 0x79, 0xb9])
const LOW = 0x85ebca6b | 0
const HIGH = 0xc2b2ae35 | 0

const wordAt = (data: Uint8Array, at: number) =>
  data[at]! | (data[at + 1]! << 8) | (data[at + 2]! << 16) | (data[at + 3]! << 24)

/** The last steps of MurmurHash3: every bit of a half reaches every other. */
function avalanche(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), LOW)
  mixed = Math.imul(mixed ^ (mixed >>> 13), HIGH)
  return mixed ^ (mixed >>> 16)
}
