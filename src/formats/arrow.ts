import { writeFileSync } from 'node:fs'
import { RecordBatchReader } from 'apache-arrow'
import { fromRecordBatch } from '../../engine/batch/arrow.ts'
import { EngineError } from '../../engine/errors.ts'
import { encodeParquet } from '../../engine/staging/encode.ts'
import { badFile } from './bad.ts'

/** Arrow IPC, stream or file, batch by batch as Parquet at `path`; each is gone when the next one is asked for. */
export async function* arrowParquet(
  where: string,
  bytes: AsyncIterable<Buffer>,
  path: string,
): AsyncGenerator<string> {
  try {
    const reader = await RecordBatchReader.from(bytes as AsyncIterable<Uint8Array>)
    for await (const record of reader) {
      const batch = fromRecordBatch(record, where)
      if (batch.rows === 0) continue
      writeFileSync(path, encodeParquet(batch))
      yield path
    }
  } catch (cause) {
    if (cause instanceof EngineError) throw cause
    throw badFile(where, `is not readable Arrow IPC: ${(cause as Error).message}`, cause)
  }
}
