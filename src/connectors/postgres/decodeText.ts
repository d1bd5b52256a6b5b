import type { ColumnBuilder } from '../../../engine/batch/builder.ts'

/** Two lower-case hexadecimal digits per byte, low half first digit. */
const HEX = Uint16Array.from({ length: 256 }, (_, byte) => {
  const digits = byte.toString(16).padStart(2, '0')
  return digits.charCodeAt(0) | (digits.charCodeAt(1) << 8)
})
const DASH = 45
const BACKSLASH = 92

/** Appends the 16 bytes of a uuid in its canonical form, 8-4-4-4-12. */
export function appendUuid(column: ColumnBuilder, row: number, bytes: Buffer, at: number): void {
  let to = column.reserve(row, 36)
  const target = column.u8
  for (let index = 0; index < 16; index++) {
    if (index === 4 || index === 6 || index === 8 || index === 10) target[to++] = DASH
    const digits = HEX[bytes[at + index]!]!
    target[to++] = digits & 0xff
    target[to++] = digits >> 8
  }
}

/** Appends a `"char"` as charout of Postgres 16 writes it: nothing for 0, `\ooo` for a byte beyond ASCII. */
export function appendChar(column: ColumnBuilder, row: number, byte: number): void {
  const to = column.reserve(row, byte === 0 ? 0 : byte < 0x80 ? 1 : 4)
  const target = column.u8
  if (byte < 0x80) {
    if (byte !== 0) target[to] = byte
  } else {
    target[to] = BACKSLASH
    target[to + 1] = 48 + (byte >> 6)
    target[to + 2] = 48 + ((byte >> 3) & 7)
    target[to + 3] = 48 + (byte & 7)
  }
}
