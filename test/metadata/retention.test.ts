import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  forgetAlerts,
  forgetRun,
  forgetTriggers,
  type Kept,
  type LoadTask,
  retained,
} from '../../src/metadata/retention.ts'
import { stepLease } from '../../src/metadata/runs.ts'
import { overBoth, standing } from './stores.ts'

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

overBoth(fresh => {
  test('with a run go its steps, and what grows by the minute: intervals of events, and what logs told of', async () => {
    const clock = standing()
    const metadata = await fresh().open(clock)
    const { database, intervals, leases, triggers } = metadata
    const leader = (await leases.acquire('scheduler', 'me'))!
    const minute = (n: number) => new Date(Date.parse('2026-03-01T00:00Z') + n * 60_000)
    const ran = async (n: number, trigger: 'event' | 'schedule' | 'after') => {
      const [start, end] = [minute(n), minute(n + 1)]
      await intervals.plan([{ job: 'j', start, end }], leader)
      const [claim] = await intervals.take([(await intervals.find('j', start.toISOString()))!])
      const run = `r${n}`
      const given = { run, job: 'j', run_at: end.toISOString(), spec_hash: '', owner: 'me', trigger }
      const record = await metadata.startRun(
        { ...given, interval_start: start.toISOString(), interval_end: end.toISOString() },
        1,
        claim,
      )
      const nothing = { records: 0, seconds: 0, syncPoints: [], error: undefined }
      await metadata.endRun({
        ...nothing,
        run,
        fence: record.fence,
        job: 'j',
        status: 'SUCCESS',
        runAt: given.run_at,
      })
      await leases.acquire(stepLease(run, 'extract.a'), 'gone', 0)
    }
    await ran(0, 'event')
    await ran(1, 'schedule')
    await ran(2, 'after')
    await ran(3, 'event')
    await ran(10, 'event')
    // It is still to ask whether the other has succeeded.
    await intervals.plan([{ job: 'follower', start: minute(3), end: minute(4) }], leader)
    for (const [id, kind] of [
      ['t1', 'log'],
      ['t2', 'file'],
    ] as const)
      await triggers.add(id, 'k', kind, {})
    await intervals.planEvent({ job: 'k', start: minute(20), end: minute(21) }, leader)
    clock.move(1000)
    await triggers.add('t3', 'k', 'log', {})

    for (const run of ['r0', 'r1', 'r2', 'r3']) assert.equal(await forgetRun(database, run), true)
    await forgetTriggers(database, clock.now().toISOString())
    const names = async (sql: string) => (await database.all<{ name: string }>(sql)).map(({ name }) => name)
    assert.deepEqual(await names(`SELECT run AS name FROM intervals WHERE job = 'j' ORDER BY run`), [
      'r1',
      'r10',
      'r2',
      'r3',
    ])
    assert.deepEqual(
      await names(`SELECT name FROM leases WHERE name LIKE 'step/%' OR name LIKE 'run/%' ORDER BY name`),
      ['run/r10', 'step/r10/extract.a'],
    )
    assert.deepEqual(await names('SELECT id AS name FROM triggers ORDER BY id'), ['t2', 't3'])
  })
  test('alerts go whose causes were gone long ago, in all channels', async () => {
    const { database } = await fresh().open(standing())
    const add = (key: string, channel: string, state: string, sent: string | null, first = day(1)) =>
      database.run(
        `INSERT INTO alerts (key, channel, job, run, kind, severity, state, payload, times, first_at, sent_at)
         VALUES (:key, :channel, 'j', NULL, 'failure', 'HIGH', :state, '{}', 1, :first, :sent)`,
        { key, channel, state, first, sent },
      )
    await add('gone', 'log', 'resolved', day(2))
    await add('gone', 'mail', 'resolved', null)
    await add('gone lately', 'log', 'resolved', day(9))
    await add('open', 'log', 'sent', day(2))
    await add('not told', 'log', 'resolved', day(2))
    await add('not told', 'mail', 'failed', null)
    await add('told once more', 'log', 'resolved', day(2))
    await add('told once more', 'mail', 'resolved', day(9))
    await forgetAlerts(database, day(8))
    const left = await database.all<{ key: string }>('SELECT DISTINCT key FROM alerts ORDER BY key')
    assert.deepEqual(
      left.map(({ key }) => key),
      ['gone lately', 'not told', 'open', 'told once more'],
    )
  })
})
