import type { ColumnBuilder } from '../../../engine/batch/builder.ts'
import type { Key, KeyPosition } from './keys.ts'

/** The key of the row just decoded: `columns` are those sent ahead, then the staged ones. */
export function positionOf(key: Key, ahead: number, columns: ColumnBuilder[], row: number): KeyPosition {
  let lead = 0
  return key.columns.map(({ at, kind }) => {
    const column = columns[at === undefined ? lead++ : ahead + at]!
    // Taken for '', the next page would begin anew.
    if (column.isNull(row)) throw new TypeError(`a key's ${column.column.name} is NULL`)
    if (column.column.type.kind === 'int') return integer(column, row)
    const value = Buffer.from(
      column.u8.subarray(row === 0 ? 0 : column.offsets[row], column.offsets[row + 1]),
    )
    // What is sent ahead is hex already.
    const hex = at !== undefined && (kind === 'text' || kind === 'bytes')
    return hex ? value.toString('hex').toUpperCase() : value.toString('latin1')
  })
}

function integer({ column: { type }, u8, u16, i32, big }: ColumnBuilder, row: number): string {
  if (type.kind !== 'int') throw new TypeError(type.kind)
  const { bits, signed } = type
  if (bits === 64) return String(signed ? big[row]! : BigInt.asUintN(64, big[row]!))
  const raw = bits === 8 ? u8[row]! : bits === 16 ? u16[row]! : i32[row]!
  const shift = 32 - bits
  return String(signed ? (raw << shift) >> shift : (raw << shift) >>> shift)
}
