import type { BatchBuilder, ColumnBuilder } from '../../../engine/batch/builder.ts'
import { EngineError } from '../../../engine/errors.ts'
import { type LogicalType, typeName } from '../../../engine/types/logical.ts'
import { parseDecimal } from '../wire/decimals.ts'

/** Writes the value of row `row` that begins at `at`; gives where the next one does. */
export type ValueReader = (
  builder: BatchBuilder,
  column: ColumnBuilder,
  row: number,
  bytes: Buffer,
  at: number,
) => number

/** A value as the log has it; a bigint where a double may not hold it. */
type ValueAt = (bytes: Buffer, at: number) => number | bigint

type Write = (column: ColumnBuilder, row: number, value: number | bigint) => void

/**
 * An integer of `length` bytes into a column of its own width and sign, or into any other number that holds it: the column may have
 * been altered since it was logged. Undefined of a column that is none.
 */
export function integer(
  length: number,
  valueAt: ValueAt,
  { column }: ColumnBuilder,
): ValueReader | undefined {
  const write = writeOf(column.type)
  return (
    write &&
    ((_, into, row, bytes, at) => {
      write(into, row, valueAt(bytes, at))
      return at + length
    })
  )
}

function writeOf(type: LogicalType): Write | undefined {
  switch (type.kind) {
    case 'int': {
      const { bits, signed } = type
      // Both are doubles, and compare with a bigint as what they are.
      const [least, past] = signed ? [-(2 ** (bits - 1)), 2 ** (bits - 1)] : [0, 2 ** bits]
      return (column, row, value) => {
        if (value < least || value >= past) refuse(column, value)
        store(column, row, bits, value)
      }
    }
    case 'float':
      return (column, row, value) => {
        const into = type.bits === 32 ? column.f32 : column.f64
        into[row] = Number(value)
        if (BigInt(into[row]!) !== BigInt(value)) refuse(column, value)
      }
    case 'decimal':
      return (column, row, value) => {
        const text = Buffer.from(String(value), 'latin1')
        if (parseDecimal(column, row, text, 0, text.length) !== 0) refuse(column, value)
      }
    default:
      return undefined
  }
}

function refuse({ column: { name, type } }: ColumnBuilder, value: number | bigint): never {
  throw new EngineError(
    'DECODE_FAILED',
    `${name}: the log has ${value}, which ${typeName(type)} does not hold: the column was altered since the run was planned`,
    { hint: 'Start another run, which sees the column as it is: --fresh.' },
  )
}

function store(column: ColumnBuilder, row: number, bits: 8 | 16 | 32 | 64, value: number | bigint): void {
  if (bits === 8) column.u8[row] = Number(value)
  else if (bits === 16) column.u16[row] = Number(value)
  else if (bits === 32) column.i32[row] = Number(value)
  else if (typeof value === 'bigint') column.big[row] = value
  else {
    column.i32[2 * row] = value
    column.i32[2 * row + 1] = value < 0 ? -1 : 0
  }
}
