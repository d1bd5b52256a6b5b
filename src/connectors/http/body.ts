import type { Response } from 'undici'
import { EngineError } from '../../../engine/errors.ts'

/** A response's body, unpacked. Fails with RESPONSE_INVALID where it is over `most` bytes. */
export async function bodyOf(response: Response, most: number, where: string): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.length
    if (size > most)
      throw new EngineError('RESPONSE_INVALID', `${where}: the answer is over ${most} bytes`, {
        hint: 'Ask for smaller pages with limit, or raise max_response of the connection.',
      })
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** The first `most` bytes of a body, as text for people. */
export async function startOf(response: Response, most: number): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    chunks.push(chunk)
    size += chunk.length
    if (size >= most) break
  }
  return Buffer.concat(chunks).toString('utf8', 0, most)
}

/** A body's text. Fails with RESPONSE_INVALID where it is not UTF-8. */
export function textOf(bytes: Buffer, where: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new EngineError('RESPONSE_INVALID', `${where}: the answer is not UTF-8`, { cause })
  }
}
