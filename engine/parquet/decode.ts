import { closeSync, openSync, readSync } from 'node:fs'
import { type Batch, fixedWidth, isValid, type Vector } from '../batch/batch.ts'
import type { Column } from '../types/logical.ts'
import { type FileChunk, type FileColumn, type Footer, readFooter } from './footer.ts'
import { readLengths, readLevels, Unsupported } from './levels.ts'
import { varint } from './thrift.ts'
import { readStruct, type Struct } from './thriftRead.ts'

/** DuckDB's COPY options for files that {@link PlainFile} reads. */
export const PLAIN_FORMAT = 'FORMAT parquet, COMPRESSION uncompressed, DICTIONARY_SIZE_LIMIT 0'

/** parquet.thrift's Encoding. */
const PLAIN = 0
const DELTA_LENGTH_BYTE_ARRAY = 6

/** Bytes of a column's values, used again by the next row group. */
class Store {
  private bytes = new Uint8Array(0)

  /** So many bytes, 8-byte aligned, of any content. */
  take(length: number): Uint8Array {
    if (this.bytes.length < length) this.bytes = new Uint8Array(length + (length >> 3))
    return this.bytes.subarray(0, length)
  }
}

/** What a file is read into. */
interface Stores {
  input: Store
  columns: { values: Store; levels: Store; offsets: Store }[]
}

/** Of files that are read no more: fresh buffers for each would be cleared, and collected, at the speed of the disk. */
const idle: Stores[] = []

/**
 * Reads Parquet files as staging writes them (flat, uncompressed, data pages of the first version, PLAIN or
 * DELTA_LENGTH_BYTE_ARRAY), row group by row group: little more than copies. Throws where a file is cut.
 */
export class PlainFile {
  readonly groups: number
  private readonly footer: Footer
  private readonly handle: number
  private readonly stores: Stores

  constructor(path: string) {
    this.footer = readFooter(path)
    this.groups = this.footer.groups.length
    this.handle = openSync(path, 'r')
    this.stores = idle.pop() ?? { input: new Store(), columns: [] }
    while (this.stores.columns.length < this.footer.columns.length)
      this.stores.columns.push({ values: new Store(), levels: new Store(), offsets: new Store() })
  }

  /** A row group, whose buffers live until the next is read; undefined where it is of another kind. */
  read(group: number): Batch | undefined {
    const { rows, chunks } = this.footer.groups[group]!
    try {
      const vectors = this.footer.columns.map((column, index) => {
        if (column.type === undefined || column.width > 16 || chunks[index]!.codec !== 0)
          throw new Unsupported()
        return this.vector(column, chunks[index]!, rows, index)
      })
      return { rows, vectors }
    } catch (error) {
      if (error instanceof Unsupported) return undefined
      throw error
    }
  }

  /** The last row group's buffers are another file's from now on. */
  close(): void {
    closeSync(this.handle)
    idle.push(this.stores)
  }

  private bytes(start: number, length: number): Uint8Array {
    const bytes = this.stores.input.take(length)
    for (let at = 0; at < length; ) {
      const got = readSync(this.handle, bytes, at, length - at, start + at)
      if (got === 0) throw new RangeError('it is cut')
      at += got
    }
    return bytes
  }

  private vector(file: FileColumn, chunk: FileChunk, rows: number, index: number): Vector {
    const bytes = this.bytes(chunk.start, chunk.length)
    const { levels, values, offsets } = this.stores.columns[index]!
    const type = file.type!
    const width = fixedWidth(type)
    const column: Column = { name: file.name, type, nullable: file.nullable, native: '' }
    const validity = levels.take((rows + 7) >> 3).fill(0)
    const vector: Vector = { column, nulls: 0, validity, data: new Uint8Array(0), offsets: undefined }
    if (width > 0) vector.data = values.take(rows * width)
    else {
      // Values are never longer than their pages.
      vector.data = values.take(chunk.length)
      const starts = offsets.take((rows + 1) * 4)
      vector.offsets = new Int32Array(starts.buffer, starts.byteOffset, rows + 1)
      vector.offsets[0] = 0
    }
    let row = 0
    for (let at = 0; at < bytes.length && row < rows; ) {
      const { page, end } = headerOf(bytes, at)
      const body = bytes.subarray(end, end + page.size)
      if (body.length < page.size) cut(file.name)
      let from = 0
      let nulls = 0
      if (file.nullable) {
        const length = new DataView(body.buffer, body.byteOffset).getInt32(0, true)
        nulls = page.rows - readLevels(body.subarray(4, 4 + length), validity, row, page.rows)
        from = 4 + length
      } else readLevels(new Uint8Array([...varint(page.rows * 2), 1]), validity, row, page.rows)
      vector.nulls += nulls
      const part = { bytes: body.subarray(from), row, rows: page.rows, values: page.rows - nulls }
      if (width > 0) fixed(vector, file, part)
      else if (page.encoding === PLAIN) plainBytes(vector, part)
      else deltaBytes(vector, part)
      row += page.rows
      at = end + page.size
    }
    if (row !== rows) throw new RangeError(`column ${file.name} holds ${row} rows instead of ${rows}`)
    if (vector.nulls === 0) vector.validity = undefined
    return vector
  }
}

