import { EngineError } from '../../../engine/errors.ts'

/** Where a field of a row packet lies: `buffer[from, to)`. */
interface Field {
  from: number
  to: number
}

/**
 * The field at `at` of a row of the text protocol: a length-encoded string, which is not NULL. Fails with
 * DECODE_FAILED where it is, or reaches beyond `end`.
 */
export function fieldAt(where: string, buffer: Buffer, at: number, end: number): Field {
  const first = at < end ? buffer[at]! : 0xff
  const width = first < 0xfb ? 0 : first === 0xfc ? 2 : first === 0xfd ? 3 : first === 0xfe ? 8 : -1
  if (width < 0 || at + 1 + width > end) throw cut(where)
  const length =
    width === 0
      ? first
      : width === 8
        ? Number(buffer.readBigUInt64LE(at + 1))
        : buffer.readUIntLE(at + 1, width)
  const from = at + 1 + width
  if (from + length > end) throw cut(where)
  return { from, to: from + length }
}

/** Where the field after the one at `at`, which may be NULL, starts. */
export function after(where: string, buffer: Buffer, at: number, end: number): number {
  return buffer[at] === 0xfb ? at + 1 : fieldAt(where, buffer, at, end).to
}

const cut = (where: string) =>
  new EngineError('DECODE_FAILED', `${where}: a row's key cannot be read from its packet`)
