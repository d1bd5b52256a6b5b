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
}

export const NO_ROWS: RowSum = { rows: 0, low: 0n, high: 0n }

export const addSums = (a: RowSum, b: RowSum): RowSum => ({
  rows: a.rows + b.rows,
  low: a.low + b.low,
  high: a.high + b.high,
})

export const sameSum = (a: RowSum, b: RowSum) => a.rows === b.rows && a.low === b.low && a.high === b.high

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
