/**
 * Work of a copy's kind that stays as it is, as a yardstick for processor time: rows of text are made, decoded into columns,
 * hashed and encoded again, part by part. Never to be made faster.
 */
const ROWS = 20_000
const PARTS = 120
const NUMBERS = 6
const TEXTS = 3

const encoded = Buffer.alloc(ROWS * 160)
let hash = 0
for (let part = 0; part < PARTS; part++) {
  const text = rowsOf(part)
  const numbers = Array.from({ length: NUMBERS }, () => new Float64Array(ROWS))
  const ends = Array.from({ length: TEXTS }, () => new Int32Array(ROWS + 1))
  const bytes = Array.from({ length: TEXTS }, () => new Uint8Array(text.length))
  decode()
  hash = (hash + encode()) | 0

  function decode(): void {
    let at = 0
    for (let row = 0; row < ROWS; row++) {
      for (const column of numbers) {
        let value = 0
        for (let byte = text[at++]!; byte !== 124; byte = text[at++]!)
          if (byte !== 46) value = value * 10 + byte - 48
        column[row] = value
      }
      for (let column = 0; column < TEXTS; column++) {
        let end = ends[column]![row]!
        for (let byte = text[at++]!; byte !== 124 && byte !== 10; byte = text[at++]!)
          bytes[column]![end++] = byte
        ends[column]![row + 1] = end
      }
    }
  }

  function encode(): number {
    let sum = 0
    let to = 0
    for (let row = 0; row < ROWS; row++) {
      let own = 0x811c9dc5
      for (const column of numbers) {
        to = encoded.writeDoubleBE(column[row]!, to)
        own = Math.imul(own ^ column[row]!, 0x01000193)
      }
      for (let column = 0; column < TEXTS; column++) {
        const from = ends[column]![row]!
        const end = ends[column]![row + 1]!
        to = encoded.writeInt32BE(end - from, to)
        for (let at = from; at < end; at++) {
          const byte = bytes[column]![at]!
          encoded[to++] = byte
          own = Math.imul(own ^ byte, 0x01000193)
        }
      }
      sum = (sum + own) | 0
    }
    return sum
  }
}
console.log(hash)

/** Lines of six numbers and three texts between bars. */
function rowsOf(part: number): Buffer {
  let seed = part + 1
  const lines: string[] = []
  for (let row = 0; row < ROWS; row++) {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0
    const numbers = `${row + part * ROWS}|${seed % 200_000}|${seed % 10_000}|${seed % 7}|${seed % 50}.00|${seed % 100_000}.${10 + (seed % 90)}`
    lines.push(
      `${numbers}|199${seed % 10}-0${1 + (seed % 9)}-1${seed % 10}|DELIVER IN PERSON|comment ${seed}\n`,
    )
  }
  return Buffer.from(lines.join(''))
}
