import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { zstdDecompressSync } from 'node:zlib'
import lz4 from '@foxglove/wasm-lz4'
import { root, type Table } from './flatbuffer.ts'

/**
 * Arrow IPC, message by message (github.com/apache/arrow, `format/Message.fbs`): what parquet-wasm's reader leaves to
 * us, compressed bodies, and streams of more than its memory holds.
 */
export interface Message {
  kind: 'schema' | 'dictionary' | 'batch' | 'other'
  /** The message whole, its body not compressed. */
  bytes: Uint8Array
}

const KINDS = { 1: 'schema', 2: 'dictionary', 3: 'batch' } as const
const MAGIC = 'ARROW1'
/** How a file ends, and the next one begins. */
const SEAM = MAGIC + MAGIC
/** Bytes of a body, unpacked, at most: lengths that lie ask for more. */
const LARGEST = 1 << 30
/** Bytes that are looked at together, of those between messages. */
const BETWEEN = 64 * 1024

/**
 * The messages of a stream, in their order, or of a file, by its footer: some writers put no schema message before it.
 * Fails with a RangeError where it is cut.
 */
export async function* messages(path: string): AsyncGenerator<Message> {
  await lz4.isLoaded
  const input = new Input(path)
  try {
    if (input.size >= 20 && input.take(0, 6).toString('latin1') === MAGIC) yield* ofFile(input)
    else yield* ofStream(input)
  } finally {
    input.close()
  }
}

function* ofStream(input: Input): Generator<Message> {
  for (let at = 0; at < input.size; ) {
    const { message, end } = messageAt(input, at)
    if (!message) {
      if (end < input.size) throw new RangeError(goesOn(end))
      return
    }
    yield message
    at = end
  }
}

function* ofFile(input: Input): Generator<Message> {
  const tail = input.take(input.size - 10, 10)
  const length = tail.readInt32LE(0)
  if (tail.toString('latin1', 4) !== MAGIC || length <= 0 || length > input.size - 18)
    throw new RangeError('it is cut: it has no footer')
  const bytes = input.take(input.size - 10 - length, length)
  const footer = root(bytes)
  const schema = footer.table(1)
  if (!schema) throw new RangeError('it has no schema')
  yield { kind: 'schema', bytes: schemaMessage(bytes, schema.at) }
  const parts: Part[] = []
  for (const field of [2, 3]) {
    const { start, count } = footer.vector(field)
    for (let block = 0; block < count; block++) {
      const from = Number(bytes.readBigInt64LE(start + block * 24))
      const { message, end } = messageAt(input, from)
      parts.push({ from, end })
      if (message) yield message
    }
  }
  refuseMore(input, parts, input.size - 10 - length)
}

interface Part {
  from: number
  end: number
}

/**
 * Fails where bytes before the footer are none of its messages: between them are zeros, or the mark of an end. What stands before
 * the first is the schema, which some writers put in no message.
 */
function refuseMore(input: Input, parts: Part[], footer: number): void {
  const sorted = [...parts, { from: footer, end: footer }].sort((a, b) => a.from - b.from)
  let at = sorted[0]!.from
  for (const { from, end } of sorted) {
    for (; at < from; at += BETWEEN) {
      const other = input.take(at, Math.min(BETWEEN, from - at)).findIndex(byte => byte !== 0 && byte !== 255)
      if (other >= 0) throw new RangeError(goesOn(at + other))
    }
    at = Math.max(at, end)
  }
  for (at = 0; at < sorted[0]!.from; at += BETWEEN) {
    const seam = input.take(at, Math.min(BETWEEN + SEAM.length - 1, sorted[0]!.from - at)).indexOf(SEAM)
    if (seam >= 0) throw new RangeError(goesOn(at + seam + MAGIC.length))
  }
}

const goesOn = (at: number) =>
  `it has more than its messages, from byte ${at} on: files may have been put together`

