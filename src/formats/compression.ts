import { Readable } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import bunzip2 from 'unbzip2-stream'
import { EngineError } from '../../engine/errors.ts'
import { ownValue } from '../../engine/ownValue.ts'
import { counted } from '../../engine/plural.ts'
import { badFile } from './bad.ts'
import { ZstdFrames } from './zstdFrames.ts'

export type Compression = 'none' | 'gzip' | 'zstd' | 'bzip2' | 'zip'

/** How far a file may unpack. */
export interface UnpackLimits {
  /** Bytes. */
  most: number
  /** Times its packed size; looked at past 16 MiB, for small files may be all blanks. */
  ratio: number
}

const SUFFIXES: Record<string, Compression> = { gz: 'gzip', zst: 'zstd', bz2: 'bzip2', zip: 'zip' }
const UNSUSPECTED = 16 * 1024 * 1024
/** Of bzip2: bytes written to the unpacker at a time, and unpacked by one write at most. */
const PIECE = 64 * 1024
const AT_ONCE = 512 * 1024 * 1024

/** A file's compression by its name. */
export function compressionOf(name: string): Compression {
  return ownValue(SUFFIXES, /\.(\w+)$/.exec(name)?.[1]?.toLowerCase() ?? '') ?? 'none'
}

/** The bytes unpacked, counted as they come. Fails with a bad file where they are cut, corrupt or beyond the limits. */
export async function* unpack(
  where: string,
  bytes: AsyncIterable<Buffer>,
  compression: Exclude<Compression, 'zip'>,
  limits: UnpackLimits,
): AsyncGenerator<Buffer> {
  let packed = 0
  const frames = compression === 'zstd' ? new ZstdFrames(where) : undefined
  async function* metered() {
    for await (const chunk of bytes) {
      packed += chunk.length
      frames?.add(chunk)
      yield chunk
    }
    frames?.end()
  }
  if (compression === 'none') {
    yield* bounded(where, metered(), limits.most)
    return
  }
  const account = (size: number) => {
    checkSize(where, size, limits.most)
    if (size > UNSUSPECTED && size > packed * limits.ratio)
      throw badFile(where, `unpacks to over ${limits.ratio} times its size (max_ratio): a bomb?`)
  }
  if (compression === 'bzip2') {
    yield* unpackBzip2(where, metered(), account)
    return
  }
  const source = Readable.from(metered(), { objectMode: false, highWaterMark: 1024 * 1024 })
  const stream = unpacker(compression)
  // An error of the source must be told from one of the unpacker.
  let broken: unknown
  source.on('error', error => {
    broken = error
    stream.destroy(error)
  })
  source.pipe(stream)
  let size = 0
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      size += chunk.length
      account(size)
      yield chunk
    }
    // zlib stops at what begins no further member, and says nothing.
    const unpacked = stream.bytesWritten
    for await (const _rest of source) {
    }
    if (packed > unpacked)
      throw badFile(
        where,
        `has ${counted(packed - unpacked, 'byte')} after its last ${compression} member, from byte ${unpacked} on`,
      )
  } catch (error) {
    if (broken) throw broken
    if (error instanceof EngineError) throw error
    throw badFile(where, `is not whole ${compression}: ${(error as Error).message}`, error)
  } finally {
    source.destroy()
    stream.destroy()
  }
}

function unpacker(compression: 'gzip' | 'zstd') {
  const chunkSize = 256 * 1024
  return compression === 'gzip' ? createGunzip({ chunkSize }) : createZstdDecompress({ chunkSize })
}

// The unpacker gives all that a write holds at once, and a block of 900 kB may be packed into 40 bytes: what it gives
// is counted as it comes, not afterwards.
async function* unpackBzip2(
  where: string,
  bytes: AsyncIterable<Buffer>,
  account: (size: number) => void,
): AsyncGenerator<Buffer> {
  const stream = bunzip2()
  let size = 0
  let held: Buffer[] = []
  let heldBytes = 0
  let failure: unknown
  stream.on('error', error => {
    failure ??= error
  })
  stream.on('data', (chunk: Buffer) => {
    size += chunk.length
    heldBytes += chunk.length
    account(size)
    if (heldBytes > AT_ONCE) throw badFile(where, 'unpacks too far at once: a bomb?')
    held.push(chunk)
  })
  function* taken() {
    if (failure instanceof EngineError) throw failure
    // Its reader runs past the end of what is cut.
    if (failure instanceof TypeError)
      throw badFile(where, 'is not whole bzip2: it is cut or damaged', failure)
    if (failure) throw badFile(where, `is not whole bzip2: ${(failure as Error).message ?? failure}`, failure)
    yield* held
    held = []
    heldBytes = 0
  }
  let isEmpty = true
  for await (const chunk of bytes)
    for (let at = 0; at < chunk.length; at += PIECE) {
      isEmpty = false
      stream.write(chunk.subarray(at, at + PIECE))
      yield* taken()
    }
  // Its unpacker takes no bytes for an end.
  if (isEmpty) throw badFile(where, 'is not whole bzip2: it has no byte')
  stream.end()
  yield* taken()
}

async function* bounded(where: string, bytes: AsyncIterable<Buffer>, most: number) {
  let size = 0
  for await (const chunk of bytes) {
    size += chunk.length
    checkSize(where, size, most)
    yield chunk
  }
}

export function checkSize(where: string, size: number, most: number): void {
  if (size > most) throw badFile(where, `unpacks to over ${counted(most, 'byte')} (max_unpacked)`)
}
