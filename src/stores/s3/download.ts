import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { EngineError } from '../../../engine/errors.ts'
import { counted } from '../../../engine/plural.ts'
import type { S3Client, S3Object } from './client.ts'

/** How often a body may break before the download fails. */
const TRIES = 5

/**
 * Writes an object to a file of this machine, which is there whole or not at all; false where there is no such object,
 * or where it goes while it is read. A body that breaks is taken up where it broke.
 */
export async function download(client: S3Client, key: string, file: string): Promise<boolean> {
  const object = await client.head(key)
  if (!object) return false
  const temporary = `${file}.${randomUUID()}.tmp`
  try {
    await pipeline(body(client, object), createWriteStream(temporary))
    await rename(temporary, file)
    return true
  } catch (error) {
    await rm(temporary, { force: true })
    if (error instanceof EngineError && error.code === 'TABLE_MISSING') return false
    throw error
  }
}

/** An object's bytes, while it is what the listing says. */
export async function* body(client: S3Client, { key, size, etag }: S3Object): AsyncGenerator<Buffer> {
  let at = 0
  for (let broken = 0; at < size; ) {
    try {
      for await (const chunk of await client.read(key, { from: at, to: size }, etag)) {
        at += (chunk as Buffer).length
        yield chunk as Buffer
      }
      if (at < size)
        throw new EngineError('CONNECTION_LOST', `${key}: ends after ${at} of ${counted(size, 'byte')}`)
    } catch (error) {
      if (!(error instanceof EngineError) || !error.retryable || ++broken === TRIES) throw error
    }
  }
}
