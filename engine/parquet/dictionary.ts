import { isValid, type Vector } from '../batch/batch.ts'

/** The distinct values of a column, and which of them each of its rows that is not NULL holds. */
export interface Dictionary {
  /** The distinct values, none of them NULL. */
  values: Vector
  size: number
  indexes: Uint16Array
  /** Rows that are not NULL. */
  count: number
}

/** Distinct values at most, which 16 bits tell apart. */
const MAX_VALUES = 1 << 14
/** After so many values it is asked whether they repeat at all. */
const SAMPLE = 1 << 14
/** A value is worth its place where it stands for so many rows; of the first ones, which know fewer of each, for so many. */
const REPEATS = 8
const FIRST_REPEATS = 5
/** Bytes of a text beyond which no look is taken at whether it repeats. */
const LONGEST = 64
const SLOTS = 1 << 16

const slots = new Int32Array(SLOTS)
const [lows, highs, rowOf] = [
  new Int32Array(MAX_VALUES),
  new Int32Array(MAX_VALUES),
  new Int32Array(MAX_VALUES),
]
let indexScratch = new Uint16Array(1 << 16)

/** Undefined where too few values repeat, or their type is one whose values are not looked for. The result lives until the next call. */
export function dictionaryOf(vector: Vector, rows: number): Dictionary | undefined {
  const { type } = vector.column
  if (indexScratch.length < rows) indexScratch = new Uint16Array(rows)
  slots.fill(-1)
  if (type.kind === 'text') return ofTexts(vector, rows)
  if (type.kind === 'decimal') return type.precision > 18 ? undefined : ofWords(vector, rows, 4, true)
  if (type.kind === 'date' || (type.kind === 'int' && type.bits === 32))
    return ofWords(vector, rows, 1, false)
  const wide = type.kind === 'time' || type.kind === 'timestamp' || (type.kind === 'int' && type.bits === 64)
  return wide ? ofWords(vector, rows, 2, true) : undefined
}

/** Whether so many distinct values among so many are more than are worth a dictionary. */
const isTooMany = (size: number, count: number) =>
  size === MAX_VALUES || (count === SAMPLE && size * FIRST_REPEATS > SAMPLE)

/** Values of one word, or of two of `stride`. */
function ofWords(vector: Vector, rows: number, stride: number, wide: boolean): Dictionary | undefined {
  const words = new Int32Array(vector.data.buffer, vector.data.byteOffset, rows * stride)
  let [size, count] = [0, 0]
  for (let row = 0; row < rows; row++) {
    if (!isValid(vector, row)) continue
    const low = words[row * stride]!
    const high = wide ? words[row * stride + 1]! : 0
    let slot = Math.imul(low ^ Math.imul(high, 0x85ebca6b), 0x9e3779b1) >>> 16
    let found = slots[slot]!
    while (found >= 0 && (lows[found] !== low || highs[found] !== high)) {
      slot = (slot + 1) & (SLOTS - 1)
      found = slots[slot]!
    }
    if (found < 0) {
      if (isTooMany(size, count)) return undefined
      found = size++
      slots[slot] = found
      lows[found] = low
      highs[found] = high
      rowOf[found] = row
    }
    indexScratch[count++] = found
    if (count === SAMPLE && isTooMany(size, count)) return undefined
  }
  if (size === 0 || size * REPEATS > count) return undefined
  const width = stride * 4
  const data = new Uint8Array(size * width)
  for (let at = 0; at < size; at++) {
    const from = rowOf[at]! * width
    data.set(vector.data.subarray(from, from + width), at * width)
  }
  const values = { column: vector.column, nulls: 0, validity: undefined, data, offsets: undefined }
  return { values, size, indexes: indexScratch, count }
}

function ofTexts(vector: Vector, rows: number): Dictionary | undefined {
  const { data } = vector
  const offsets = vector.offsets!
  let [size, count, bytes] = [0, 0, 0]
  for (let row = 0; row < rows; row++) {
    if (!isValid(vector, row)) continue
    const from = offsets[row]!
    const to = offsets[row + 1]!
    if (to - from > LONGEST) return undefined
    let hash = to - from
    for (let at = from; at < to; at++) hash = Math.imul(hash ^ data[at]!, 0x01000193)
    let slot = Math.imul(hash, 0x9e3779b1) >>> 16
    let found = slots[slot]!
    while (found >= 0 && !isSame(data, offsets, rowOf[found]!, from, to)) {
      slot = (slot + 1) & (SLOTS - 1)
      found = slots[slot]!
    }
    if (found < 0) {
      if (isTooMany(size, count)) return undefined
      found = size++
      slots[slot] = found
      rowOf[found] = row
      bytes += to - from
    }
    indexScratch[count++] = found
    if (count === SAMPLE && isTooMany(size, count)) return undefined
  }
  if (size === 0 || size * REPEATS > count) return undefined
  const values = {
    column: vector.column,
    nulls: 0,
    validity: undefined,
    data: new Uint8Array(bytes),
    offsets: new Int32Array(size + 1),
  }
  for (let at = 0, end = 0; at < size; at++) {
    const value = data.subarray(offsets[rowOf[at]!]!, offsets[rowOf[at]! + 1]!)
    values.data.set(value, end)
    end += value.length
    values.offsets[at + 1] = end
  }
  return { values, size, indexes: indexScratch, count }
}

function isSame(data: Uint8Array, offsets: Int32Array, row: number, from: number, to: number): boolean {
  const start = offsets[row]!
  if (offsets[row + 1]! - start !== to - from) return false
  for (let at = from; at < to; at++) if (data[at] !== data[start + at - from]) return false
  return true
}
