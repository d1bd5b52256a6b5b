import type { Batch, Vector } from '../batch/batch.ts'
import { fixedWidth, isValid } from '../batch/batch.ts'
import { type LogicalType, unflattened } from '../types/logical.ts'
import * as thrift from './thrift.ts'

/**
 * Batches as Parquet files, for staging: one row group, one data page a column, no compression (the files live for
 * a night on a local disk, and compressing costs more than the disk does). Fixed-width values are copied as they
 * lie; text and binary keep their bytes in one piece behind their lengths (DELTA_LENGTH_BYTE_ARRAY).
 * Format: github.com/apache/parquet-format, `Encodings.md` and `parquet.thrift`.
 */

const MAGIC = Buffer.from('PAR1')

const PLAIN = 0
const RLE = 3
const DELTA_LENGTH_BYTE_ARRAY = 6

/** Physical types. */
const BOOLEAN = 0
const INT32 = 1
const INT64 = 2
const FLOAT = 4
const DOUBLE = 5
const BYTE_ARRAY = 6
const FIXED_LEN_BYTE_ARRAY = 7

/** What a whole file is written into; it grows and is used again, so a result lives until the next call. */
let scratch = new Uint8Array(1 << 20)
let used = 0

function reserve(length: number): number {
  const start = used
  used += length
  if (used > scratch.length) {
    const grown = new Uint8Array(Math.max(used, scratch.length * 2))
    grown.set(scratch.subarray(0, start))
    scratch = grown
  }
  return start
}

function append(bytes: Uint8Array): void {
  const at = reserve(bytes.length)
  scratch.set(bytes, at)
}

/**
 * One batch as a whole Parquet file. Synchronous: the batch's buffers are free on return; the bytes returned live
 * until the next call in this thread.
 */
export function encodeParquet(batch: Batch): Uint8Array {
  used = 0
  append(MAGIC)
  const chunks = batch.vectors.map(vector => columnChunk(vector, batch.rows))
  const bytes = used - MAGIC.length
  const footer = thrift.encodeStruct({
    1: thrift.i32(1),
    2: thrift.list([
      thrift.struct({ 4: thrift.text('schema'), 5: thrift.i32(batch.vectors.length) }),
      ...batch.vectors.map(({ column }) => schemaElement(column.name, column.type)),
    ]),
    3: thrift.i64(batch.rows),
    4: thrift.list([
      thrift.struct({ 1: thrift.list(chunks), 2: thrift.i64(bytes), 3: thrift.i64(batch.rows) }),
    ]),
    6: thrift.text('nightfreight'),
  })
  append(footer)
  new DataView(scratch.buffer).setUint32(reserve(4), footer.length, true)
  append(MAGIC)
  return scratch.subarray(0, used)
}

/** Writes one column as a page and returns its metadata. */
function columnChunk(vector: Vector, rows: number): thrift.Thrift {
  const start = used
  // The header tells the page's size, so the page comes first, behind a gap, and then moves up to its header.
  const gap = 64
  reserve(gap)
  levels(vector, rows)
  values(vector, rows)
  const size = used - start - gap
  const encoding = fixedWidth(vector.column.type) === 0 ? DELTA_LENGTH_BYTE_ARRAY : PLAIN
  const header = thrift.encodeStruct({
    1: thrift.i32(0),
    2: thrift.i32(size),
    3: thrift.i32(size),
    5: thrift.struct({
      1: thrift.i32(rows),
      2: thrift.i32(encoding),
      3: thrift.i32(RLE),
      4: thrift.i32(RLE),
    }),
  })
  scratch.copyWithin(start + header.length, start + gap, used)
  scratch.set(header, start)
  used -= gap - header.length
  const length = used - start
  return thrift.struct({
    2: thrift.i64(start),
    3: thrift.struct({
      1: thrift.i32(physicalType(vector.column.type)),
      2: thrift.list([thrift.i32(encoding), thrift.i32(RLE)]),
      3: thrift.list([thrift.text(vector.column.name)]),
      4: thrift.i32(0),
      5: thrift.i64(rows),
      6: thrift.i64(length),
      7: thrift.i64(length),
      9: thrift.i64(start),
      12: thrift.struct({ 3: thrift.i64(vector.nulls) }),
    }),
  })
}

