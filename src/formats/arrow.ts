import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { moduleBeside } from '../../engine/pool/entry.ts'
import { badFile } from './bad.ts'

/** Megabytes of heap that a file may take: one whose lengths lie asks for all there is. */
const HEAP = 1024

/**
 * Arrow IPC, stream or file, batch by batch as Parquet in `folder`; each is gone when the next one is asked for. What
 * reads it believes more of a file than is good, and its memory does not shrink: so it has a process of its own.
 */
export async function* arrowParquet(where: string, source: string, folder: string): AsyncGenerator<string> {
  const script = fileURLToPath(moduleBeside(import.meta.url, 'arrowProcess'))
  const child = spawn(process.execPath, [`--max-old-space-size=${HEAP}`, script, source, folder], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = once(child, 'close') as Promise<[number | null]>
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-400)
  })
  try {
    for await (const path of createInterface(child.stdout)) {
      yield path
      rmSync(path, { force: true })
    }
    const [code] = await ended
    if (code !== 0)
      throw badFile(
        where,
        `is not readable Arrow IPC: ${said.trim().split('\n').at(-1) || 'its lengths are false'}`,
      )
  } finally {
    child.kill('SIGKILL')
  }
}
