import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'

/** Takes every file that the process may have open, asks a worker thread for something, gives them back, and asks again. */
const CROWDED = `
import { closeSync, openSync } from 'node:fs'
import { Workers } from ${JSON.stringify(join(import.meta.dirname, '../../engine/pool/pool.ts'))}
const workers = new Workers(1)
const ask = () => workers.offload('node:path', 'basename', '/there/it is', new AbortController().signal)
const files = []
try {
  for (;;) files.push(openSync('/dev/null'))
} catch {}
const asked = ask().catch(({ code, exitCode }) => code + ' ' + exitCode)
await new Promise(resolve => setTimeout(resolve, 500))
for (const file of files) closeSync(file)
console.log(await asked)
console.log(await ask())
await workers.close()
`

test('a thread that cannot start fails what was asked of it, and the next one starts', async () => {
  const shell = `ulimit -n 48; exec '${process.execPath}' --input-type=module-typescript -e "$0"`
  const { stdout } = await promisify(execFile)('sh', ['-c', shell, CROWDED], { timeout: 60_000 })
  assert.deepEqual(stdout.trim().split('\n'), ['RESOURCE_EXHAUSTED 75', 'it is'])
})
