import type { Batch, Vector } from '../../../engine/batch/batch.ts'
import { EngineError } from '../../../engine/errors.ts'
import { numericBytes, writeNumeric } from './encodeNumeric.ts'

/** What a binary COPY begins with: signature, flags, extension length. */
export const COPY_HEADER = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1')
/** What it ends with. */
export const COPY_TRAILER = Buffer.from([0xff, 0xff])

/** Bytes of a buffer; small enough to stay in the processor's cache while its columns are written one by one. */
const CHUNK = 1 << 18
/** Rows of a buffer at most. */
const ROWS = 4096
// Postgres counts from 2000-01-01: days, and microseconds as high and low halves.
const EPOCH_DAYS = 10_957
const EPOCH_MICROS = 946_684_800_000_000
const EPOCH_HIGH = Math.floor(EPOCH_MICROS / 2 ** 32)
const EPOCH_LOW = EPOCH_MICROS % 2 ** 32
const I32_MAX = 0x7fffffff
const I32_MIN = -0x80000000

/** One column of a batch on its way out. */
interface Values {
  vector: Vector
  validity: Uint8Array | undefined
  source: DataView
  /** The column, for errors. */
  where: string
}

/** How a column's values are written: rows [from, from + count) at `at[row - from]`, which moves behind each. */
interface Encoding {
  /** Bytes of a value with its length before it; undefined where `measure` tells them. */
  size?: number
  /** Adds each value's bytes, length included, to `sizes`. */
  measure?(values: Values, sizes: Int32Array, from: number, count: number): void
  write(values: Values, out: DataView, at: Int32Array, from: number, count: number): void
}

/**
 * Rows in Postgres's binary COPY format, in buffers of about 256 kB that end at a row's end; header and trailer are
 * the caller's. A buffer is written column by column, each in a loop of its own, at places measured before. Unsigned
 * integers are widened, UBIGINT is numeric. `where` names the table in errors.
 * Fails with DATA_INVALID where Postgres cannot hold a value: text with a NUL byte, times out of its range.
 */
export function* encodeCopy(batch: Batch, where: string): Generator<Buffer> {
  const columns = batch.vectors.map(vector => {
    const { data, validity } = vector
    const source = new DataView(data.buffer, data.byteOffset, data.byteLength)
    const values: Values = { vector, validity, source, where: `${where}.${vector.column.name}` }
    return { values, encoding: encodingOf(values, batch.rows) }
  })
  const at = new Int32Array(ROWS)
  let step = Math.min(ROWS, batch.rows)
  for (let from = 0; from < batch.rows; ) {
    let count = Math.min(step, batch.rows - from)
    at.fill(2, 0, count)
    for (const { values, encoding } of columns) addSizes(values, encoding, at, from, count)
    let total = 0
    let rows = 0
    // Each row's size becomes its place; rows that no longer fit wait for the next buffer.
    while (rows < count && (rows === 0 || total + at[rows]! <= CHUNK)) {
      const size = at[rows]!
      at[rows++] = total
      total += size
    }
    step = Math.min(ROWS, rows < count ? Math.max(1, rows) : rows * 2)
    count = rows
    const bytes = Buffer.allocUnsafeSlow(total)
    const out = new DataView(bytes.buffer)
    for (let row = 0; row < count; row++) {
      out.setInt16(at[row]!, columns.length)
      at[row]! += 2
    }
    for (const { values, encoding } of columns) encoding.write(values, out, at, from, count)
    yield bytes
    from += count
  }
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

const present = (validity: Uint8Array, row: number) => (validity[row >> 3]! & (1 << (row & 7))) !== 0

function encodingOf({ vector, where }: Values, rows: number): Encoding {
  const { type } = vector.column
  switch (type.kind) {
    case 'bool':
      return { size: 5, write: writeBool }
    case 'int':
      return type.signed ? SIGNED[type.bits] : UNSIGNED[type.bits]
    case 'float':
      return type.bits === 32 ? { size: 8, write: writeFourBytes } : { size: 12, write: writeEightBytes }
    case 'decimal':
      return decimal(type.scale, 4, true)
    case 'text':
      refuseNul(vector, rows, where)
      return BYTES
    case 'binary':
      return BYTES
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

function writeDate(
  { source, validity, where }: Values,
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
    let days = source.getInt32((from + index) * 4, true)
    if (days <= -I32_MAX) days = I32_MIN
    else if (days !== I32_MAX) {
      days -= EPOCH_DAYS
      if (days < I32_MIN) outOfRange(where, from + index)
    }
    out.setInt32(to, 4)
    out.setInt32(to + 4, days)
    at[index] = to + 8
  }
}

function writeTimestamp(
  { source, validity, where }: Values,
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
    let high = source.getInt32(value + 4, true)
    let low = source.getUint32(value, true)
    if (high === I32_MIN && low <= 1)
      low = 0 // -infinity
    else if (high !== I32_MAX || low !== 0xffffffff) {
      low -= EPOCH_LOW
      high -= EPOCH_HIGH + (low < 0 ? 1 : 0)
      if (high < I32_MIN) outOfRange(where, from + index)
    }
    out.setInt32(to, 8)
    out.setInt32(to + 4, high)
    out.setInt32(to + 8, low)
    at[index] = to + 12
  }
}

/** Bytes of a value at most that a loop copies: a native copy costs more until about three dozen. */
const SHORT = 36

const BYTES: Encoding = {
  // A NULL has an empty range.
  measure({ vector }, sizes, from, count) {
    const offsets = vector.offsets!
    for (let index = 0; index < count; index++)
      sizes[index]! += 4 + offsets[from + index + 1]! - offsets[from + index]!
  },
  write({ vector, validity }, out, at, from, count) {
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
      } else while (start < end) bytes[to++] = data[start++]!
      at[index] = to
    }
  },
}

const LIMBS = new Uint32Array(4)

function decimal(scale: number, words: 2 | 4, signed: boolean): Encoding {
  const load = (source: DataView, row: number) => {
    const from = row * words * 4
    LIMBS[0] = source.getUint32(from, true)
    LIMBS[1] = source.getUint32(from + 4, true)
    LIMBS[2] = words === 4 ? source.getUint32(from + 8, true) : 0
    LIMBS[3] = words === 4 ? source.getUint32(from + 12, true) : 0
  }
  return {
    measure({ source, validity }, sizes, from, count) {
      for (let index = 0; index < count; index++) {
        if (validity !== undefined && !present(validity, from + index)) {
          sizes[index]! += 4
          continue
        }
        load(source, from + index)
        sizes[index]! += numericBytes(LIMBS, signed, scale)
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
        load(source, from + index)
        at[index] = writeNumeric(out, to, LIMBS, signed, scale)
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
const UNSIGNED: Record<8 | 16 | 32 | 64, Encoding> = {
  8: { size: 6, write: small((source, row) => source.getUint8(row)) },
  16: { size: 8, write: writeUint16 },
  32: { size: 12, write: writeUint32 },
  64: decimal(0, 2, false),
}

function outOfRange(where: string, row: number): never {
  throw new EngineError('DATA_INVALID', `${where}: row ${row + 1} of the part is out of Postgres's range`, {
    hint: 'Add a row check to the model, so that such rows go to the quarantine.',
  })
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
