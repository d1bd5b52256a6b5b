import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Place } from './stores.ts'

const root = join(import.meta.dirname, '../..')

/** A process at work on the store; `line` gives its next line of output. */
export function worker(
  { home, url }: Place,
  action: string,
): { child: ChildProcess; line(): Promise<string> } {
  const child = spawn(process.execPath, ['test/metadata/worker.ts', action], {
    cwd: root,
    env: { ...process.env, HOME_FOLDER: home, METADATA_URL: url ?? '' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
  return {
    child,
    async line() {
      const { done, value } = await lines.next()
      if (done) throw new Error(`the worker ended: ${await once(child, 'exit')}`)
      return value
    },
  }
}
