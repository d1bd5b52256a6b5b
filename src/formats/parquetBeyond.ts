import { openAsBlob, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DataType, TimeUnit, tableFromIPC, type Vector } from 'apache-arrow'
import * as wasm from 'parquet-wasm/node'
import { BatchBuilder } from '../../engine/batch/builder.ts'
import { EngineError } from '../../engine/errors.ts'
import { encodeParquet } from '../../engine/parquet/encode.ts'
import { parquetSql } from '../../engine/sql/files.ts'
import type { Column } from '../../engine/types/logical.ts'
import { badFile } from './bad.ts'
import type { BeyondColumn } from './parquetSchema.ts'

/** A column that DuckDB cannot hold, and its field in the read's SQL: `c3`. */
export interface BeyondField {
  column: BeyondColumn
  field: string
}

/** Where the nanoseconds of a field stand. */
export const nanosOf = (field: string) => `n${field.slice(1)}`

/**
 * What DuckDB cannot hold of a file's columns, read by parquet-wasm row group by row group, as a table of the file's
 * rows in their order: the text of decimals under the field's name, nanoseconds under {@link nanosOf} it.
 */
export async function beyondDuck(
  where: string,
  path: string,
  fields: BeyondField[],
  folder: string,
): Promise<string> {
  const written: string[] = []
  const write = (vectors: Vector[], rows: number) => {
    const out = join(folder, `beyond-${written.length}.parquet`)
    writeFileSync(out, encodeParquet(batchOf(fields, vectors, rows)))
    written.push(out)
  }
  let file: wasm.ParquetFile | undefined
  try {
    file = await wasm.ParquetFile.fromFile((await openAsBlob(path)) as Blob)
    const metadata = file.metadata()
    const groups = metadata.numRowGroups()
    const rows = metadata.fileMetadata().numRows()
    const columns = fields.map(({ column }) => column.name)
    let read = 0
    for (let group = 0; group < groups; group++)
      for (const record of tableFromIPC((await file.read({ rowGroups: [group], columns })).intoIPCStream())
        .batches) {
        write(
          columns.map(name => record.getChild(name)!),
          record.numRows,
        )
        read += record.numRows
      }
    // A join by position would fill up with NULL.
    if (read !== rows) throw new RangeError(`it holds ${read} rows, its footer says ${rows}`)
    if (read === 0) write([], 0)
  } catch (cause) {
    if (cause instanceof EngineError) throw cause
    const what = String((cause as Error)?.message ?? cause)
    throw badFile(where, `is not a readable Parquet file: ${what}`, cause)
  } finally {
    file?.free()
  }
  return parquetSql(written)
}

function batchOf(fields: BeyondField[], vectors: Vector[], rows: number) {
  const builder = new BatchBuilder(
    'files',
    fields.map(
      ({ column: { beyond }, field }): Column => ({
        name: beyond === 'decimal' ? field : nanosOf(field),
        type: beyond === 'decimal' ? { kind: 'text' } : { kind: 'int', bits: 64, signed: true },
        nullable: true,
        native: beyond,
      }),
    ),
    { rows: Math.max(1, rows), bytes: Number.MAX_SAFE_INTEGER },
  )
  for (let row = 0; row < rows; row++) {
    for (const [index, vector] of vectors.entries()) {
      const column = builder.columns[index]!
      const data = vector.data[0]!
      if (!data.getValid(row)) column.setNull(row)
      else if (fields[index]!.column.beyond === 'decimal') column.appendText(row, decimalText(data, row))
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
