import * as arrow from 'apache-arrow'
import { EngineError } from '../errors.ts'
import { type Column, type LogicalType, unflattened } from '../types/logical.ts'
import { type Batch, fixedWidth, type Vector } from './batch.ts'

/** The Arrow type of a logical type. */
export function arrowType(type: LogicalType): arrow.DataType {
  switch (type.kind) {
    case 'bool':
      return new arrow.Bool()
    case 'int':
      return {
        8: type.signed ? new arrow.Int8() : new arrow.Uint8(),
        16: type.signed ? new arrow.Int16() : new arrow.Uint16(),
        32: type.signed ? new arrow.Int32() : new arrow.Uint32(),
        64: type.signed ? new arrow.Int64() : new arrow.Uint64(),
      }[type.bits]
    case 'float':
      return type.bits === 32 ? new arrow.Float32() : new arrow.Float64()
    case 'decimal':
      return new arrow.Decimal(type.scale, type.precision, 128)
    case 'text':
      return new arrow.Utf8()
    case 'binary':
      return new arrow.Binary()
    case 'date':
      return new arrow.DateDay()
    case 'time':
      return new arrow.TimeMicrosecond()
    case 'timestamp':
      return new arrow.TimestampMicrosecond(type.zoned ? 'UTC' : null)
    case 'nested':
      return unflattened(type)
  }
}

/** The logical type of an Arrow type; undefined for one that none can hold. */
export function logicalType(type: arrow.DataType): LogicalType | undefined {
  if (arrow.DataType.isBool(type)) return { kind: 'bool' }
  if (arrow.DataType.isInt(type)) return { kind: 'int', bits: type.bitWidth, signed: type.isSigned }
  if (arrow.DataType.isFloat(type) && type.precision !== arrow.Precision.HALF)
    return { kind: 'float', bits: type.precision === arrow.Precision.SINGLE ? 32 : 64 }
  if (arrow.DataType.isDecimal(type) && type.bitWidth === 128)
    return { kind: 'decimal', precision: type.precision, scale: type.scale }
  if (arrow.DataType.isUtf8(type)) return { kind: 'text' }
  if (arrow.DataType.isBinary(type)) return { kind: 'binary' }
  if (arrow.DataType.isDate(type) && type.unit === arrow.DateUnit.DAY) return { kind: 'date' }
  if (arrow.DataType.isTime(type) && type.unit === arrow.TimeUnit.MICROSECOND) return { kind: 'time' }
  if (arrow.DataType.isTimestamp(type) && type.unit === arrow.TimeUnit.MICROSECOND)
    return { kind: 'timestamp', zoned: Boolean(type.timezone) }
  return undefined
}

/** A batch as an Arrow table with one record batch over the same buffers (booleans are packed). */
export function toTable(batch: Batch): arrow.Table {
  const fields = batch.vectors.map(({ column }) => new arrow.Field(column.name, arrowType(column.type), true))
  const schema = new arrow.Schema(fields)
  const children = batch.vectors.map((vector, index) => toData(vector, fields[index]!.type, batch.rows))
  const data = arrow.makeData({ type: new arrow.Struct(fields), length: batch.rows, nullCount: 0, children })
  return new arrow.Table(schema, [new arrow.RecordBatch(schema, data)])
}

/** A vector as Arrow's, over the same buffers (booleans are packed). */
export const toVector = (vector: Vector, rows: number): arrow.Vector =>
  new arrow.Vector([toData(vector, arrowType(vector.column.type), rows)])

function toData(vector: Vector, type: arrow.DataType, rows: number): arrow.Data {
  const common = { type, length: rows, nullCount: vector.nulls, nullBitmap: vector.validity ?? null }
  if (vector.offsets)
    return arrow.makeData({ ...common, valueOffsets: vector.offsets, data: vector.data } as never)
  const data = vector.column.type.kind === 'bool' ? pack(vector.data, rows) : typed(type, vector.data)
  return arrow.makeData({ ...common, data } as never)
}

// Arrow's writer takes each buffer in its type's own array class.
function typed(type: arrow.DataType, bytes: Uint8Array): ArrayBufferView {
  const ArrayType = type.ArrayType as unknown as new (
    b: ArrayBufferLike,
    at: number,
    n: number,
  ) => ArrayBufferView & {
    BYTES_PER_ELEMENT: number
  }
  const size = (ArrayType as unknown as { BYTES_PER_ELEMENT: number }).BYTES_PER_ELEMENT
  return new ArrayType(bytes.buffer, bytes.byteOffset, bytes.length / size)
}

function pack(bytes: Uint8Array, rows: number): Uint8Array {
  const bits = new Uint8Array((rows + 7) >> 3)
  for (let row = 0; row < rows; row++) bits[row >> 3]! |= bytes[row]! << (row & 7)
  return bits
}

/** A record batch as ours; buffers are shared where their alignment allows. `where` names the file in errors. */
export function fromRecordBatch(record: arrow.RecordBatch, where: string): Batch {
  const rows = record.numRows
  const vectors = record.schema.fields.map((field, index): Vector => {
    const type = logicalType(field.type)
    if (!type)
      throw new EngineError('TYPE_UNSUPPORTED', `${where}: column ${field.name} has type ${field.type}`, {
        hint: 'Cast it in the model to a scalar type, for instance to VARCHAR or JSON text.',
      })
    const column: Column = { name: field.name, type, nullable: field.nullable, native: String(field.type) }
    return fromData(record.data.children[index]!, column, rows)
  })
  return { rows, vectors }
}

/** A chunk of an Arrow vector as ours: `column` is of its type. */
export function fromData(data: arrow.Data, column: Column, rows: number): Vector {
  const nulls = data.nullCount
  const validity = nulls === 0 ? undefined : shiftBits(data.nullBitmap, data.offset, rows)
  const width = fixedWidth(column.type)
  if (width === 0)
    return { column, nulls, validity, data: data.values, offsets: data.valueOffsets.subarray(0, rows + 1) }
  if (column.type.kind === 'bool') {
    const unpacked = new Uint8Array(rows)
    const bits: Uint8Array = data.values
    for (let row = 0; row < rows; row++) {
      const at = row + data.offset
      unpacked[row] = (bits[at >> 3]! >> (at & 7)) & 1
    }
    return { column, nulls, validity, data: unpacked, offsets: undefined }
  }
  const { buffer, byteOffset } = data.values as Uint8Array
  const bytes = new Uint8Array(buffer, byteOffset, rows * width)
  return { column, nulls, validity, data: byteOffset % 8 === 0 ? bytes : bytes.slice(), offsets: undefined }
}

function shiftBits(bitmap: Uint8Array, offset: number, rows: number): Uint8Array {
  if (offset % 8 === 0) return bitmap.subarray(offset >> 3)
  const shifted = new Uint8Array((rows + 7) >> 3)
  for (let row = 0; row < rows; row++) {
    const at = row + offset
    shifted[row >> 3]! |= ((bitmap[at >> 3]! >> (at & 7)) & 1) << (row & 7)
  }
  return shifted
}
