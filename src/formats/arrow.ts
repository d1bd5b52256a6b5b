import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { EngineError } from '../../engine/errors.ts'
import { moduleBeside } from '../../engine/pool/entry.ts'
import { badFile } from './bad.ts'

/** Megabytes of heap that a file may take: one whose lengths lie asks for all there is. */
const HEAP = 1024

/**
 * Arrow IPC, stream or file, batch by batch as Parquet in `folder`; each is gone when the next one is asked for. Its
 * library believes the lengths that a file tells, and ends the process over a false one: so it has one of its own.
 */
export async function* arrowParquet(
  where: string,
  bytes: AsyncIterable<Buffer>,
  folder: string,
): AsyncGenerator<string> {
  const script = fileURLToPath(moduleBeside(import.meta.url, 'arrowProcess'))
  const child = spawn(process.execPath, [`--max-old-space-size=${HEAP}`, script, folder], {
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const ended = once(child, 'close') as Promise<[number | null]>
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-400)
  })
  let broken: unknown
  const fed = pipeline(bytes, child.stdin).catch(error => {
    // A child that has stopped reads no more: what it says counts. What the source says comes first.
    if (error instanceof EngineError) broken = error
    child.stdin.destroy()
  })
  try {
    for await (const path of createInterface(child.stdout)) {
      yield path
      rmSync(path, { force: true })
    }
    await fed
    const [code] = await ended
    if (broken) throw broken
    if (code !== 0)
      throw badFile(
        where,
        `is not readable Arrow IPC: ${said.trim().split('\n').at(-1) || 'its lengths are false'}`,
      )
  } finally {
    child.kill('SIGKILL')
  }
}
