import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { test } from 'node:test'

const SIGNALS = new URL('../../src/cli/signals.ts', import.meta.url).href

/** A process that says what it is sent and what is asked of it, and closes once standard input ends. */
const PROGRAM = `
import { once } from 'node:events'
import { stoppable } from '${SIGNALS}'
const work = setInterval(() => {}, 1000)
process.on('SIGTERM', () => console.log('signal'))
process.exitCode = await stoppable(async ({ stop, signal }) => {
  console.log('ready')
  await once(stop, 'abort')
  console.log('stop')
  await once(signal, 'abort')
  console.log('now')
  process.stdin.resume()
  await once(process.stdin, 'end')
  console.log('closed')
  clearInterval(work)
  return 7
})
`

function begun() {
  const child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM])
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  let err = ''
  child.stderr.on('data', data => {
    err += data
  })
  return {
    child,
    says: async (word: string) => assert.equal((await lines.next()).value, word, err),
    ended: once(child, 'close'),
    err: () => err,
  }
}

test('a second signal after the patience for the first is over lets the end be written, a third ends the process, and says so', async () => {
  const [waits, ends] = [begun(), begun()]
  for (const { child, says } of [waits, ends]) {
    await says('ready')
    child.kill('SIGTERM')
    await says('signal')
    await says('stop')
  }
  ends.child.kill('SIGTERM')
  await ends.says('signal')
  await ends.says('now')
  ends.child.kill('SIGTERM')
  assert.deepEqual(await ends.ended, [130, null])
  assert.match(ends.err(), /Ended before it was closed/)

  // Not asked for: five seconds have passed.
  await waits.says('now')
  waits.child.kill('SIGTERM')
  await waits.says('signal')
  waits.child.stdin.end()
  await waits.says('closed')
  assert.deepEqual(await waits.ended, [7, null], waits.err())
})
