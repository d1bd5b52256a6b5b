import type { FileColumn, Footer } from '../../engine/parquet/footer.ts'
import { counted } from '../../engine/plural.ts'

/** Microseconds of a day. */
const DAY = 86_400_000_000n

/**
 * What a Parquet file's footer says that cannot be: readers go by one of two numbers that should be the same and lose rows, or
 * cut values that are beyond their type. Undefined where nothing is.
 */
export function footerFault({ rows, columns, singles, groups }: Footer): string | undefined {
  const held = groups.reduce((sum, group) => sum + group.rows, 0)
  if (held !== rows)
    return `its footer says ${counted(rows, 'row')}, and ${held} in its row groups: it is damaged`
  const flat = columns.length === singles.length
  for (const [number, group] of groups.entries()) {
    const of = `row group ${number + 1} of ${groups.length}`
    if (group.chunks.length !== singles.length)
      return `${of} has ${counted(group.chunks.length, 'column')} of ${singles.length}: it is damaged`
    for (const [index, { values, bounds }] of group.chunks.entries()) {
      const column = flat ? columns[index]! : undefined
      const name = column ? `column ${column.name}` : `its column ${index + 1}`
      if (singles[index] && values !== group.rows)
        return `${of} has ${counted(group.rows, 'row')}, and ${counted(values, 'value')} of ${name}: it is damaged`
      if (column && bounds.some(bound => isBeyond(column, bound)))
        return `${name} has a value, by its statistics, that is none of its type: it is damaged, or of a wrong type`
    }
  }
  return undefined
}

/** Whether an encoded value is one that a column's type does not have, though its bytes could hold it. */
function isBeyond({ physical, type }: FileColumn, bound: Uint8Array): boolean {
  const value = integerOf(physical, bound)
  if (value === undefined) return false
  switch (type?.kind) {
    case 'decimal':
      return (value < 0n ? -value : value) >= 10n ** BigInt(type.precision)
    case 'time':
      return value < 0n || value > DAY
    case 'int':
      return type.bits < 32 && (type.signed ? BigInt.asIntN : BigInt.asUintN)(type.bits, value) !== value
    default:
      return false
  }
}

/** INT32 and INT64 have the lowest byte first, bytes the highest. Undefined where it is no integer, or cut. */
function integerOf(physical: number, bytes: Uint8Array): bigint | undefined {
  if (physical === 1 || physical === 2) {
    if (bytes.length !== physical * 4) return undefined
    const view = new DataView(bytes.buffer, bytes.byteOffset)
    return physical === 1 ? BigInt(view.getInt32(0, true)) : view.getBigInt64(0, true)
  }
  if (physical !== 7 || bytes.length === 0) return undefined
  const whole = BigInt(`0x${Buffer.from(bytes).toString('hex')}`)
  return BigInt.asIntN(bytes.length * 8, whole)
}
