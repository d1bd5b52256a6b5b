import { type Batch, isValid, type Vector } from '../batch/batch.ts'
import { BatchBuilder, type ColumnBuilder } from '../batch/builder.ts'
import type { EnrichModule } from '../contracts/enrichment.ts'
import { encodeParquet } from '../parquet/encode.ts'
import { readParquet } from '../parquet/read.ts'
import { atomicWriteBytes } from '../staging/store.ts'
import type { Column } from '../types/logical.ts'

/** What a worker thread is asked: plain data. Paths are absolute. */
export interface EnrichInput {
  /** URL of an {@link EnrichModule}. */
  module: string
  gives: Column[]
  /** Parquet file of text columns. */
  path: string
  /** Beginning of the names of the files to write: `STEM-0.parquet`. */
  stem: string
}

/** Bounds of one output file. */
const LIMITS = { rows: 50_000, bytes: 16_000_000 }

/** Writes each row of a file with what the module makes of it; gives the number of files. Worker thread. */
export async function enrichFile({ module, gives, path, stem }: EnrichInput): Promise<number> {
  const { enrich } = (await import(module)) as EnrichModule
  let builder: BatchBuilder | undefined
  let files = 0
  const flush = (full: BatchBuilder) => {
    atomicWriteBytes(`${stem}-${files++}.parquet`, encodeParquet(full.batch()))
    full.reset()
  }
  await readParquet(path, async (batch: Batch) => {
    const takes = batch.vectors.map(({ column }) => column)
    builder ??= new BatchBuilder(path, [...takes, ...gives], LIMITS)
    for (let row = 0; row < batch.rows; row++) {
      const values = batch.vectors.map(vector => textOf(vector, row))
      const made = enrich(values)
      for (const [index, value] of [...values, ...made].entries())
        put(builder.columns[index]!, builder.rows, value)
      builder.endRow()
      if (builder.full) flush(builder)
    }
  })
  if (builder && builder.rows > 0) flush(builder)
  return files
}

function textOf(vector: Vector, row: number): string | null {
  if (!isValid(vector, row)) return null
  const { data, offsets } = vector
  return Buffer.from(data.buffer, data.byteOffset).toString('utf8', offsets![row], offsets![row + 1])
}

function put(column: ColumnBuilder, row: number, value: string | boolean | null): void {
  if (value === null) column.setNull(row)
  else if (typeof value === 'string') column.appendText(row, value)
  else column.u8[row] = value ? 1 : 0
}
