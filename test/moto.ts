import { join } from 'node:path'
import { pythonWith } from './python.ts'

const VERSION = '5.2.5'

/** Path of moto's server. */
export function ensureMoto(): string {
  return join(pythonWith('moto', VERSION, `moto[server,s3]==${VERSION}`), 'moto_server')
}
