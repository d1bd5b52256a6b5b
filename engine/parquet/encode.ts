import { constants, zstdCompressSync } from 'node:zlib'
import type { Batch, Vector } from '../batch/batch.ts'
import { fixedWidth, isValid } from '../batch/batch.ts'
import type { LogicalType } from '../types/logical.ts'
import { boundsOf } from './bounds.ts'
import { type Dictionary, dictionaryOf } from './dictionary.ts'
import { decimalWidth, physicalType, schemaElement } from './schema.ts'
import * as thrift from './thrift.ts'

/**
 * Batches as Parquet files, for staging: one row group, one data page a column, no compression (the files live for
 * a night on a local disk, and compressing costs more than the disk does). Fixed-width values are copied as they
 * lie; text and binary keep their bytes in one piece behind their lengths (DELTA_LENGTH_BYTE_ARRAY).
 * Files that are to be kept are compressed, with dictionaries of values that repeat, and the bounds of each column.
 * Format: github.com/apache/parquet-format, `Encodings.md` and `parquet.thrift`.
 */

/** How a Parquet file begins, and ends. */
export const MAGIC = Buffer.from('PAR1')

/** Who wrote a file, as its footer says. */
export const WRITER = 'nightfreight'

const PLAIN = 0
const RLE = 3
const DELTA_LENGTH_BYTE_ARRAY = 6
const RLE_DICTIONARY = 8

/** Codec of pages. */
export const ZSTD = 6

/** Kinds of pages. */
const DATA_PAGE = 0
const DICTIONARY_PAGE = 2

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
 * until the next call in this thread. `level`: of zstd, 1 to 22, where the file is to be kept.
 */
export function encodeParquet(batch: Batch, level?: number): Uint8Array {
  used = 0
  append(MAGIC)
  const chunks = batch.vectors.map(vector => columnChunk(vector, batch.rows, level))
  const group = { rows: batch.rows, bytes: used - MAGIC.length, chunks }
  append(
    encodeFooter(
      batch.vectors.map(({ column }) => column),
      [group],
    ),
  )
  return scratch.subarray(0, used)
}

/** A row group as a footer tells of it. */
export interface RowGroup {
  rows: number
  bytes: number
  chunks: thrift.Thrift[]
}

/** What follows the row groups of a file. */
export function encodeFooter(columns: { name: string; type: LogicalType }[], groups: RowGroup[]): Uint8Array {
  const footer = thrift.encodeStruct({
    1: thrift.i32(1),
    2: thrift.list([
      thrift.struct({ 4: thrift.text('schema'), 5: thrift.i32(columns.length) }),
      ...columns.map(({ name, type }) => schemaElement(name, type)),
    ]),
    3: thrift.i64(groups.reduce((sum, { rows }) => sum + rows, 0)),
    4: thrift.list(
      groups.map(({ rows, bytes, chunks }) =>
        thrift.struct({ 1: thrift.list(chunks), 2: thrift.i64(bytes), 3: thrift.i64(rows) }),
      ),
    ),
    6: thrift.text(WRITER),
    // Each column's values are in the order of its type: what bounds mean.
    7: thrift.list(columns.map(() => thrift.struct({ 1: thrift.struct({}) }))),
  })
  const end = Buffer.alloc(8)
  end.writeUInt32LE(footer.length)
  MAGIC.copy(end, 4)
  return Buffer.concat([footer, end])
}

/** Writes one column and returns its metadata. */
function columnChunk(vector: Vector, rows: number, level: number | undefined): thrift.Thrift {
  const start = used
  const { type } = vector.column
  const dictionary = level === undefined ? undefined : dictionaryOf(vector, rows)
  let plain = 0
  if (dictionary) {
    const count = { 1: thrift.i32(dictionary.size), 2: thrift.i32(PLAIN) }
    plain += page(DICTIONARY_PAGE, count, level, () => values(dictionary.values, dictionary.size, true))
  }
  const data = used
  const encoding = dictionary ? RLE_DICTIONARY : fixedWidth(type) === 0 ? DELTA_LENGTH_BYTE_ARRAY : PLAIN
  const count = { 1: thrift.i32(rows), 2: thrift.i32(encoding), 3: thrift.i32(RLE), 4: thrift.i32(RLE) }
  plain += page(DATA_PAGE, count, level, () => {
    levels(vector, rows)
    if (dictionary) indexes(dictionary)
    else values(vector, rows)
  })
  const distinct = dictionary ?? { values: vector, size: rows }
  const bounds = level === undefined ? undefined : boundsOf(distinct.values, distinct.size)
  const encodings = dictionary ? [PLAIN, RLE, RLE_DICTIONARY] : [encoding, RLE]
  return thrift.struct({
    2: thrift.i64(start),
    3: thrift.struct({
      1: thrift.i32(physicalType(type)),
      2: thrift.list(encodings.map(thrift.i32)),
      3: thrift.list([thrift.text(vector.column.name)]),
      4: thrift.i32(level === undefined ? 0 : ZSTD),
      5: thrift.i64(rows),
      6: thrift.i64(plain),
      7: thrift.i64(used - start),
      9: thrift.i64(data),
      11: dictionary && thrift.i64(start),
      12: thrift.struct({
        3: thrift.i64(vector.nulls),
        5: bounds && thrift.binary(bounds.greatest),
        6: bounds && thrift.binary(bounds.least),
      }),
    }),
  })
}

/** Writes a page with what `write` appends; how many bytes it would be without compression. */
function page(kind: number, count: thrift.Fields, level: number | undefined, write: () => void): number {
  const start = used
  // The header tells the page's size, so the page comes first, behind a gap, and then moves up to its header.
  const gap = 64
  reserve(gap)
  write()
  const size = used - start - gap
  if (level !== undefined) {
    const params = { [constants.ZSTD_c_compressionLevel]: level }
    const packed = zstdCompressSync(scratch.subarray(start + gap, used), { params })
    used = start + gap
    append(packed)
  }
  const length = used - start - gap
  const header = thrift.encodeStruct({
    1: thrift.i32(kind),
    2: thrift.i32(size),
    3: thrift.i32(length),
    [kind === DATA_PAGE ? 5 : 7]: thrift.struct(count),
  })
  scratch.copyWithin(start + header.length, start + gap, used)
  scratch.set(header, start)
  used -= gap - header.length
  return size + header.length
}

/** Which value of its dictionary each row holds, in as few bits as tell them apart. */
function indexes({ indexes: from, count, size }: Dictionary): void {
  const width = Math.max(1, 32 - Math.clz32(size - 1))
  const groups = (count + 7) >> 3
  append(Uint8Array.from([width, ...thrift.varint(groups * 2 + 1)]))
  let at = reserve(groups * width)
  let [bits, held] = [0, 0]
  for (let index = 0; index < groups * 8; index++) {
    bits |= (index < count ? from[index]! : 0) << held
    held += width
    while (held >= 8) {
      scratch[at++] = bits
      bits >>>= 8
      held -= 8
    }
  }
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

/** `each`: every text behind its own length, as dictionaries have them. */
function values(vector: Vector, rows: number, each = false): void {
  const { type } = vector.column
  const width = fixedWidth(type)
  if (width === 0 && each) plainTexts(vector, rows)
  else if (width === 0) byteArrays(vector, rows)
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

/** Texts, none of them NULL. */
function plainTexts({ data, offsets }: Vector, rows: number): void {
  for (let row = 0; row < rows; row++) {
    const value = data.subarray(offsets![row], offsets![row + 1])
    const at = reserve(4)
    new DataView(scratch.buffer).setUint32(at, value.length, true)
    append(value)
  }
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
