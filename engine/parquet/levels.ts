/** Thrown for what staging itself never writes: the file is then read another way. */
export class Unsupported extends Error {}

/**
 * Reads definition levels of one bit (the hybrid of runs and bit-packing, `Encodings.md`) into a bitmap from row `row`
 * on, whose bits are 0; the number of values present.
 */
export function readLevels(bytes: Uint8Array, bitmap: Uint8Array, row: number, rows: number): number {
  let at = 0
  let present = 0
  for (let done = 0; done < rows; ) {
    let head = 0
    for (let shift = 0; ; shift += 7) {
      if (at >= bytes.length) throw new RangeError('its levels are cut')
      const byte = bytes[at++]!
      head += (byte & 127) * 2 ** shift
      if (byte < 128) break
    }
    const count = Math.min(rows - done, head % 2 === 1 ? (head >> 1) * 8 : Math.floor(head / 2))
    if (head % 2 === 0) {
      if (bytes[at++] === 1) {
        setBits(bitmap, row + done, count)
        present += count
      }
    } else {
      for (let bit = 0; bit < count; bit++) {
        const to = row + done + bit
        if ((bytes[at + (bit >> 3)]! >> (bit & 7)) & 1) {
          bitmap[to >> 3]! |= 1 << (to & 7)
          present++
        }
      }
      at += head >> 1
    }
    done += count
  }
  return present
}

function setBits(bitmap: Uint8Array, from: number, count: number): void {
  const end = from + count
  while (from < end && (from & 7) !== 0) {
    bitmap[from >> 3]! |= 1 << (from & 7)
    from++
  }
  const whole = end - (end & 7)
  if (from < whole) {
    bitmap.fill(255, from >> 3, whole >> 3)
    from = whole
  }
  for (; from < end; from++) bitmap[from >> 3]! |= 1 << (from & 7)
}

let scratch = new Int32Array(0)

/** Reads lengths as DELTA_BINARY_PACKED in whole bytes, as {@link encodeParquet} writes them, and where they end. */
export function readLengths(bytes: Uint8Array, values: number): { lengths: Int32Array; end: number } {
  if (scratch.length < values) scratch = new Int32Array(values + (values >> 3))
  const lengths = scratch
  let at = 0
  const varint = () => {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      if (at >= bytes.length) throw new RangeError('its lengths are cut')
      const byte = bytes[at++]!
      value += (byte & 127) * factor
      if (byte < 128) return value
    }
  }
  const zigzag = (value: number) => (value % 2 === 0 ? value / 2 : -(value + 1) / 2)
  const block = varint()
  const miniblocks = varint()
  if (varint() !== values) throw new RangeError('it holds another number of lengths than of values')
  const each = block / miniblocks
  let length = zigzag(varint())
  if (values > 0) lengths[0] = length
  for (let index = 1; index < values; ) {
    const low = zigzag(varint())
    const widths = bytes.subarray(at, at + miniblocks)
    at += miniblocks
    for (let mini = 0; mini < miniblocks && index < values; mini++) {
      const width = widths[mini]!
      if (width % 8 !== 0 || width > 32) throw new Unsupported()
      const size = width >> 3
      for (let entry = 0; entry < each; entry++) {
        let delta = low
        for (let byte = 0, factor = 1; byte < size; byte++, factor *= 256) delta += bytes[at++]! * factor
        if (index >= values) continue
        length += delta
        lengths[index++] = length
      }
    }
  }
  return { lengths, end: at }
}
