import { openAsBlob, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DataType, TimeUnit, tableFromIPC, type Vector } from 'apache-arrow'
import * as wasm from 'parquet-wasm/node'
import { BatchBuilder } from '../../engine/batch/builder.ts'
import { encodeParquet } from '../../engine/parquet/encode.ts'
import { counted } from '../../engine/plural.ts'
import type { Column } from '../../engine/types/logical.ts'

/** A column that DuckDB cannot hold: what it is of, and its field in the read's SQL, where its text or nanoseconds go. */
export interface BeyondField {
  column: string
  kind: 'text' | 'nanoseconds'
  field: string
}

/** Bytes of nested columns in a row group that are read at once. */
const NESTED = 512 * 1024 * 1024

/** Writes columns of a Parquet file as files of text and nanoseconds, in the order of its rows, and gives their paths. */
export async function* beyondFiles(
  path: string,
  fields: BeyondField[],
  folder: string,
): AsyncGenerator<string> {
  const file = await wasm.ParquetFile.fromFile((await openAsBlob(path)) as Blob)
  const metadata = file.metadata()
  const columns = fields.map(({ column }) => column)
  let written = 0
  let read = 0
  const write = (vectors: Vector[], rows: number) => {
    const out = join(folder, `beyond-${written++}.parquet`)
    writeFileSync(out, encodeParquet(batchOf(fields, vectors, rows)))
    return out
  }
  for (let group = 0; group < metadata.numRowGroups(); group++) {
    const table = await file.read({ rowGroups: [group], columns })
    for (const record of tableFromIPC(table.intoIPCStream()).batches) {
      yield write(
        columns.map(name => record.getChild(name)!),
        record.numRows,
      )
      read += record.numRows
    }
  }
  const rows = metadata.fileMetadata().numRows()
  // A join by position would fill up with NULL.
  if (read !== rows) throw new RangeError(`it holds ${counted(read, 'row')}, its footer says ${rows}`)
  if (read === 0) yield write([], 0)
}

/** Writes each row group as a Parquet file that is not compressed, and gives their paths. */
export async function* rewrittenFiles(path: string, folder: string): AsyncGenerator<string> {
  const file = await wasm.ParquetFile.fromFile((await openAsBlob(path)) as Blob)
  const groups = file.metadata().numRowGroups()
  for (let group = 0; group < groups; group++) {
    const out = join(folder, `rewritten-${group}.parquet`)
    writeFileSync(out, wasm.writeParquet(await file.read({ rowGroups: [group] })))
    yield out
  }
}

/** Reads columns for their faults alone. */
export async function readColumns(path: string, columns: string[]): Promise<void> {
  const file = await wasm.ParquetFile.fromFile((await openAsBlob(path)) as Blob)
  const metadata = file.metadata()
  for (let group = 0; group < metadata.numRowGroups(); group++)
    if (metadata.rowGroup(group).totalByteSize() < NESTED)
      (await file.read({ rowGroups: [group], columns })).free()
}

function batchOf(fields: BeyondField[], vectors: Vector[], rows: number) {
  const builder = new BatchBuilder(
    'files',
    fields.map(
      ({ kind, field }): Column => ({
        name: field,
        type: kind === 'text' ? { kind: 'text' } : { kind: 'int', bits: 64, signed: true },
        nullable: true,
        native: kind,
      }),
    ),
    { rows: Math.max(1, rows), bytes: Number.MAX_SAFE_INTEGER },
  )
  for (let row = 0; row < rows; row++) {
    for (const [index, vector] of vectors.entries()) {
      const column = builder.columns[index]!
      const data = vector.data[0]!
      if (!data.getValid(row)) column.setNull(row)
      else if (fields[index]!.kind === 'text') column.appendText(row, decimalText(data, row))
      else column.big[row] = (data.values as BigInt64Array)[row]! * perUnit(vector.type)
    }
    builder.endRow()
  }
  return builder.batch()
}

function perUnit(type: DataType): bigint {
  const unit = DataType.isTimestamp(type) ? type.unit : TimeUnit.NANOSECOND
  return {
    [TimeUnit.SECOND]: 10n ** 9n,
    [TimeUnit.MILLISECOND]: 10n ** 6n,
    [TimeUnit.MICROSECOND]: 1000n,
    [TimeUnit.NANOSECOND]: 1n,
  }[unit]
}

function decimalText(data: Vector['data'][number], row: number): string {
  const { scale, bitWidth } = data.type as unknown as { scale: number; bitWidth: number }
  const words = bitWidth / 32
  const values = data.values as Uint32Array
  let value = 0n
  for (let word = words - 1; word >= 0; word--) value = (value << 32n) | BigInt(values[row * words + word]!)
  value = BigInt.asIntN(bitWidth, value)
  const digits = String(value < 0n ? -value : value).padStart(scale + 1, '0')
  const point = digits.length - scale
  return `${value < 0n ? '-' : ''}${digits.slice(0, point)}${scale > 0 ? `.${digits.slice(point)}` : ''}`
}
