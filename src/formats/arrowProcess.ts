/** Body of the process that decodes one Arrow file: a path to Parquet files in a folder, a line each. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Table, writeParquet } from 'parquet-wasm/node'
import { messages } from './ipc.ts'

const [source = '', folder = ''] = process.argv.slice(2)
const END = Uint8Array.of(255, 255, 255, 255, 0, 0, 0, 0)

try {
  const head: Uint8Array[] = []
  let number = 0
  const write = (batches: Uint8Array[]) => {
    const table = Table.fromIPCStream(Buffer.concat([...head, ...batches, END]))
    const path = join(folder, `arrow-${number++}.parquet`)
    writeFileSync(path, writeParquet(table))
    console.log(path)
  }
  for await (const { kind, bytes } of messages(source)) {
    if (kind === 'batch') write([bytes])
    else if (kind !== 'other') head.push(bytes)
  }
  if (head.length === 0) throw new RangeError('it has no schema')
  // A file without a row has columns all the same.
  if (number === 0) write([])
} catch (error) {
  console.error(String((error as Error)?.message ?? error))
  process.exitCode = 1
}
