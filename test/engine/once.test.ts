import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import fc from 'fast-check'
import { EngineError } from '../../engine/errors.ts'
import type { RunContext } from '../../engine/runtime/context.ts'
import { pauseAfter } from '../../engine/runtime/retries.ts'
import { runTask } from '../../engine/runtime/task.ts'

const lost = new EngineError('CONNECTION_LOST', 'w: the server hung up')
const wrong = new EngineError('CONSTRAINT_VIOLATED', 'w.t: id 7 is there twice')

function context(spec: Partial<RunContext['spec']> = {}) {
  const events: string[] = []
  const stop = new AbortController()
  const now = new AbortController()
  const made = {
    spec: { job: 'j', retries: { limit: 2, delay: 20, maxDelay: 30 }, ...spec },
    clock: { now: () => new Date() },
    signal: now.signal,
    stop: stop.signal,
    progress: { note: (text: string) => events.push(text) },
    duck: {
      interruptOn(signal: AbortSignal) {
        const interrupt = () => events.push('interrupt')
        signal.addEventListener('abort', interrupt)
        return () => signal.removeEventListener('abort', interrupt)
      },
    },
    tasks: {
      output: async () => undefined,
      begin: async () => void events.push('begin'),
      commit: async () => void events.push('commit'),
      fail: async (_: string, error: EngineError, retryAt?: Date) =>
        void events.push(`fail ${error.code}${retryAt ? ', again' : ''}`),
    },
  } as unknown as RunContext
  return { made, events, stop, now }
}

test('a task that fails transiently is tried again up to the limit, any other is not', async () => {
  const { made, events } = context()
  let attempts = 0
  const twice = async () => {
    if (++attempts < 3) throw lost
    return attempts
  }
  assert.equal(await runTask(made, 'load.w', twice), 3)
  assert.deepEqual(
    events.filter(event => !event.includes('tried again in')),
    ['begin', 'fail CONNECTION_LOST, again', 'begin', 'fail CONNECTION_LOST, again', 'begin', 'commit'],
  )
  assert.match(events[2]!, /^load\.w: w: the server hung up; tried again in 0 s$/)
  for (const [error, times] of [
    [lost, 3],
    [wrong, 1],
  ] as const) {
    const { made, events } = context()
    await assert.rejects(
      runTask(made, 'model.t', () => Promise.reject(error)),
      error,
    )
    assert.equal(events.filter(event => event === 'begin').length, times)
    assert.equal(events.at(-1), `fail ${error.code}`)
  }
})

test('pauses double up to the longest, and are between half and all of it', () => {
  const policy = { limit: 10, delay: 1000, maxDelay: 60_000 }
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 10 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (attempt, random) => {
        const whole = Math.min(60_000, 1000 * 2 ** (attempt - 1))
        const pause = pauseAfter(lost, attempt, policy, random)!
        assert.ok(pause >= Math.floor(whole / 2) && pause <= whole)
      },
    ),
  )
  assert.equal(pauseAfter(lost, 11, policy), undefined)
  assert.equal(pauseAfter(wrong, 1, policy), undefined)
  assert.equal(pauseAfter(new Error('a bug'), 1, policy), undefined)
})

test('an attempt that takes too long is ended by its signal and fails with TIMEOUT', async () => {
  const { made, events } = context({ timeout: 30, retries: { limit: 1, delay: 1, maxDelay: 1 } })
  const slow = ({ signal }: RunContext) => delay(10_000, undefined, { signal })
  await assert.rejects(runTask(made, 'model.m', slow), {
    code: 'TIMEOUT',
    message: 'model.m: not done within 0 s',
  })
  assert.deepEqual(
    events.filter(event => !event.includes('tried again')),
    ['begin', 'interrupt', 'fail TIMEOUT, again', 'begin', 'interrupt', 'fail TIMEOUT'],
  )
})

test('stopped, no further task begins, also not after a pause', async () => {
  const { made, events, stop } = context({ retries: { limit: 5, delay: 5000, maxDelay: 5000 } })
  const failed = runTask(made, 'model.a', () => Promise.reject(lost))
  setTimeout(() => stop.abort(), 20)
  await assert.rejects(failed, { code: 'INTERRUPTED' })
  await assert.rejects(
    runTask(made, 'model.b', async () => 1),
    { code: 'INTERRUPTED', message: 'j: stopped on request, before model.b' },
  )
  assert.equal(events.filter(event => event === 'begin').length, 1)
})
