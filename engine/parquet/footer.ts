import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { type Column, type LogicalType, typeName } from '../types/logical.ts'
import { readStruct, type Struct, type Value } from './thriftRead.ts'

/** What a Parquet file says of itself (github.com/apache/parquet-format, `parquet.thrift`). */
export interface Footer {
  rows: number
  columns: FileColumn[]
  /** Of each chunk of a row group, in order: whether it has one value of each row, NULL or not. */
  singles: boolean[]
  groups: { rows: number; chunks: FileChunk[] }[]
  /** Whether columns are encrypted, though the footer is not. */
  encrypted: boolean
  /** The schema that writers of Arrow keep beside Parquet's own, in base64. */
  arrowSchema?: string
}

export interface FileColumn {
  name: string
  /** parquet.thrift's Type. */
  physical: number
  /** Bytes of a FIXED_LEN_BYTE_ARRAY. */
  width: number
  nullable: boolean
  /** Undefined for nested columns and types that we do not stage. */
  type: LogicalType | undefined
}

/** Bytes of a file. */
export interface FilePart {
  start: number
  length: number
}

/** Where a column's pages are in the file, and what is said of them. */
export interface FileChunk extends FilePart {
  /** parquet.thrift's CompressionCodec; 0: none. */
  codec: number
  /** Its indexes and its Bloom filter, where their length is said. */
  beside: FilePart[]
  values: number
  /** What is said of its least and greatest value, as they are encoded. */
  bounds: Uint8Array[]
}

/** Reads a file's footer. Throws where there is none, or it is cut. */
export const readFooter = (path: string): Footer => footerOf(footerStruct(path).struct)

/** A file's footer as it is written, and where it begins: what row groups are before it. Throws as {@link readFooter} does. */
export function footerStruct(path: string): { struct: Struct; start: number } {
  const handle = openSync(path, 'r')
  try {
    const tail = Buffer.alloc(8)
    const { size } = fstatSync(handle)
    if (size < 12 || readSync(handle, tail, 0, 8, size - 8) < 8 || tail.toString('latin1', 4) !== 'PAR1')
      throw new RangeError('it does not end as a Parquet file')
    const length = tail.readUInt32LE(0)
    if (length > size - 12) throw new RangeError('its footer is cut')
    const bytes = Buffer.alloc(length)
    const start = size - 8 - length
    readSync(handle, bytes, 0, length, start)
    return { struct: readStruct(bytes, 0).struct, start }
  } finally {
    closeSync(handle)
  }
}

/** Whether a file has these columns in this order, in their types, and no others. */
export const hasColumns = (file: Pick<Footer, 'columns'>, columns: Column[]): boolean =>
  file.columns.length === columns.length &&
  columns.every(({ name, type }, index) => {
    const own = file.columns[index]!
    return own.name === name && own.type !== undefined && typeName(own.type) === typeName(type)
  })

/** What a footer says. */
export function footerOf(file: Struct): Footer {
  const [root, ...leaves] = file[2] as Struct[]
  const flat = leaves.length === Number(root![5])
  const arrow = ((file[5] ?? []) as Struct[]).find(pair => textOf(pair[1]) === 'ARROW:schema')
  return {
    rows: file[3] as number,
    encrypted: file[8] !== undefined,
    ...(arrow?.[2] !== undefined && { arrowSchema: textOf(arrow[2]) }),
    columns: leaves.map(leaf => columnOf(leaf, flat)),
    singles: singlesOf(file[2] as Struct[]),
    groups: (file[4] as Struct[]).map(group => ({
      rows: group[3] as number,
      chunks: (group[1] as Struct[]).map(chunkOf),
    })),
  }
}

const textOf = (value: Value | undefined) => Buffer.from(value as Uint8Array).toString('utf8')

