import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { moduleBeside } from '../../engine/pool/entry.ts'
import { badFile } from './bad.ts'
import type { BeyondField } from './parquetBeyond.ts'

/** What the process of parquet-wasm is asked for. */
export type ReaderTask = { path: string; folder: string } & (
  | { kind: 'arrow' }
  | { kind: 'rewrite' }
  | { kind: 'beyond'; fields: BeyondField[] }
  | { kind: 'check'; columns: string[] }
)

/** Megabytes of heap that a file may take: one whose lengths lie asks for all there is. */
const HEAP = 1024

/**
 * Runs parquet-wasm on a file, in a process of its own: it ends where a file is damaged in some ways, and its memory does not
 * shrink. Gives the Parquet files that it writes, as they come. Fails with a bad file.
 */
async function* readElsewhere(where: string, format: string, task: ReaderTask): AsyncGenerator<string> {
  const script = fileURLToPath(moduleBeside(import.meta.url, 'readerProcess'))
  const child = spawn(process.execPath, [`--max-old-space-size=${HEAP}`, script, JSON.stringify(task)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = once(child, 'close') as Promise<[number | null]>
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-4000)
  })
  try {
    yield* createInterface(child.stdout)
    const [code] = await ended
    if (code === 0) return
    const told = /^told: (.*)$/m.exec(said)?.[1]
    // How WebAssembly says that it gave up.
    if (told === 'unreachable')
      throw badFile(
        where,
        `has a column that cannot be read of ${format}, or is damaged`,
        undefined,
        'DECODE_FAILED',
        'Have columns of other types than usual (categorical or Int128 of polars, union, interval) written as text, or the file as Parquet; else get it again.',
      )
    throw badFile(where, `is not ${format} that can be read: ${told ?? 'its lengths or levels are false'}`)
  } finally {
    child.kill('SIGKILL')
  }
}

/** Arrow IPC, stream or file, batch by batch as Parquet in `folder`; each is gone when the next one is asked for. */
export function arrowParquet(where: string, path: string, folder: string): AsyncGenerator<string> {
  return inTurn(readElsewhere(where, 'Arrow IPC', { kind: 'arrow', path, folder }))
}

/** Parquet whose codec or encoding DuckDB does not know, row group by row group as Parquet that it does. */
export function rewritten(where: string, path: string, folder: string): AsyncGenerator<string> {
  return inTurn(readElsewhere(where, 'Parquet', { kind: 'rewrite', path, folder }))
}

async function* inTurn(files: AsyncGenerator<string>): AsyncGenerator<string> {
  for await (const file of files) {
    yield file
    rmSync(file, { force: true })
  }
}

/** Files with what DuckDB cannot hold of a Parquet file's columns, in the order of its rows: see {@link BeyondField}. */
export async function beyondDuck(
  where: string,
  path: string,
  fields: BeyondField[],
  folder: string,
): Promise<string[]> {
  const files: string[] = []
  for await (const file of readElsewhere(where, 'Parquet', { kind: 'beyond', path, fields, folder }))
    files.push(file)
  return files
}

/**
 * Reads nested columns once more: DuckDB gives some value where the levels that say how values nest are cut or false.
 * Fails with a bad file.
 */
export async function checkNested(where: string, path: string, columns: string[]): Promise<void> {
  for await (const _none of readElsewhere(where, 'Parquet', { kind: 'check', path, columns, folder: '' })) {
  }
}