/** Definition levels, one bit a row: Arrow's validity bitmap is Parquet's bit-packing of them. */
function levels(vector: Vector, rows: number): void {
  const groups = (rows + 7) >> 3
  const run = vector.validity ? thrift.varint(groups * 2 + 1) : [...thrift.varint(rows * 2), 1]
  const at = reserve(4)
  append(Uint8Array.from(run))
  if (vector.validity) append(vector.validity.subarray(0, groups))
  new DataView(scratch.buffer).setUint32(at, used - at - 4, true)
}

function values(vector: Vector, rows: number): void {
  const { type } = vector.column
  const width = fixedWidth(type)
  if (width === 0) byteArrays(vector, rows)
  else if (type.kind === 'bool') booleans(vector, rows)
  else if (type.kind === 'decimal') decimals(vector, rows, type.precision)
  else if (width < 4) widened(vector, rows, width, type.kind === 'int' && type.signed)
  else if (vector.validity === undefined) append(vector.data.subarray(0, rows * width))
  else present(vector, rows, width)
}

/** Copies the values of the rows that are not NULL, run by run. */
function present(vector: Vector, rows: number, width: number): void {
  let at = reserve((rows - vector.nulls) * width)
  let row = 0
  while (row < rows) {
    while (row < rows && !isValid(vector, row)) row++
    const from = row
    while (row < rows && isValid(vector, row)) row++
    const end = row * width
    // A native copy costs more than a short loop.
    if (row - from > 8) scratch.set(vector.data.subarray(from * width, end), at)
    else for (let byte = from * width, to = at; byte < end; byte++, to++) scratch[to] = vector.data[byte]!
    at += end - from * width
  }
}

function booleans(vector: Vector, rows: number): void {
  const count = rows - vector.nulls
  const at = reserve((count + 7) >> 3)
  scratch.fill(0, at, used)
  let index = 0
  for (let row = 0; row < rows; row++) {
    if (!isValid(vector, row)) continue
    scratch[at + (index >> 3)]! |= vector.data[row]! << (index & 7)
    index++
  }
}

/** Integers of 8 and 16 bits, as INT32. */
function widened(vector: Vector, rows: number, width: number, signed: boolean): void {
  let at = reserve((rows - vector.nulls) * 4)
  const { data } = vector
  const shift = 32 - 8 * width
  for (let row = 0; row < rows; row++) {
    if (!isValid(vector, row)) continue
    let value = width === 1 ? data[row]! : data[2 * row]! | (data[2 * row + 1]! << 8)
    if (signed) value = (value << shift) >> shift
    scratch[at] = value
    scratch[at + 1] = value >> 8
    scratch[at + 2] = value >> 16
    scratch[at + 3] = value >> 24
    at += 4
  }
}

/** Decimals: the low 4 or 8 bytes where the precision fits into them, otherwise 16 bytes, high ones first. */
function decimals(vector: Vector, rows: number, precision: number): void {
  const width = decimalWidth(precision)
  let at = reserve((rows - vector.nulls) * width)
  const { data } = vector
  for (let row = 0; row < rows; row++) {
    if (!isValid(vector, row)) continue
    const from = row * 16
    if (width === 16) for (let byte = 0; byte < 16; byte++) scratch[at + byte] = data[from + 15 - byte]!
    else for (let byte = 0; byte < width; byte++) scratch[at + byte] = data[from + byte]!
    at += width
  }
}

function decimalWidth(precision: number): 4 | 8 | 16 {
  return precision <= 9 ? 4 : precision <= 18 ? 8 : 16
}

/** Values of one block and of one miniblock of DELTA_BINARY_PACKED. */
const BLOCK = 128
const MINIBLOCKS = 4

/**
 * Lengths as DELTA_BINARY_PACKED, then all bytes. A block's deltas are packed into 0, 8, 16 or 32 bits: whole bytes
 * cost a little space and save the shifting.
 */
