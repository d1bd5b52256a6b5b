import { execFile } from 'node:child_process'
import { EngineError } from '../../engine/errors.ts'
import type { SecretProvider } from './provider.ts'

const TIMEOUT_MS = 60_000

/** What a command prints, without the last line end. It runs in the job's folder, by /bin/sh. */
export const command: SecretProvider = {
  scheme: 'cmd',
  shape: 'pass show warehouse',
  verbatim: true,
  read(address, { env, folder }) {
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    const options = {
      cwd: folder,
      env,
      timeout: TIMEOUT_MS,
      maxBuffer: 1024 * 1024,
      encoding: 'utf8',
    } as const
    const child = execFile('/bin/sh', ['-c', address], options, (error, output) => {
      if (error) {
        const how = error.killed
          ? `did not end within ${TIMEOUT_MS / 1000} s`
          : `ended with ${error.code ?? error.signal}`
        reject(
          new EngineError('CONFIG_INVALID', `the command ${how}`, {
            hint: 'Run it by hand in the job’s folder.',
          }),
        )
      } else resolve(output.replace(/\r?\n$/, ''))
    })
    child.stdin?.end()
    return promise
  },
}
