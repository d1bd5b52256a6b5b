/** Body of a thread that reads Parquet files one after another: posts of each the code of its error, or null. */
import { parentPort, workerData } from 'node:worker_threads'
import type { EngineError } from '../../engine/errors.ts'
import { readParquet } from '../../engine/parquet/read.ts'

const codes: (string | null)[] = []
for (const path of workerData as string[])
  codes.push(
    await readParquet(path, async () => {}).then(
      () => null,
      (error: EngineError) => error.code,
    ),
  )
parentPort!.postMessage(codes)
