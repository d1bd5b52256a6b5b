import { TextDecoder } from 'node:util'
import { badFile } from './bad.ts'

const CR = 13
const LF = 10
/** Bytes that a splitter is given at a time, about. */
const BLOCK = 1024 * 1024

/** Small chunks joined to blocks of about a megabyte: each costs a splitter the row that it cuts. */
export async function* blocks(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let held: Buffer[] = []
  let length = 0
  for await (const chunk of bytes) {
    held.push(chunk)
    length += chunk.length
    if (length < BLOCK) continue
    yield held.length === 1 ? chunk : Buffer.concat(held, length)
    held = []
    length = 0
  }
  if (length > 0) yield Buffer.concat(held, length)
}

/** Bytes of any encoding as UTF-8 without a byte order mark. UTF-8 itself is not checked here: its faults are rows. */
export async function* toUtf8(
  bytes: AsyncIterable<Buffer>,
  encoding: string,
  where: string,
): AsyncGenerator<Buffer> {
  const name = encoding.toLowerCase()
  if (name === 'utf-8' || name === 'utf8') {
    let first = true
    for await (const block of blocks(bytes)) {
      yield first && block[0] === 0xef && block[1] === 0xbb && block[2] === 0xbf ? block.subarray(3) : block
      first = false
    }
    return
  }
  if (name === 'latin1' || name === 'iso-8859-1') {
    for await (const block of blocks(bytes)) yield Buffer.from(block.toString('latin1'))
    return
  }
  let decoder: TextDecoder | undefined
  for await (const block of blocks(bytes)) {
    decoder ??= new TextDecoder(decoderName(name, block), { fatal: true })
    yield decoded(decoder, block, where)
  }
  if (decoder) yield decoded(decoder, undefined, where)
}

/** An encoding as decoders know it. With a byte order mark the text itself says which UTF-16 it is. */
export function decoderName(encoding: string, first: Buffer): string {
  const name = encoding.toLowerCase()
  const utf16 = isBigEndian(first) ? 'utf-16be' : 'utf-16le'
  return name === 'utf-16' || name === 'utf16' ? utf16 : name
}

/** Whether texts can be read as of this encoding. */
export function isEncoding(name: string): boolean {
  try {
    return new TextDecoder(decoderName(name, Buffer.alloc(0))) !== undefined
  } catch {
    return false
  }
}

/** Whether UTF-16 has the higher byte first: by its mark, or else by where the zeros of its spaces, digits and breaks stand. */
function isBigEndian(first: Buffer): boolean {
  if (first[0] === 0xff && first[1] === 0xfe) return false
  if (first[0] === 0xfe && first[1] === 0xff) return true
  const zeros = [0, 0]
  for (const [at, byte] of first.subarray(0, 4096).entries()) if (byte === 0) zeros[at % 2]!++
  return zeros[0]! > zeros[1]!
}

function decoded(decoder: TextDecoder, block: Buffer | undefined, where: string): Buffer {
  try {
    return Buffer.from(block ? decoder.decode(block, { stream: true }) : decoder.decode())
  } catch (cause) {
    throw badFile(where, `is not ${decoder.encoding} throughout`, cause)
  }
}

/** Passes over the first `skip` lines, which end with \n, \r\n or \r. Fails where there are fewer, or where they are longer than `longest` bytes. */
export async function* skipLines(
  where: string,
  text: AsyncGenerator<Buffer>,
  skip: number,
  longest: number,
): AsyncGenerator<Buffer> {
  let left = skip
  let skipped = 0
  let afterCr = false
  for await (let block of text) {
    while (block.length > 0 && (left > 0 || afterCr)) {
      if (afterCr) {
        afterCr = false
        // Of the break that a CR began.
        if (block[0] === LF) block = block.subarray(1)
        continue
      }
      const end = endOfLine(block)
      skipped += end < 0 ? block.length : end
      if (skipped > longest) throw badFile(where, `its first ${skip} lines are too long to be skipped`)
      if (end < 0) block = block.subarray(block.length)
      else {
        afterCr = block[end] === CR
        block = block.subarray(end + 1)
        left--
      }
    }
    if (block.length > 0) yield block
  }
  if (left > 0 && skipped > 0)
    throw badFile(
      where,
      `ends within the ${skip} lines that are to be skipped`,
      undefined,
      'DECODE_FAILED',
      `Correct skip: ${skip} of this extract, or get the file again.`,
    )
}

/** What follows the first `skip` lines of a text that is all here; nothing where there are fewer. */
export function afterLines(text: Buffer, skip: number): Buffer {
  let rest = text
  for (let left = skip; left > 0; left--) {
    const end = endOfLine(rest)
    if (end < 0) return rest.subarray(rest.length)
    rest = rest.subarray(end + (rest[end] === CR && rest[end + 1] === LF ? 2 : 1))
  }
  return rest
}

function endOfLine(block: Buffer): number {
  const feed = block.indexOf(LF)
  const end = block.subarray(0, feed < 0 ? block.length : feed).indexOf(CR)
  return end < 0 ? feed : end
}
