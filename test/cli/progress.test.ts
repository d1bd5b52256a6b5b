import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import { formatSpan, Meter } from '../../src/cli/meter.ts'
import { isTerminal } from '../../src/cli/output.ts'
import { createProgress } from '../../src/cli/progress.ts'

function setup(t: TestContext, json: boolean, isTTY: boolean) {
  t.mock.timers.enable({ apis: ['setInterval', 'Date'], now: 0 })
  const written: string[] = []
  const stream = { columns: 60, write: (text: string) => written.push(text) }
  return { written, progress: createProgress({ stream, json, isTTY }) }
}

test('a line every ten seconds in a pipe, one for what goes on for half a second, and one for what took ten', t => {
  const { written, progress } = setup(t, false, false)
  progress.task('quick')
  progress.done('quick')
  progress.task('members', 40_000)
  t.mock.timers.tick(5000)
  progress.advance('members', 10_000)
  t.mock.timers.tick(5000)
  progress.advance('members', 10_000)
  for (const name of ['a', 'b', 'c']) progress.task(name)
  progress.note('hello')
  t.mock.timers.tick(10_000)
  progress.done('members', '3 in quarantine')
  progress.close()
  progress.note('late')
  assert.deepEqual(written, [
    'members: started\n',
    '10s, 1 task done; members: 10,000 of ~40,000 rows, 2,000 rows/s, 15s left\n',
    'hello\n',
    'a: started\n',
    'b: started\n',
    'c: started\n',
    '20s, 1 task done; members: 20,000 of ~40,000 rows, 2,000 rows/s, 10s left; a; b; 1 more\n',
    'members: done, 20,000 rows in 20s, 1,000 rows/s, 3 in quarantine\n',
  ])
})

test('the live block on a terminal is redrawn, never wrapped, never higher than it, and gone at the end', t => {
  const { written, progress } = setup(t, false, true)
  progress.task('a')
  progress.task('b'.repeat(100))
  t.mock.timers.tick(100)
  assert.ok(written.at(-1)?.startsWith('\x1b[3A\x1b[0J0 tasks done, 2 running, 0.1s\n  a\n'))
  for (const line of written.join('').split('\n')) assert.ok(stripVTControlCharacters(line).length < 60)
  progress.done('a')
  assert.equal(written.at(-1), `\x1b[3A\x1b[0J1 task done, 1 running, 0.1s\n  ${'b'.repeat(57)}\n`)
  for (let n = 0; n < 50; n++) progress.task(`t${n}`)
  assert.equal(written.at(-1)!.split('\n').length, 24)
  progress.close()
  assert.equal(written.at(-1), '\x1b[23A\x1b[0J')
})

test('a terminal without a size is taken for one of 80 columns; a dumb one is no terminal', t => {
  t.mock.timers.enable({ apis: ['setInterval', 'Date'], now: 0 })
  const written: string[] = []
  const stream = { columns: 0, rows: 0, write: (text: string) => written.push(text) }
  const progress = createProgress({ stream, json: false, isTTY: true })
  for (const name of ['a', 'b']) progress.task(name)
  assert.equal(stripVTControlCharacters(written.at(-1)!), '0 tasks done, 2 running, 0.0s\n  a\n  b\n')
  progress.close()
  const term = process.env.TERM
  try {
    for (const [name, able] of [
      ['dumb', false],
      ['xterm', true],
    ] as const) {
      process.env.TERM = name
      assert.equal(isTerminal({ isTTY: true }), able)
    }
    assert.equal(isTerminal({}), false)
  } finally {
    if (term === undefined) delete process.env.TERM
    else process.env.TERM = term
  }
})

test('events', t => {
  const { written, progress } = setup(t, true, true)
  progress.task('m', 10)
  progress.advance('m', 5)
  t.mock.timers.tick(1000)
  progress.done('m')
  progress.close()
  assert.deepEqual(
    written.map(line => JSON.parse(line)),
    [
      { event: 'started', time: '1970-01-01T00:00:00.000Z', task: 'm', total: 10 },
      { event: 'progress', time: '1970-01-01T00:00:01.000Z', task: 'm', rows: 5, total: 10 },
      { event: 'done', time: '1970-01-01T00:00:01.000Z', task: 'm', rows: 5, ms: 1000 },
    ],
  )
})

test('the rate is smoothed', () => {
  const meter = new Meter(0, 10_000)
  meter.add(1000, 1000)
  assert.equal(meter.rate, 1000)
  assert.equal(meter.left, 9000)
  meter.add(0, 2000)
  assert.ok((meter.rate ?? 0) > 800 && (meter.rate ?? 0) < 1000)
})

test('spans', () => {
  for (const [ms, text] of [
    [400, '0.4s'],
    [12_000, '12s'],
    [185_000, '3m 05s'],
    [7_440_000, '2h 04m'],
  ] as const)
    assert.equal(formatSpan(ms), text)
})
