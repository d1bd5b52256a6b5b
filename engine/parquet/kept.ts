import { open, readFile } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import { encodeFooter, MAGIC, type RowGroup, WRITER, ZSTD } from './encode.ts'
import { type FileColumn, footerOf, footerStruct } from './footer.ts'
import * as thrift from './thrift.ts'
import type { Struct, Value } from './thriftRead.ts'

/** A file that {@link encodeParquet} wrote to be kept: its row groups can stand in another file as they lie. */
export interface KeptFile {
  path: string
  rows: number
  /** Of its row groups. */
  bytes: number
  columns: FileColumn[]
  groups: Struct[]
}

/** Undefined where a file is another's, or not compressed. Throws where it is cut. */
export function openKept(path: string): KeptFile | undefined {
  const { struct, start } = footerStruct(path)
  const { rows, columns, groups } = footerOf(struct)
  const ours = struct[6] !== undefined && textOf(struct[6]) === WRITER
  if (!ours || groups.some(({ chunks }) => chunks.some(({ codec }) => codec !== ZSTD))) return undefined
  return { path, rows, bytes: start - MAGIC.length, columns, groups: struct[4] as Struct[] }
}

/** Writes the rows of several files, whose columns are the same, as one: their pages are copied. */
export async function joinKept(files: KeptFile[], path: string): Promise<{ bytes: number; crc32: number }> {
  const target = await open(path, 'wx')
  let [bytes, sum] = [0, 0]
  const put = async (piece: Uint8Array) => {
    await target.writeFile(piece)
    bytes += piece.length
    sum = crc32(piece, sum)
  }
  try {
    await put(MAGIC)
    const groups: RowGroup[] = []
    for (const file of files) {
      const moved = bytes - MAGIC.length
      groups.push(...file.groups.map(group => movedGroup(group, moved)))
      const content = await readFile(file.path)
      await put(content.subarray(MAGIC.length, MAGIC.length + file.bytes))
    }
    const columns = files[0]!.columns.map(({ name, type }) => ({ name, type: type! }))
    await put(encodeFooter(columns, groups))
  } finally {
    await target.close()
  }
  return { bytes, crc32: sum }
}

/** A row group whose pages lie so many bytes further on. */
const movedGroup = (group: Struct, by: number): RowGroup => ({
  rows: group[3] as number,
  bytes: group[2] as number,
  chunks: (group[1] as Struct[]).map(chunk => {
    const meta = chunk[3] as Struct
    const { 3: nulls, 5: greatest, 6: least } = meta[12] as Struct
    const bytes = (value: Value | undefined) =>
      value === undefined ? undefined : thrift.binary(value as Uint8Array)
    const moved = (at: Value | undefined) => (at === undefined ? undefined : thrift.i64((at as number) + by))
    return thrift.struct({
      2: moved(chunk[2]),
      3: thrift.struct({
        1: thrift.i32(meta[1] as number),
        2: thrift.list((meta[2] as number[]).map(thrift.i32)),
        3: thrift.list((meta[3] as Uint8Array[]).map(thrift.binary)),
        4: thrift.i32(meta[4] as number),
        5: thrift.i64(meta[5] as number),
        6: thrift.i64(meta[6] as number),
        7: thrift.i64(meta[7] as number),
        9: moved(meta[9]),
        11: moved(meta[11]),
        12: thrift.struct({ 3: thrift.i64(nulls as number), 5: bytes(greatest), 6: bytes(least) }),
      }),
    })
  }),
})

const textOf = (value: Value) => Buffer.from(value as Uint8Array).toString('utf8')