function byteArrays(vector: Vector, rows: number): void {
  const offsets = vector.offsets!
  const count = rows - vector.nulls
  const lengths = lengthsOf(vector, rows)
  append(
    Uint8Array.from([
      ...thrift.varint(BLOCK),
      ...thrift.varint(MINIBLOCKS),
      ...thrift.varint(count),
      ...thrift.varint(thrift.zigzag(count > 0 ? lengths[0]! : 0)),
    ]),
  )
  for (let from = 1; from < count; from += BLOCK) {
    const until = Math.min(from + BLOCK, count)
    let low = 0x7fffffff
    let high = -0x80000000
    for (let index = from; index < until; index++) {
      const delta = lengths[index]! - lengths[index - 1]!
      if (delta < low) low = delta
      if (delta > high) high = delta
    }
    const range = high - low
    const width = range === 0 ? 0 : range < 0x100 ? 1 : range < 0x10000 ? 2 : 4
    // Miniblocks behind the last value are left out, with a width of 0.
    const miniblocks = Math.ceil((until - from) / (BLOCK / MINIBLOCKS))
    const widths = Array.from({ length: MINIBLOCKS }, (_, index) => (index < miniblocks ? width * 8 : 0))
    append(Uint8Array.from([...thrift.varint(thrift.zigzag(low)), ...widths]))
    const size = miniblocks * (BLOCK / MINIBLOCKS) * width
    let at = reserve(size)
    const end = at + size
    for (let index = from; index < until; index++) {
      let delta = lengths[index]! - lengths[index - 1]! - low
      for (let byte = 0; byte < width; byte++) {
        scratch[at++] = delta & 0xff
        delta = Math.floor(delta / 256)
      }
    }
    scratch.fill(0, at, end)
  }
  append(vector.data.subarray(offsets[0]!, offsets[rows]!))
}

let lengthScratch = new Int32Array(1 << 16)

/** Lengths of the rows that are not NULL. */
function lengthsOf(vector: Vector, rows: number): Int32Array {
  const offsets = vector.offsets!
  if (lengthScratch.length < rows) lengthScratch = new Int32Array(rows)
  let count = 0
  for (let row = 0; row < rows; row++)
    if (isValid(vector, row)) lengthScratch[count++] = offsets[row + 1]! - offsets[row]!
  return lengthScratch
}

function physicalType(type: LogicalType): number {
  switch (type.kind) {
    case 'bool':
      return BOOLEAN
    case 'int':
      return type.bits === 64 ? INT64 : INT32
    case 'date':
      return INT32
    case 'time':
    case 'timestamp':
      return INT64
    case 'float':
      return type.bits === 32 ? FLOAT : DOUBLE
    case 'decimal':
      return { 4: INT32, 8: INT64, 16: FIXED_LEN_BYTE_ARRAY }[decimalWidth(type.precision)]
    case 'text':
    case 'binary':
      return BYTE_ARRAY
    case 'nested':
      return unflattened(type)
  }
}

/** ConvertedType numbers, for readers that know no LogicalType; wall-clock times have none. */
const CONVERTED = { utf8: 0, decimal: 5, date: 6, instant: 10, unsigned: 11, signed: 15 }

function schemaElement(name: string, type: LogicalType): thrift.Thrift {
  const decimal = type.kind === 'decimal' ? type : undefined
  const annotation = annotate(type)
  return thrift.struct({
    1: thrift.i32(physicalType(type)),
    2: decimal && decimalWidth(decimal.precision) === 16 ? thrift.i32(16) : undefined,
    3: thrift.i32(1),
    4: thrift.text(name),
    6: annotation?.converted === undefined ? undefined : thrift.i32(annotation.converted),
    7: decimal && thrift.i32(decimal.scale),
    8: decimal && thrift.i32(decimal.precision),
    10: annotation?.logical,
  })
}

function annotate(type: LogicalType): { converted?: number; logical: thrift.Thrift } | undefined {
  const micros = thrift.struct({ 2: thrift.struct({}) })
  switch (type.kind) {
    case 'bool':
    case 'float':
    case 'binary':
      return undefined
    case 'text':
      return { converted: CONVERTED.utf8, logical: thrift.struct({ 1: thrift.struct({}) }) }
    case 'date':
      return { converted: CONVERTED.date, logical: thrift.struct({ 6: thrift.struct({}) }) }
    case 'decimal':
      return {
        converted: CONVERTED.decimal,
        logical: thrift.struct({
          5: thrift.struct({ 1: thrift.i32(type.scale), 2: thrift.i32(type.precision) }),
        }),
      }
    case 'time':
      return { logical: thrift.struct({ 7: thrift.struct({ 1: thrift.bool(false), 2: micros }) }) }
    case 'timestamp':
      return {
        ...(type.zoned ? { converted: CONVERTED.instant } : {}),
        logical: thrift.struct({ 8: thrift.struct({ 1: thrift.bool(type.zoned), 2: micros }) }),
      }
    case 'int':
      return {
        converted: (type.signed ? CONVERTED.signed : CONVERTED.unsigned) + Math.log2(type.bits / 8),
        logical: thrift.struct({
          10: thrift.struct({ 1: thrift.byte(type.bits), 2: thrift.bool(type.signed) }),
        }),
      }
  }
}
