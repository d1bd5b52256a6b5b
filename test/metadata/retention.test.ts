import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Kept, type LoadTask, retained } from '../../src/metadata/retention.ts'

/** Day `n` of a month. */
const day = (n: number) => `2026-03-${String(n).padStart(2, '0')}T00:00:00.000Z`
const run = (n: number, status: Kept['status'] = 'SUCCESS', checkpoints = 0): Kept => ({
  run: `r${n}`,
  job: 'j',
  status,
  started_at: day(n),
  ended_at: status === 'RUNNING' ? null : day(n),
  checkpoints,
})
const load = (n: number, status = 'SUCCESS', task = 'load.w', at = n): LoadTask => ({
  run: `r${n}`,
  job: 'j',
  task,
  status,
  started_at: day(at),
  ended_at: status === 'RUNNING' ? null : day(at),
})
const reasons = (runs: Kept[], loads: LoadTask[], points: string[] = []) =>
  Object.fromEntries(retained({ runs, loads, points }, day(20)))

test('the last commit of each target stays, and what came after it and may have committed', () => {
  const runs = [run(1), run(2, 'FAILED'), run(3), run(4, 'FAILED'), run(5, 'FAILED'), run(21)]
  const loads = [load(1, 'SUCCESS', 'load.other'), load(2, 'FAILED'), load(3), load(4, 'RUNNING')]
  assert.deepEqual(reasons(runs, loads), {
    r1: 'committed',
    r3: 'committed',
    r4: 'perhaps committed',
    r21: 'recent',
  })
})

test('without any commit, every run that began a load stays', () => {
  assert.deepEqual(reasons([run(1, 'FAILED'), run(2, 'FAILED')], [load(2, 'FAILED')]), {
    r2: 'perhaps committed',
  })
})

test('a running run stays however old it is; one that a sync point names, too', () => {
  assert.deepEqual(reasons([run(1, 'RUNNING'), run(2)], [], ['r2']), { r1: 'running', r2: 'sync point' })
})

test('a plan or a checkpoint stays until its job commits again', () => {
  const runs = [run(1, 'PLANNED'), run(2, 'FAILED', 2), run(3), run(4, 'PLANNED'), run(5, 'FAILED', 1)]
  assert.deepEqual(reasons(runs, [load(3)]), {
    r3: 'committed',
    r4: 'plan or checkpoint',
    r5: 'plan or checkpoint',
  })
})

test('a plan that was loaded late is the last commit', () => {
  assert.deepEqual(reasons([run(1), run(2)], [load(1, 'SUCCESS', 'load.w', 3), load(2)]), {
    r1: 'committed',
  })
})
