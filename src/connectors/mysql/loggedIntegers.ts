import type { BatchBuilder, ColumnBuilder } from '../../../engine/batch/builder.ts'
import { EngineError } from '../../../engine/errors.ts'
import { type LogicalType, typeName } from '../../../engine/types/logical.ts'
import { INTEGER_BYTES } from './loggedTexts.ts'

/** Writes the value of row `row` that begins at `at`; gives where the next one does. */
export type ValueReader = (
  builder: BatchBuilder,
  column: ColumnBuilder,
  row: number,
  bytes: Buffer,
  at: number,
) => number

/** An integer into a column of its own width and sign, or of others that hold it: the column may have been altered since it was logged. */
export function integer(type: number, unsigned: boolean, column: ColumnBuilder): ValueReader {
  const { bits, signed } = column.column.type as LogicalType & { kind: 'int' }
  const length = INTEGER_BYTES[type]!
  const [least, most] = signed
    ? [-(2n ** BigInt(bits - 1)), 2n ** BigInt(bits - 1)]
    : [0n, 2n ** BigInt(bits)]
  const refuse = (value: bigint | number) => {
    throw new EngineError(
      'DECODE_FAILED',
      `${column.column.name}: the log has ${value}, which ${typeName(column.column.type)} does not hold: the column was altered since the run was planned`,
      { hint: 'Start another run, which sees the column as it is: --fresh.' },
    )
  }
  if (type === 8)
    return (_, column, row, bytes, at) => {
      if (bits !== 64 || signed === unsigned) {
        const value = unsigned ? bytes.readBigUInt64LE(at) : bytes.readBigInt64LE(at)
        if (value < least || value >= most) refuse(value)
        if (bits < 64) store(column, row, bits, Number(value))
      }
      if (bits === 64) {
        column.i32[2 * row] = bytes.readInt32LE(at)
        column.i32[2 * row + 1] = bytes.readInt32LE(at + 4)
      }
      return at + 8
    }
  const [from, to] = [Number(least), Number(most)]
  return (_, column, row, bytes, at) => {
    const value = unsigned ? bytes.readUIntLE(at, length) : bytes.readIntLE(at, length)
    if (value < from || value >= to) refuse(value)
    store(column, row, bits, value)
    return at + length
  }
}

function store(column: ColumnBuilder, row: number, bits: 8 | 16 | 32 | 64, value: number): void {
  if (bits === 8) column.u8[row] = value
  else if (bits === 16) column.u16[row] = value
  else if (bits === 32) column.i32[row] = value
  else {
    column.i32[2 * row] = value
    column.i32[2 * row + 1] = value < 0 ? -1 : 0
  }
}
