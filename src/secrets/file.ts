import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { resolve } from 'node:path'
import { EngineError } from '../../engine/errors.ts'
import type { SecretProvider } from './provider.ts'

/** A file's text, without the line end that editors leave. */
export const file: SecretProvider = {
  scheme: 'file',
  shape: '/run/secrets/name',
  async read(address, { folder }) {
    const path = resolve(folder, address.replace(/^~(?=\/)/, homedir()))
    try {
      return (await readFile(path, 'utf8')).replace(/\r?\n$/, '')
    } catch (cause) {
      throw new EngineError(
        'CONFIG_INVALID',
        `${path} cannot be read (${(cause as NodeJS.ErrnoException).code})`,
        { cause },
      )
    }
  },
}
