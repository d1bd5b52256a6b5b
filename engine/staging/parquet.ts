import { openAsBlob } from 'node:fs'
import * as arrow from 'apache-arrow'
import * as wasm from 'parquet-wasm/node'
import { fromRecordBatch } from '../batch/arrow.ts'
import type { Batch } from '../batch/batch.ts'
import { EngineError } from '../errors.ts'

/** Rows of one batch read back: one of DuckDB's row groups. */
const READ_ROWS = 122_880

/**
 * Reads a Parquet file row group by row group; each batch's buffers live until the next one is asked for.
 * Fails with STAGING_CORRUPT, naming the file, where it cannot be decoded.
 */
export async function readParquet(path: string, onBatch: (batch: Batch) => Promise<void>): Promise<void> {
  const file = await corrupt(path, async () => wasm.ParquetFile.fromFile((await openAsBlob(path)) as Blob))
  const groups = file.metadata().numRowGroups()
  for (let group = 0; group < groups; group++) {
    const ipc = await corrupt(path, async () =>
      (await file.read({ rowGroups: [group], batchSize: READ_ROWS })).intoIPCStream(),
    )
    for (const record of arrow.tableFromIPC(ipc).batches) await onBatch(fromRecordBatch(record, path))
  }
  file.free()
}

async function corrupt<T>(path: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (cause) {
    throw new EngineError('STAGING_CORRUPT', `${path}: not a readable Parquet file: ${String(cause)}`, {
      cause,
    })
  }
}

/** Rows of a Parquet file, from its footer. */
export async function rowsOf(path: string): Promise<number> {
  const file = await corrupt(path, async () => wasm.ParquetFile.fromFile((await openAsBlob(path)) as Blob))
  const rows = file.metadata().fileMetadata().numRows()
  file.free()
  return rows
}
