import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Table, writeParquet } from 'parquet-wasm/node'
import { messages } from './ipc.ts'

const END = Uint8Array.of(255, 255, 255, 255, 0, 0, 0, 0)

/** Writes each batch of an Arrow file or stream as a Parquet file, and gives their paths. */
export async function* arrowFiles(source: string, folder: string): AsyncGenerator<string> {
  const head: Uint8Array[] = []
  let number = 0
  const write = (batches: Uint8Array[]) => {
    const path = join(folder, `arrow-${number++}.parquet`)
    writeFileSync(path, writeParquet(Table.fromIPCStream(Buffer.concat([...head, ...batches, END]))))
    return path
  }
  for await (const { kind, bytes } of messages(source)) {
    if (kind === 'batch') yield write([bytes])
    else if (kind !== 'other') head.push(bytes)
  }
  if (head.length === 0) throw new RangeError('it has no schema')
  // A file without a row has columns all the same.
  if (number === 0) yield write([])
}
