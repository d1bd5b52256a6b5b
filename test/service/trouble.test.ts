import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EngineError } from '../../engine/errors.ts'
import { troublesOf } from '../../src/service/trouble.ts'
import { job } from './nights.ts'

test('what keeps runs from being begun is a line each; where nothing does, there is none', () => {
  const jobs = new Map([['j', job('j', {})]])
  const at = new Date('2026-03-04T02:00Z')
  const facts = { leads: false, waiting: 0, running: 0, blocked: new Map(), ahead: new Map() }
  const well = { ...facts, stuck: [], unserved: [] }
  assert.deepEqual(troublesOf({ jobs, failures: [] }, well, new Map()), [])
  assert.deepEqual(troublesOf({ jobs: new Map(), failures: [] }, well, new Map()), [
    'no job can be used: see the log',
  ])
  const lines = troublesOf(
    { jobs, failures: [{ name: 'bad', folder: '/bad', message: 'no' }] },
    {
      ...well,
      stuck: [{ job: 'j', start: '2026-03-03', count: 3, since: at, reason: 'spawn ENOENT' }],
      unserved: ['a', 'b', 'c', 'd', 'e', 'f'],
    },
    new Map([['k', new EngineError('CONNECTION_FAILED', 'gone')]]),
  )
  assert.deepEqual(lines, [
    'bad: its files cannot be used: see the log',
    'j: the run of 2026-03-03 does not begin, 3 starts since 2026-03-04T02:00:00.000Z: see the log and runs.log',
    'a, b, c, d, e and 1 more: the service that leads on this store serves other folders: see the log',
    'k: files that are to start it cannot be seen: see the log',
  ])
})
