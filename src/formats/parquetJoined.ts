import { closeSync, openSync, readSync } from 'node:fs'
import { type FilePart, footerOf, footerStruct } from '../../engine/parquet/footer.ts'

/** How a file ends, and the next one begins. */
const SEAM = Buffer.from('PAR1PAR1')
const MARK = SEAM.length / 2
const PIECE = 4 * 1024 * 1024

/**
 * Where in a Parquet file another one begins, of files that were put together: readers go by the last footer, and lose the rows of
 * the others. Looked for in bytes that are no column's, index or filter, and where the last file begins if its footer follows its
 * rows. Undefined where nothing is.
 */
export function joinedAt(path: string): number | undefined {
  const { struct, start } = footerStruct(path)
  const parts = footerOf(struct).groups.flatMap(group =>
    group.chunks.flatMap(chunk => [chunk, ...chunk.beside]),
  )
  const gaps = gapsOf(parts, start)
  const handle = openSync(path, 'r')
  try {
    const last = gaps.at(-1)
    const begin = last?.to === start ? start - last.from : 0
    const places = begin > MARK ? [...gaps, { from: begin - MARK, to: begin + MARK }] : gaps
    for (const { from, to } of places) {
      const found = seamIn(handle, from, to)
      if (found !== undefined) return found + MARK
    }
    return undefined
  } finally {
    closeSync(handle)
  }
}

/** The bytes between the head of a file and its footer that no part has. */
function gapsOf(parts: FilePart[], end: number): { from: number; to: number }[] {
  const gaps: { from: number; to: number }[] = []
  let at = MARK
  for (const { start, length } of [...parts, { start: end, length: 0 }].sort((a, b) => a.start - b.start)) {
    if (start > at) gaps.push({ from: at, to: Math.min(start, end) })
    at = Math.max(at, start + length)
  }
  return gaps
}

function seamIn(handle: number, from: number, to: number): number | undefined {
  for (let at = from; at < to; at += PIECE) {
    const bytes = Buffer.alloc(Math.min(to - at, PIECE + SEAM.length - 1))
    readSync(handle, bytes, 0, bytes.length, at)
    const found = bytes.indexOf(SEAM)
    if (found >= 0) return at + found
  }
  return undefined
}
