import type { Batch, Vector } from '../../../engine/batch/batch.ts'
import type { ByteSummer } from '../../../engine/batch/rowSum.ts'
import { EngineError } from '../../../engine/errors.ts'
import { unflattened } from '../../../engine/types/logical.ts'
import { writeDate, writeTimestamp } from './encodeMoment.ts'
import {
  largeNumericBytes,
  NUMERIC_SLOT,
  splitNumeric,
  writeLargeNumeric,
  writeNumeric,
} from './encodeNumeric.ts'
import type { Values } from './encodeValues.ts'
import { present } from './encodeValues.ts'

/** What a binary COPY begins with: signature, flags, extension length. */
export const COPY_HEADER = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1')
/** What it ends with. */
export const COPY_TRAILER = Buffer.from([0xff, 0xff])

/** Bytes of a buffer; small enough to stay in the processor's cache while its columns are written one by one. */
const CHUNK = 1 << 18
/** Rows of a buffer at most. */
const ROWS = 4096

/** How a column's values are written: rows [from, from + count) at `at[row - from]`, which moves behind each. */
interface Encoding {
  /** Bytes of a value with its length before it; undefined where `measure` tells them. */
  size?: number
  /** Adds each value's bytes, length included, to `sizes`. */
  measure?(values: Values, sizes: Int32Array, from: number, count: number): void
  write(values: Values, out: DataView, at: Int32Array, from: number, count: number): void
}

/** Writes batches in Postgres's binary COPY format; header and trailer are the caller's. */
export class CopyEncoder {
  private readonly where: string
  private readonly summer: ByteSummer | undefined
  private readonly at = new Int32Array(ROWS)
  private bytes = Buffer.allocUnsafeSlow(0)
  /** By column: what its numerics were split into as they were measured. */
  private readonly slots: Uint16Array[] = []

  /** `where` names the table in errors; `summer` adds up the rows written. */
  constructor(where: string, summer?: ByteSummer) {
    this.where = where
    this.summer = summer
  }

  /**
   * Rows in buffers of about 256 kB that end at a row's end; each lives until the next is asked for. A buffer is
   * written column by column, each in a loop of its own, at places measured before. Unsigned integers are widened,
   * UBIGINT is numeric.
   * Fails with DATA_INVALID where Postgres cannot hold a value: text with a NUL byte, times out of its range.
   */
  *encode(batch: Batch): Generator<Buffer> {
    const { at } = this
    const columns = batch.vectors.map((vector, index) => {
      const { data, validity } = vector
      const source = new DataView(data.buffer, data.byteOffset, data.byteLength)
      const values: Values = { vector, validity, source, where: `${this.where}.${vector.column.name}` }
      return { values, encoding: encodingOf(values, batch.rows, () => this.slotsOf(index)) }
    })
    let step = Math.min(ROWS, batch.rows)
    for (let from = 0; from < batch.rows; ) {
      const most = Math.min(step, batch.rows - from)
      at.fill(2, 0, most)
      for (const { values, encoding } of columns) addSizes(values, encoding, at, from, most)
      const { count, total } = place(at, most)
      step = Math.min(ROWS, count < most ? count : count * 2)
      if (this.bytes.length < total) this.bytes = Buffer.allocUnsafeSlow(Math.max(total, CHUNK))
      const out = new DataView(this.bytes.buffer)
      for (let row = 0; row < count; row++) {
        out.setInt16(at[row]!, columns.length)
        at[row]! += 2
      }
      for (const { values, encoding } of columns) encoding.write(values, out, at, from, count)
      // Each place is now where its row ends.
      if (this.summer)
        for (let row = 0, start = 0; row < count; start = at[row++]!) this.summer.add(out, start, at[row]!)
      yield this.bytes.subarray(0, total)
      from += count
    }
  }

  private slotsOf(column: number): Uint16Array {
    this.slots[column] ??= new Uint16Array(ROWS * NUMERIC_SLOT)
    return this.slots[column]
  }
}

/** Turns rows' sizes into their places, one after the other, of as many as fit into a buffer; one at least. */
function place(at: Int32Array, most: number): { count: number; total: number } {
  let total = 0
  let count = 0
  while (count < most && (count === 0 || total + at[count]! <= CHUNK)) {
    const size = at[count]!
    at[count++] = total
    total += size
  }
  return { count, total }
}