/** A message about a schema that stands in a footer, which goes along whole: its offsets are relative. */
function schemaMessage(footer: Buffer, schema: number): Uint8Array {
  const at = 32
  const head = Buffer.alloc(at)
  head.writeUInt32LE(16, 0)
  // The layout of the table: its size in bytes, then where its version, its header's kind and its header stand.
  for (const [index, value] of [10, 12, 4, 6, 8].entries()) head.writeUInt16LE(value, 4 + index * 2)
  head.writeInt32LE(12, 16)
  head.writeInt16LE(4, 20)
  head.writeUInt8(1, 22)
  head.writeUInt32LE(at + schema - 24, 24)
  const size = (at + footer.length + 7) & ~7
  const prefix = Buffer.alloc(8)
  prefix.writeUInt32LE(0xffffffff, 0)
  prefix.writeUInt32LE(size, 4)
  return Buffer.concat([prefix, head, footer, Buffer.alloc(size - at - footer.length)])
}

function messageAt(input: Input, at: number): { message: Message | undefined; end: number } {
  const prefix = input.take(at, 4).readUInt32LE(0)
  const current = prefix === 0xffffffff
  const start = at + (current ? 8 : 4)
  const size = current ? input.take(at + 4, 4).readInt32LE(0) : prefix
  if (size === 0) return { message: undefined, end: start }
  if (size < 0) throw new RangeError('its lengths are false')
  const metadata = input.take(start, size)
  const table = root(metadata)
  const length = Number(table.long(3) ?? 0n)
  const body = input.take(start + size, length)
  const kind = KINDS[(table.byte(1) ?? 0) as keyof typeof KINDS] ?? 'other'
  const header = table.table(2)
  const batch = kind === 'dictionary' ? header?.table(1) : kind === 'batch' ? header : undefined
  const compression = batch?.table(3)
  const plain = compression ? unpacked(metadata, batch!, compression.byte(0) ?? 0, body, table) : body
  const head = Buffer.alloc(8)
  head.writeUInt32LE(0xffffffff, 0)
  head.writeUInt32LE(size, 4)
  const message = { kind, bytes: Buffer.concat([head, metadata, plain]) }
  return { message, end: start + size + length }
}

/**
 * The body with each buffer marked as not compressed (a length of -1 before it), and the metadata changed in place to
 * say where they are now.
 */
function unpacked(metadata: Buffer, batch: Table, codec: number, body: Buffer, message: Table): Buffer {
  const parts: Buffer[] = []
  let at = 0
  const { start, count } = batch.vector(2)
  for (let index = 0; index < count; index++) {
    const entry = start + index * 16
    const from = Number(metadata.readBigInt64LE(entry))
    const length = Number(metadata.readBigInt64LE(entry + 8))
    if (from < 0 || length < 0 || from + length > body.length) throw new RangeError('its lengths are false')
    const plain = length === 0 ? Buffer.alloc(0) : unpack(body.subarray(from, from + length), codec)
    metadata.writeBigInt64LE(BigInt(at), entry)
    metadata.writeBigInt64LE(BigInt(plain.length), entry + 8)
    const padded = (plain.length + 7) & ~7
    parts.push(plain, Buffer.alloc(padded - plain.length))
    at += padded
  }
  const place = message.place(3)
  if (place !== undefined) metadata.writeBigInt64LE(BigInt(at), place)
  return Buffer.concat(parts)
}

const UNCOMPRESSED = Buffer.alloc(8, 0xff)

function unpack(buffer: Buffer, codec: number): Buffer {
  if (buffer.length < 8) throw new RangeError('it is cut')
  const size = Number(buffer.readBigInt64LE(0))
  if (size === -1) return buffer
  if (size < 0 || size > LARGEST) throw new RangeError('its lengths are false')
  const packed = buffer.subarray(8)
  const plain = codec === 1 ? zstdDecompressSync(packed, { maxOutputLength: size + 1 }) : lz4(packed, size)
  if (plain.length !== size) throw new RangeError('its lengths are false')
  return Buffer.concat([UNCOMPRESSED, plain])
}

/** Bytes of a file by their place. */
class Input {
  readonly size: number
  private readonly handle: number

  constructor(path: string) {
    this.handle = openSync(path, 'r')
    this.size = fstatSync(this.handle).size
  }

  take(at: number, length: number): Buffer {
    if (at < 0 || length < 0 || at + length > this.size)
      throw new RangeError('it is cut, or its lengths are false')
    const bytes = Buffer.allocUnsafe(length)
    for (let done = 0; done < length; ) {
      const got = readSync(this.handle, bytes, done, length - done, at + done)
      if (got === 0) throw new RangeError('it is cut')
      done += got
    }
    return bytes
  }

  close(): void {
    closeSync(this.handle)
  }
}
