import { openAsBlob } from 'node:fs'
import type { ParquetFile } from 'parquet-wasm/node'
import type { Batch } from '../batch/batch.ts'
import { EngineError } from '../errors.ts'
import { PlainFile } from './decode.ts'
import { readFooter } from './footer.ts'

/** Rows of one batch read back: one of DuckDB's row groups. */
const READ_ROWS = 122_880

/**
 * Reads a Parquet file row group by row group; each batch's buffers live until the next one is asked for.
 * Fails with STAGING_CORRUPT, naming the file, where it cannot be decoded.
 */
export async function readParquet(path: string, onBatch: (batch: Batch) => Promise<void>): Promise<void> {
  const plain = await corrupt(path, async () => new PlainFile(path))
  let other: ParquetFile | undefined
  try {
    for (let group = 0; group < plain.groups; group++) {
      const batch = await corrupt(path, async () => plain.read(group))
      if (batch) await onBatch(batch)
      else {
        other ??= await corrupt(path, () => panicking(() => openOther(path)))
        await readOther(path, other, group, onBatch)
      }
    }
    // Where it failed it may be in use for ever.
    other?.free()
  } finally {
    plain.close()
  }
}

// The libraries for compressed and dictionary-coded files, which sources bring, take longer to load than most parts to read.
async function openOther(path: string): Promise<ParquetFile> {
  const { ParquetFile } = await import('parquet-wasm/node')
  return ParquetFile.fromFile((await openAsBlob(path)) as Blob)
}

async function readOther(
  path: string,
  file: ParquetFile,
  group: number,
  onBatch: (batch: Batch) => Promise<void>,
): Promise<void> {
  const { tableFromIPC } = await import('apache-arrow')
  const { fromRecordBatch } = await import('../batch/arrow.ts')
  const read = async () => (await file.read({ rowGroups: [group], batchSize: READ_ROWS })).intoIPCStream()
  const ipc = await corrupt(path, () => panicking(read))
  for (const record of tableFromIPC(ipc).batches) await onBatch(fromRecordBatch(record, path))
}

/** What parquet-wasm gives. Where it panics, it throws where nobody waits, which would end the thread, and answers nobody. */
async function panicking<T>(act: () => Promise<T>): Promise<T> {
  const panic = Promise.withResolvers<never>()
  const caught = (error: unknown) => {
    if (!(error instanceof Error && error.name === 'RuntimeError')) throw error
    panic.reject(error)
  }
  process.on('uncaughtException', caught)
  try {
    return await Promise.race([act(), panic.promise])
  } finally {
    process.off('uncaughtException', caught)
  }
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
  return (await corrupt(path, async () => readFooter(path))).rows
}