function addSizes(
  values: Values,
  { size, measure }: Encoding,
  sizes: Int32Array,
  from: number,
  count: number,
) {
  if (measure) measure(values, sizes, from, count)
  else if (values.validity === undefined) for (let row = 0; row < count; row++) sizes[row]! += size!
  else for (let row = 0; row < count; row++) sizes[row]! += present(values.validity, from + row) ? size! : 4
}

function encodingOf({ vector, where }: Values, rows: number, slots: () => Uint16Array): Encoding {
  const { type } = vector.column
  switch (type.kind) {
    case 'bool':
      return { size: 5, write: writeBool }
    case 'int':
      if (type.signed) return SIGNED[type.bits]
      return type.bits === 64 ? decimal(0, 2, slots()) : UNSIGNED[type.bits]
    case 'float':
      return type.bits === 32 ? { size: 8, write: writeFourBytes } : { size: 12, write: writeEightBytes }
    case 'decimal':
      return decimal(type.scale, 4, slots())
    case 'text':
      refuseNul(vector, rows, where)
      return BYTES
    case 'binary':
      return BYTES
    case 'nested':
      return unflattened(type)
    case 'date':
      return { size: 8, write: writeDate }
    case 'time':
      return { size: 12, write: writeEightBytes }
    case 'timestamp':
      return { size: 12, write: writeTimestamp }
  }
}

function writeBool(
  { vector: { data }, validity }: Values,
  out: DataView,
  at: Int32Array,
  from: number,
  count: number,
) {
  for (let index = 0; index < count; index++) {
    const to = at[index]!
    if (validity !== undefined && !present(validity, from + index)) {
      out.setInt32(to, -1)
      at[index] = to + 4
      continue
    }
    out.setInt32(to, 1)
    out.setUint8(to + 4, data[from + index]!)
    at[index] = to + 5
  }
}

/** Two bytes of a SMALLINT, by `get`. */
const small =
  (get: (source: DataView, row: number) => number): Encoding['write'] =>
  ({ source, validity }, out, at, from, count) => {
    for (let index = 0; index < count; index++) {
      const to = at[index]!
      if (validity !== undefined && !present(validity, from + index)) {
        out.setInt32(to, -1)
        at[index] = to + 4
        continue
      }
      out.setInt32(to, 2)
      out.setInt16(to + 4, get(source, from + index))
      at[index] = to + 6
    }
  }

function writeUint16(
  { source, validity }: Values,
  out: DataView,
  at: Int32Array,
  from: number,
  count: number,
) {
  for (let index = 0; index < count; index++) {
    const to = at[index]!
    if (validity !== undefined && !present(validity, from + index)) {
      out.setInt32(to, -1)
      at[index] = to + 4
      continue
    }
    out.setInt32(to, 4)
    out.setInt32(to + 4, source.getUint16((from + index) * 2, true))
    at[index] = to + 8
  }
}

function writeUint32(
  { source, validity }: Values,
  out: DataView,
  at: Int32Array,
  from: number,
  count: number,
) {
  for (let index = 0; index < count; index++) {
    const to = at[index]!
    if (validity !== undefined && !present(validity, from + index)) {
      out.setInt32(to, -1)
      at[index] = to + 4
      continue
    }
    out.setInt32(to, 8)
    out.setInt32(to + 4, 0)
    out.setInt32(to + 8, source.getInt32((from + index) * 4, true))
    at[index] = to + 12
  }
}

function writeFourBytes(
  { source, validity }: Values,
  out: DataView,
  at: Int32Array,
  from: number,
  count: number,
) {
  for (let index = 0; index < count; index++) {
    const to = at[index]!
    if (validity !== undefined && !present(validity, from + index)) {
      out.setInt32(to, -1)
      at[index] = to + 4
      continue
    }
    out.setInt32(to, 4)
    out.setInt32(to + 4, source.getInt32((from + index) * 4, true))
    at[index] = to + 8
  }
}

function writeEightBytes(
  { source, validity }: Values,
  out: DataView,
  at: Int32Array,
  from: number,
  count: number,
) {
  for (let index = 0; index < count; index++) {
    const to = at[index]!
    if (validity !== undefined && !present(validity, from + index)) {
      out.setInt32(to, -1)
      at[index] = to + 4
      continue
    }
    const value = (from + index) * 8
    out.setInt32(to, 8)
    out.setInt32(to + 4, source.getInt32(value + 4, true))
    out.setInt32(to + 8, source.getInt32(value, true))
    at[index] = to + 12
  }
}

/** Bytes of a value at most that a loop copies, by fours: a native copy costs more until then. */
const SHORT = 64

