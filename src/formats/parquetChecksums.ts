import { closeSync, openSync, readSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import { readFooter } from '../../engine/parquet/footer.ts'
import { readStruct } from '../../engine/parquet/thriftRead.ts'
import { counted } from '../../engine/plural.ts'

/** Bytes that hold a page's header, statistics and all. */
const HEADER = 64 * 1024
const PIECE = 4 * 1024 * 1024

/**
 * Compares the checksums of a Parquet file's pages with their bytes: DuckDB takes no notice of them. Writers give all pages
 * one, or none: where the first has none, nothing more is read. Says what is wrong with the first page that is damaged.
 */
export function pageFault(path: string): string | undefined {
  const { columns, groups } = readFooter(path)
  const handle = openSync(path, 'r')
  try {
    for (const { chunks } of groups)
      for (const [index, { start, length }] of chunks.entries())
        for (let at = start; at < start + length; ) {
          const bytes = read(handle, at, Math.min(HEADER, start + length - at))
          const { struct, end } = readStruct(bytes, 0)
          const size = struct[3] as number
          const expected = struct[4] as number | undefined
          if (expected === undefined) return undefined
          const column = `column ${columns[index]?.name ?? index + 1}`
          if (!(size >= 0) || at + end + size > start + length)
            return `${column}: a page of ${counted(size, 'byte')} is none of its chunk: it is damaged`
          if (sumOf(handle, at + end, size) !== expected >>> 0)
            return `${column}: a page does not have its checksum: it is damaged`
          at += end + size
        }
    return undefined
  } catch (error) {
    // What is wrong with its structure is for its reader to say.
    if (error instanceof RangeError) return undefined
    throw error
  } finally {
    closeSync(handle)
  }
}

function sumOf(handle: number, from: number, length: number): number {
  let sum = 0
  for (let at = 0; at < length; at += PIECE)
    sum = crc32(read(handle, from + at, Math.min(PIECE, length - at)), sum)
  return sum
}

function read(handle: number, from: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length)
  const got = readSync(handle, bytes, 0, length, from)
  if (got < length) throw new RangeError('it is cut')
  return bytes
}
