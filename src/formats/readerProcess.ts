/** Body of the process that reads one file with parquet-wasm: a task as its argument, a line for each file written. */
import { arrowFiles } from './arrowFiles.ts'
import { beyondFiles, readColumns, rewrittenFiles } from './parquetBeyond.ts'
import type { ReaderTask } from './reader.ts'

function filesOf(task: Exclude<ReaderTask, { kind: 'check' }>): AsyncGenerator<string> {
  const { path, folder } = task
  if (task.kind === 'arrow') return arrowFiles(path, folder)
  return task.kind === 'rewrite' ? rewrittenFiles(path, folder) : beyondFiles(path, task.fields, folder)
}

const task = JSON.parse(process.argv[2] ?? '{}') as ReaderTask
try {
  if (task.kind === 'check') await readColumns(task.path, task.columns)
  else {
    for await (const file of filesOf(task)) console.log(file)
  }
} catch (error) {
  console.error(`told: ${String((error as Error)?.message ?? error).split('\n')[0]}`)
  process.exitCode = 1
}