const BYTES: Encoding = {
  // A NULL has an empty range.
  measure({ vector }, sizes, from, count) {
    const offsets = vector.offsets!
    for (let index = 0; index < count; index++)
      sizes[index]! += 4 + offsets[from + index + 1]! - offsets[from + index]!
  },
  write({ vector, validity, source }, out, at, from, count) {
    const { data } = vector
    const offsets = vector.offsets!
    const bytes = new Uint8Array(out.buffer)
    for (let index = 0; index < count; index++) {
      const row = from + index
      let to = at[index]!
      if (validity !== undefined && !present(validity, row)) {
        out.setInt32(to, -1)
        at[index] = to + 4
        continue
      }
      let start = offsets[row]!
      const end = offsets[row + 1]!
      out.setInt32(to, end - start)
      to += 4
      if (end - start > SHORT) {
        bytes.set(data.subarray(start, end), to)
        to += end - start
      } else {
        for (; start + 4 <= end; start += 4, to += 4) out.setInt32(to, source.getInt32(start))
        while (start < end) bytes[to++] = data[start++]!
      }
      at[index] = to
    }
  },
}

const WORDS = new Uint32Array(4)

/** In a slot: the value is too large for one. */
const LARGE = 0xffff

/** Decimals of four words, and unsigned integers of two, as numeric: measured, then written of a slot a row. */
function decimal(scale: number, words: 2 | 4, slots: Uint16Array): Encoding {
  const signed = words === 4
  // The value as a double where that holds it, as it does most; otherwise NaN, and WORDS are loaded.
  const small = (source: DataView, row: number): number => {
    const from = row * words * 4
    const low = source.getUint32(from, true)
    const high = signed ? source.getInt32(from + 4, true) : source.getUint32(from + 4, true)
    if (high < 0x200000 && high > -0x200000) {
      const sign = high >> 31
      if (!signed || (source.getInt32(from + 8, true) === sign && source.getInt32(from + 12, true) === sign))
        return high * 2 ** 32 + low
    }
    WORDS[0] = low
    WORDS[1] = high
    WORDS[2] = signed ? source.getUint32(from + 8, true) : 0
    WORDS[3] = signed ? source.getUint32(from + 12, true) : 0
    return Number.NaN
  }
  return {
    measure({ source, validity }, sizes, from, count) {
      for (let index = 0; index < count; index++) {
        if (validity !== undefined && !present(validity, from + index)) {
          sizes[index]! += 4
          continue
        }
        const value = small(source, from + index)
        const slot = index * NUMERIC_SLOT
        if (!Number.isNaN(value)) sizes[index]! += splitNumeric(slots, slot, value, scale)
        else {
          slots[slot] = LARGE
          sizes[index]! += largeNumericBytes(WORDS, signed, scale)
        }
      }
    },
    write({ source, validity }, out, at, from, count) {
      for (let index = 0; index < count; index++) {
        const to = at[index]!
        if (validity !== undefined && !present(validity, from + index)) {
          out.setInt32(to, -1)
          at[index] = to + 4
          continue
        }
        const slot = index * NUMERIC_SLOT
        if (slots[slot] !== LARGE) at[index] = writeNumeric(out, to, slots, slot, scale)
        else {
          small(source, from + index)
          at[index] = writeLargeNumeric(out, to, WORDS, signed, scale)
        }
      }
    },
  }
}

const SIGNED: Record<8 | 16 | 32 | 64, Encoding> = {
  8: { size: 6, write: small((source, row) => source.getInt8(row)) },
  16: { size: 6, write: small((source, row) => source.getInt16(row * 2, true)) },
  32: { size: 8, write: writeFourBytes },
  64: { size: 12, write: writeEightBytes },
}
const UNSIGNED: Record<8 | 16 | 32, Encoding> = {
  8: { size: 6, write: small((source, row) => source.getUint8(row)) },
  16: { size: 8, write: writeUint16 },
  32: { size: 12, write: writeUint32 },
}

function refuseNul({ data, offsets }: Vector, rows: number, where: string): void {
  const start = offsets![0]!
  const found = data.subarray(start, offsets![rows]).indexOf(0)
  if (found < 0) return
  const row = offsets!.findIndex(end => end > start + found)
  throw new EngineError(
    'DATA_INVALID',
    `${where}: row ${row} of a batch holds a NUL byte, which Postgres text cannot hold`,
    { hint: `Remove it in the model: replace(${where.split('.').at(-1)}, chr(0), '').` },
  )
}
