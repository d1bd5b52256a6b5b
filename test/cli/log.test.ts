import assert from 'node:assert/strict'
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createLog } from '../../src/cli/log.ts'
import { Children } from '../../src/service/children.ts'
import type { Assignment } from '../../src/service/runner.ts'

const LONG = 33 * 1024 ** 2

function folder(t: { after(act: () => void): void }) {
  const home = mkdtempSync(join(tmpdir(), 'nightfreight-log-'))
  t.after(() => rmSync(home, { recursive: true }))
  return {
    home,
    file: join(home, 'nightfreight.log'),
    logs: () => readdirSync(home).filter(name => name.startsWith('nightfreight.log')),
  }
}

test('a log that has grown long is put aside by whoever writes to it, of several processes too, and loses no line', async t => {
  const { home, file, logs } = folder(t)
  const [one, other] = [createLog({ folder: home }), createLog({ folder: home })]
  let lines = 0
  const write = (log: typeof one) => {
    for (let n = 0; n < 20; n++) log.info({ n: lines++, text: 'x'.repeat(4000) }, 'line')
  }
  for (let turn = 0; turn < 3; turn++) {
    truncateSync(file, LONG)
    write(one)
    // It writes to the one that was put aside, until it looks.
    write(other)
    write(other)
    assert.equal(logs().length, turn + 2)
  }
  const now = statSync(file).ino
  createLog({ folder: home }).info('last')
  assert.equal(statSync(file).ino, now)
  const text = logs().map(name => {
    const bytes = readFileSync(join(home, name))
    // Between them stands nothing.
    return Buffer.concat([bytes.subarray(0, 1024 ** 2), bytes.subarray(LONG)]).toString('latin1')
  })
  const found = text.flatMap(each => [...each.matchAll(/"n":(\d+)/g)].map(([, n]) => Number(n)))
  assert.deepEqual(
    found.sort((a, b) => a - b),
    Array.from({ length: lines }, (_, n) => n),
  )
  for (const name of logs()) assert.equal(statSync(join(home, name)).mode & 0o077, 0)
})

test('of logs that were put aside the newest five stay', t => {
  const { home, file, logs } = folder(t)
  for (let turn = 0; turn < 8; turn++) {
    writeFileSync(file, `${turn}`)
    truncateSync(file, LONG)
    createLog({ folder: home })
  }
  const kept = logs().map(name => readFileSync(join(home, name), 'latin1').slice(0, 1))
  assert.deepEqual(kept.sort(), ['', '3', '4', '5', '6', '7'])
})

test('what runs of a service say is put aside, too', async t => {
  const { home } = folder(t)
  writeFileSync(join(home, 'runs.log'), '')
  truncateSync(join(home, 'runs.log'), LONG)
  const children = new Children([process.execPath, '-e', 'console.log("said")'], home)
  const assignment = { job: { folder: home }, claim: { job: 'j', start: '', fence: 1 }, end: '' }
  await children.start({ ...assignment, trigger: 'schedule' } as unknown as Assignment)
  assert.equal(readFileSync(join(home, 'runs.log'), 'utf8'), 'said\n')
  assert.equal(readdirSync(home).length, 2)
})
