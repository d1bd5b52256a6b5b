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

/** A body's text, in the charset that its content type names, or UTF-8. Fails with RESPONSE_INVALID where it is in another. */
export function textOf(bytes: Buffer, type: string, where: string): string {
  const charset = /;\s*charset\s*=\s*"?([^";\s]+)/i.exec(type)?.[1] ?? 'utf-8'
  try {
    // To a browser latin1 is windows-1252; here it is what it says.
    if (/^(iso-8859-1|latin-?1)$/i.test(charset)) return bytes.toString('latin1')
    return new TextDecoder(charset, { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new EngineError('RESPONSE_INVALID', `${where}: the answer is not in ${charset} (${type})`, {
      cause,
      hint: 'JSON is sent as UTF-8, or its charset is named in Content-Type: ask who runs the API.',
    })
  }
}
