import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream, createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { EngineError } from '../../engine/errors.ts'
import { unpack } from '../formats/compression.ts'

/** SHA-256 (hex) of a file. */
export async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(file, { highWaterMark: 2 ** 20 })) hash.update(chunk)
  return hash.digest('hex')
}

/** Packs a file by the system's bzip2, which takes its place; gives its path. Fails with CONFIG_INVALID where there is none. */
export async function bzip2(file: string): Promise<string> {
  const child = spawn('bzip2', ['--force', file], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  let code: number | null
  try {
    ;[code] = (await once(child, 'close')) as [number | null]
  } catch (cause) {
    throw new EngineError('CONFIG_INVALID', 'archive.compression: bzip2 is not installed', {
      cause,
      hint: 'Install it (Debian: apt install bzip2), or take zstd, which is smaller and faster.',
    })
  }
  if (code !== 0) throw new EngineError('RESOURCE_EXHAUSTED', `${file}: bzip2 failed: ${said.trim()}`)
  return `${file}.bz2`
}

/** Unpacks what {@link bzip2} has made. */
export async function bunzip2(file: string, to: string): Promise<void> {
  const bytes = createReadStream(file, { highWaterMark: 2 ** 20 })
  const limits = { most: Number.MAX_SAFE_INTEGER, ratio: Number.MAX_SAFE_INTEGER }
  await pipeline(unpack(file, bytes, 'bzip2', limits), createWriteStream(to))
}
