/** Body of the process that decodes one Arrow file: standard input to Parquet files in a folder, a line each. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  DataType,
  type RecordBatch,
  RecordBatchReader,
  Table,
  type Vector,
  vectorFromArray,
} from 'apache-arrow'
import { fromRecordBatch } from '../../engine/batch/arrow.ts'
import { encodeParquet } from '../../engine/parquet/encode.ts'

/** A batch without dictionaries: their values stand in the columns. */
function plain(record: RecordBatch): RecordBatch {
  if (!record.schema.fields.some(({ type }) => DataType.isDictionary(type))) return record
  const columns = record.schema.fields.map(({ name, type }, index): [string, Vector] => {
    const column = record.getChildAt(index)!
    return [name, DataType.isDictionary(type) ? vectorFromArray([...column], type.dictionary) : column]
  })
  return new Table(Object.fromEntries(columns)).batches[0] ?? record
}

const [folder = ''] = process.argv.slice(2)
try {
  const reader = await RecordBatchReader.from(process.stdin)
  let number = 0
  for await (const record of reader) {
    const batch = fromRecordBatch(plain(record), 'arrow')
    if (batch.rows === 0) continue
    const path = join(folder, `arrow-${number++}.parquet`)
    writeFileSync(path, encodeParquet(batch))
    console.log(path)
  }
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
}
