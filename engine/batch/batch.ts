import { type Column, type LogicalType, unflattened } from '../types/logical.ts'

/**
 * One column of a batch, in Arrow's memory layout: little-endian fixed-width values, or offsets and bytes.
 *
 * | type | `data` | `offsets` |
 * |---|---|---|
 * | bool | one byte a row, 0 or 1 | |
 * | int, float, date (i32), time and timestamp (i64) | `width` bytes a row | |
 * | decimal | 16 bytes a row, two's complement, scaled by 10^scale | |
 * | text (UTF-8), binary | bytes of row r are data[offsets[r], offsets[r+1]) | rows + 1 |
 *
 * A NULL row has its validity bit clear and a zero value or an empty range.
 */
export interface Vector {
  column: Column
  nulls: number
  /** Bit r (least significant first) is set when row r holds a value; absent when no row is NULL. */
  validity: Uint8Array | undefined
  /** Starts 8-byte aligned in its buffer, so that typed views fit. */
  data: Uint8Array
  offsets: Int32Array | undefined
}

/** Rows in columns. Buffers belong to whoever made the batch and live until it says otherwise. */
export interface Batch {
  rows: number
  vectors: Vector[]
}

/** Bytes a fixed-width value takes in a vector; 0 for text and binary. */
export function fixedWidth(type: LogicalType): number {
  switch (type.kind) {
    case 'bool':
      return 1
    case 'int':
    case 'float':
      return type.bits / 8
    case 'date':
      return 4
    case 'time':
    case 'timestamp':
      return 8
    case 'decimal':
      return 16
    case 'text':
    case 'binary':
      return 0
    case 'nested':
      return unflattened(type)
  }
}

/** Whether row `row` of a vector holds a value. */
export function isValid(vector: Vector, row: number): boolean {
  return vector.validity === undefined || (vector.validity[row >> 3]! & (1 << (row & 7))) !== 0
}

/** Some rows of a batch, over the same buffers where these are aligned so. */
export function sliceBatch({ vectors }: Batch, from: number, to: number): Batch {
  const rows = to - from
  const slice = (vector: Vector): Vector => {
    const { column, offsets } = vector
    const validity = vector.validity && new Uint8Array((rows + 7) >> 3)
    let nulls = 0
    for (let row = 0; validity && row < rows; row++)
      if (isValid(vector, from + row)) validity[row >> 3]! |= 1 << (row & 7)
      else nulls++
    const shared = nulls > 0 ? validity : undefined
    if (offsets)
      return { column, nulls, validity: shared, data: vector.data, offsets: offsets.subarray(from, to + 1) }
    const width = fixedWidth(column.type)
    const part = vector.data.subarray(from * width, to * width)
    const data = part.byteOffset % 8 === 0 ? part : part.slice()
    return { column, nulls, validity: shared, data, offsets: undefined }
  }
  return { rows, vectors: vectors.map(slice) }
}