function headerOf(bytes: Uint8Array, at: number) {
  const { struct, end } = readStruct(bytes, at)
  const data = struct[5] as Struct | undefined
  if (struct[1] !== 0 || !data) throw new Unsupported()
  const encoding = data[2] as number
  if (encoding !== PLAIN && encoding !== DELTA_LENGTH_BYTE_ARRAY) throw new Unsupported()
  return { page: { size: struct[3] as number, rows: data[1] as number, encoding }, end }
}

/** A page's values, which belong to rows [row, row + rows). */
interface Page {
  bytes: Uint8Array
  row: number
  rows: number
  /** Values that are not NULL. */
  values: number
}

function fixed(vector: Vector, file: FileColumn, page: Page): void {
  const { type } = vector.column
  const width = fixedWidth(type)
  const stored = storedWidth(file)
  if (page.bytes.length < (type.kind === 'bool' ? page.values >> 3 : page.values * stored)) cut(file.name)
  if (type.kind === 'bool') spreadBits(vector, page)
  else if (width === stored && file.physical !== 7 && page.values === page.rows)
    vector.data.set(page.bytes.subarray(0, page.rows * width), page.row * width)
  else if (type.kind === 'decimal' && file.physical !== 7) widen(vector, page, stored)
  else spread(vector, file, page, stored, width)
}

function cut(column: string): never {
  throw new RangeError(`column ${column} is cut`)
}

function storedWidth({ physical, width }: FileColumn): number {
  return physical === 7 ? width : physical === 2 || physical === 5 ? 8 : 4
}

function spreadBits(vector: Vector, { bytes, row, rows }: Page): void {
  let bit = 0
  for (let at = row; at < row + rows; at++) {
    if (!isValid(vector, at)) {
      vector.data[at] = 0
      continue
    }
    vector.data[at] = (bytes[bit >> 3]! >> (bit & 7)) & 1
    bit++
  }
}

/** Values to their rows, cut or widened to the type's own width; decimals of their own width come high byte first. */
function spread(
  vector: Vector,
  { physical }: FileColumn,
  { bytes, row, rows, values }: Page,
  stored: number,
  width: number,
): void {
  const { data } = vector
  const all = values === rows
  let from = 0
  for (let at = row; at < row + rows; at++) {
    const to = at * width
    if (!all && !isValid(vector, at)) {
      data.fill(0, to, to + width)
      continue
    }
    if (physical === 7) {
      const sign = bytes[from]! > 127 ? 255 : 0
      for (let byte = 0; byte < width; byte++)
        data[to + byte] = byte < stored ? bytes[from + stored - 1 - byte]! : sign
    } else for (let byte = 0; byte < width; byte++) data[to + byte] = bytes[from + byte]!
    from += stored
  }
}

/** Decimals stored as integers of 4 or 8 bytes. */
function widen(vector: Vector, { bytes, row, rows, values }: Page, stored: number): void {
  const all = values === rows
  const words = new Int32Array(vector.data.buffer, vector.data.byteOffset, vector.data.length >> 2)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let from = 0
  for (let at = row; at < row + rows; at++) {
    const to = at * 4
    if (!all && !isValid(vector, at)) {
      words[to] = words[to + 1] = words[to + 2] = words[to + 3] = 0
      continue
    }
    const low = view.getInt32(from, true)
    const high = stored === 8 ? view.getInt32(from + 4, true) : low >> 31
    const sign = high >> 31
    words[to] = low
    words[to + 1] = high
    words[to + 2] = sign
    words[to + 3] = sign
    from += stored
  }
}

/** Bytes of a value at most that a loop copies: a native copy costs more until then. */
const SHORT = 64

function plainBytes(vector: Vector, { bytes, row, rows, values }: Page): void {
  const { data } = vector
  const offsets = vector.offsets!
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const target = new DataView(data.buffer, data.byteOffset, data.byteLength)
  const all = values === rows
  let from = 0
  let to = offsets[row]!
  for (let at = row; at < row + rows; at++) {
    if (all || isValid(vector, at)) {
      const length = view.getInt32(from, true)
      from += 4
      const end = from + length
      if (length < 0 || end > bytes.length) cut(vector.column.name)
      if (length > SHORT) {
        data.set(bytes.subarray(from, end), to)
        to += length
        from = end
      } else if (end + 4 <= bytes.length) {
        // By fours, past the end: what follows is written next. As many lengths as values lie free behind the last.
        for (let word = 0; word < length; word += 4) target.setInt32(to + word, view.getInt32(from + word))
        to += length
        from = end
      } else while (from < end) data[to++] = bytes[from++]!
    }
    offsets[at + 1] = to
  }
}

function deltaBytes(vector: Vector, { bytes, row, rows, values }: Page): void {
  const { lengths, end } = readLengths(bytes, values)
  const offsets = vector.offsets!
  const start = offsets[row]!
  let to = start
  let value = 0
  for (let at = row; at < row + rows; at++) {
    if (isValid(vector, at)) to += lengths[value++]!
    offsets[at + 1] = to
  }
  vector.data.set(bytes.subarray(end, end + to - start), start)
}
