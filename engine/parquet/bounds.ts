import { isValid, type Vector } from '../batch/batch.ts'

/** The least and the greatest value of a column, as Parquet's statistics have them. */
export interface Bounds {
  least: Uint8Array
  greatest: Uint8Array
}

/** Bytes of a text that statistics have at most. */
const LONGEST = 64

/** Undefined where every row is NULL, of texts that are long, and of types whose order is not that of whole numbers. */
export function boundsOf(vector: Vector, rows: number): Bounds | undefined {
  const { type } = vector.column
  switch (type.kind) {
    case 'text':
      return ofTexts(vector, rows)
    case 'date':
      return ofWords(vector, rows, 1)
    case 'time':
    case 'timestamp':
      return ofPairs(vector, rows, 2)
    case 'int':
      if (!type.signed || type.bits < 32) return undefined
      return type.bits === 32 ? ofWords(vector, rows, 1) : ofPairs(vector, rows, 2)
    case 'decimal':
      if (type.precision > 18) return undefined
      return type.precision <= 9 ? ofWords(vector, rows, 4) : ofPairs(vector, rows, 4)
    default:
      return undefined
  }
}

/** Of values of one word, `stride` words apart. */
function ofWords(vector: Vector, rows: number, stride: number): Bounds | undefined {
  const { data } = vector
  const words = new Int32Array(data.buffer, data.byteOffset, rows * stride)
  let [least, greatest] = [-1, -1]
  for (let row = 0; row < rows; row++) {
    if (!isValid(vector, row)) continue
    const value = words[row * stride]!
    if (least < 0 || value < words[least * stride]!) least = row
    if (greatest < 0 || value > words[greatest * stride]!) greatest = row
  }
  const bytes = (row: number) => data.slice(row * stride * 4, row * stride * 4 + 4)
  return least < 0 ? undefined : { least: bytes(least), greatest: bytes(greatest) }
}

/** Of values of two words, the low one first. */
function ofPairs(vector: Vector, rows: number, stride: number): Bounds | undefined {
  const { data } = vector
  const words = new Int32Array(data.buffer, data.byteOffset, rows * stride)
  const isBelow = (row: number, other: number) => {
    const [high, otherHigh] = [words[row * stride + 1]!, words[other * stride + 1]!]
    return (
      high < otherHigh || (high === otherHigh && words[row * stride]! >>> 0 < words[other * stride]! >>> 0)
    )
  }
  const [least, greatest] = extremes(vector, rows, isBelow)
  const bytes = (row: number) => data.slice(row * stride * 4, row * stride * 4 + 8)
  return least < 0 ? undefined : { least: bytes(least), greatest: bytes(greatest) }
}

function ofTexts(vector: Vector, rows: number): Bounds | undefined {
  const { data } = vector
  const offsets = vector.offsets!
  const isBelow = (row: number, other: number) => {
    const [from, to] = [offsets[row]!, offsets[row + 1]!]
    const [start, end] = [offsets[other]!, offsets[other + 1]!]
    for (let at = 0; from + at < to && start + at < end; at++) {
      const difference = data[from + at]! - data[start + at]!
      if (difference !== 0) return difference < 0
    }
    return to - from < end - start
  }
  const [least, greatest] = extremes(vector, rows, isBelow)
  const bytes = (row: number) => data.slice(offsets[row]!, offsets[row + 1]!)
  if (least < 0 || Math.max(bytes(least).length, bytes(greatest).length) > LONGEST) return undefined
  return { least: bytes(least), greatest: bytes(greatest) }
}

/** The rows of the least and greatest value; -1 where all are NULL. */
function extremes(
  vector: Vector,
  rows: number,
  isBelow: (row: number, other: number) => boolean,
): [number, number] {
  let [least, greatest] = [-1, -1]
  for (let row = 0; row < rows; row++) {
    if (!isValid(vector, row)) continue
    if (least < 0) least = greatest = row
    else if (isBelow(row, least)) least = row
    else if (isBelow(greatest, row)) greatest = row
  }
  return [least, greatest]
}