function chunkOf(chunk: Struct): FileChunk {
  const meta = chunk[3] as Struct
  const data = meta[9] as number
  const dictionary = meta[11] as number | undefined
  return {
    codec: meta[4] as number,
    start: dictionary ? Math.min(dictionary, data) : data,
    length: meta[7] as number,
    beside: [
      [chunk[4], chunk[5]],
      [chunk[6], chunk[7]],
      [meta[14], meta[15]],
    ].flatMap(([start, length]) =>
      typeof start === 'number' && typeof length === 'number' ? [{ start, length }] : [],
    ),
    values: meta[5] as number,
    bounds: boundsOf(meta[12] as Struct | undefined),
  }
}

/** By older writers, and by later ones. */
const boundsOf = (said: Struct = {}): Uint8Array[] =>
  [1, 2, 5, 6].flatMap(field => (said[field] === undefined ? [] : [said[field] as Uint8Array]))

/** Whether nothing repeats the values of a schema's leaf, nor what it is in. */
function singlesOf([root, ...elements]: Struct[]): boolean[] {
  const found: boolean[] = []
  const open = [{ left: Number(root?.[5] ?? 0), single: true }]
  for (const element of elements) {
    while (open.length > 1 && open.at(-1)!.left === 0) open.pop()
    const parent = open.at(-1)!
    parent.left--
    const single = parent.single && element[3] !== 2
    const children = Number(element[5] ?? 0)
    if (children > 0) open.push({ left: children, single })
    else found.push(single)
  }
  return found
}

function columnOf(leaf: Struct, flat: boolean): FileColumn {
  const repetition = leaf[3] as number
  return {
    name: textOf(leaf[4]),
    physical: (leaf[1] as number | undefined) ?? -1,
    width: (leaf[2] as number | undefined) ?? 0,
    nullable: repetition === 1,
    type: flat && repetition < 2 ? typeOf(leaf) : undefined,
  }
}

const int = (bits: 8 | 16 | 32 | 64, signed: boolean): LogicalType => ({ kind: 'int', bits, signed })

/** By the annotation: LogicalType first, then the older ConvertedType. */
function typeOf(leaf: Struct): LogicalType | undefined {
  const physical = leaf[1] as number
  const logical = (leaf[10] as Struct | undefined) ?? {}
  const converted = leaf[6] as number | undefined
  const unit = (of: Value | undefined) => ((of as Struct)[2] as Struct)[2] !== undefined
  switch (physical) {
    case 0:
      return { kind: 'bool' }
    case 4:
      return { kind: 'float', bits: 32 }
    case 5:
      return { kind: 'float', bits: 64 }
    case 6:
      if (logical[1] || converted === 0) return { kind: 'text' }
      return converted === undefined && leaf[10] === undefined ? { kind: 'binary' } : undefined
    case 1:
    case 2:
    case 7: {
      const decimal = logical[5] as Struct | undefined
      if (decimal || converted === 5) {
        const [scale, precision] = [leaf[7], leaf[8]] as [number | undefined, number]
        return {
          kind: 'decimal',
          precision: (decimal?.[2] as number) ?? precision,
          scale: (decimal?.[1] as number) ?? scale ?? 0,
        }
      }
      if (physical === 7) return undefined
      if (logical[6] || converted === 6) return { kind: 'date' }
      if (logical[7]) return unit(logical[7]) ? { kind: 'time' } : undefined
      if (logical[8])
        return unit(logical[8])
          ? { kind: 'timestamp', zoned: (logical[8] as Struct)[1] as boolean }
          : undefined
      const given = logical[10] as Struct | undefined
      if (given) return int(given[1] as 8, given[2] as boolean)
      if (leaf[10] !== undefined) return undefined
      if (converted !== undefined)
        return converted >= 11 && converted <= 18
          ? int(([8, 16, 32, 64] as const)[(converted - 11) % 4]!, converted >= 15)
          : undefined
      return int(physical === 1 ? 32 : 64, true)
    }
    default:
      return undefined
  }
}
