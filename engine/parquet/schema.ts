import { type LogicalType, unflattened } from '../types/logical.ts'
import * as thrift from './thrift.ts'

/** Physical types. */
const BOOLEAN = 0
const INT32 = 1
const INT64 = 2
const FLOAT = 4
const DOUBLE = 5
const BYTE_ARRAY = 6
const FIXED_LEN_BYTE_ARRAY = 7

/** Bytes that a decimal takes in a file. */
export function decimalWidth(precision: number): 4 | 8 | 16 {
  return precision <= 9 ? 4 : precision <= 18 ? 8 : 16
}

/** parquet.thrift's Type of a value. */
export function physicalType(type: LogicalType): number {
  switch (type.kind) {
    case 'bool':
      return BOOLEAN
    case 'int':
      return type.bits === 64 ? INT64 : INT32
    case 'date':
      return INT32
    case 'time':
    case 'timestamp':
      return INT64
    case 'float':
      return type.bits === 32 ? FLOAT : DOUBLE
    case 'decimal':
      return { 4: INT32, 8: INT64, 16: FIXED_LEN_BYTE_ARRAY }[decimalWidth(type.precision)]
    case 'text':
    case 'binary':
      return BYTE_ARRAY
    case 'nested':
      return unflattened(type)
  }
}

/** ConvertedType numbers, for readers that know no LogicalType; wall-clock times have none. */
const CONVERTED = { utf8: 0, decimal: 5, date: 6, instant: 10, unsigned: 11, signed: 15 }

/** A column as a footer tells of it. */
export function schemaElement(name: string, type: LogicalType): thrift.Thrift {
  const decimal = type.kind === 'decimal' ? type : undefined
  const annotation = annotate(type)
  return thrift.struct({
    1: thrift.i32(physicalType(type)),
    2: decimal && decimalWidth(decimal.precision) === 16 ? thrift.i32(16) : undefined,
    3: thrift.i32(1),
    4: thrift.text(name),
    6: annotation?.converted === undefined ? undefined : thrift.i32(annotation.converted),
    7: decimal && thrift.i32(decimal.scale),
    8: decimal && thrift.i32(decimal.precision),
    10: annotation?.logical,
  })
}

function annotate(type: LogicalType): { converted?: number; logical: thrift.Thrift } | undefined {
  const micros = thrift.struct({ 2: thrift.struct({}) })
  switch (type.kind) {
    case 'bool':
    case 'float':
    case 'binary':
      return undefined
    case 'text':
      return { converted: CONVERTED.utf8, logical: thrift.struct({ 1: thrift.struct({}) }) }
    case 'date':
      return { converted: CONVERTED.date, logical: thrift.struct({ 6: thrift.struct({}) }) }
    case 'decimal':
      return {
        converted: CONVERTED.decimal,
        logical: thrift.struct({
          5: thrift.struct({ 1: thrift.i32(type.scale), 2: thrift.i32(type.precision) }),
        }),
      }
    case 'time':
      return { logical: thrift.struct({ 7: thrift.struct({ 1: thrift.bool(false), 2: micros }) }) }
    case 'timestamp':
      return {
        ...(type.zoned ? { converted: CONVERTED.instant } : {}),
        logical: thrift.struct({ 8: thrift.struct({ 1: thrift.bool(type.zoned), 2: micros }) }),
      }
    case 'int':
      return {
        converted: (type.signed ? CONVERTED.signed : CONVERTED.unsigned) + Math.log2(type.bits / 8),
        logical: thrift.struct({
          10: thrift.struct({ 1: thrift.byte(type.bits), 2: thrift.bool(type.signed) }),
        }),
      }
  }
}
