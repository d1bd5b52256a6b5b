import assert from 'node:assert/strict'
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { EngineError } from '../../engine/errors.ts'
import type { Metadata } from '../../src/metadata/metadata.ts'
import { setPools } from '../../src/metadata/pools.ts'
import { forgetRun } from '../../src/metadata/retention.ts'
import { Cron } from '../../src/schedule/cron.ts'
import { intervalsBetween } from '../../src/schedule/due.ts'
import { backfill } from '../../src/service/backfill.ts'
import { FileWatch } from '../../src/service/files.ts'
import { overBoth } from '../metadata/stores.ts'
import { job } from './nights.ts'
import { daily, nights, start } from './pretended.ts'

/** A run of `j` that somebody has started, and that succeeds; gives the intervals that it settles. */
async function runByHand(metadata: Metadata, runAt: string): Promise<string[]> {
  const { run, fence } = await metadata.startRun({
    run: 'hand',
    job: 'j',
    spec_hash: '',
    owner: 'me',
    run_at: runAt,
  })
  const nothing = { records: 0, seconds: 0, syncPoints: [], error: undefined }
  return metadata.endRun({ ...nothing, run, fence, job: 'j', status: 'SUCCESS', runAt })
}

overBoth(fresh => {
  test('catch-up runs one after another, as many at once as are allowed', async () => {
    const { runner, tick, states } = await nights(fresh(), [
      job('j', { cron: daily(), start, maxActiveRuns: 2 }),
    ])
    await tick()
    assert.deepEqual(runner.begun, ['j 01', 'j 02'])
    assert.deepEqual(await states('j'), ['01 RUNNING', '02 RUNNING', '03 WAITING'])
    await runner.end('j 02', 'COMPLETED_WITH_ERRORS')
    await tick()
    assert.deepEqual(runner.begun, ['j 01', 'j 02', 'j 03'])
    await runner.end('j 01')
    await runner.end('j 03', 'FAILED', new EngineError('DATA_INVALID', 'bad'))
    await tick()
    assert.deepEqual(await states('j'), ['01 SUCCESS', '02 COMPLETED_WITH_ERRORS', '03 FAILED'])
    assert.equal(runner.begun.length, 3, 'what has failed is not begun again')
  })

  test('depends_on_past: nothing after a failure until a backfill has mended it', async () => {
    const j = job('j', { cron: daily(), start, dependsOnPast: true, maxActiveRuns: 2 })
    const { metadata, runner, tick, states } = await nights(fresh(), [j])
    await tick()
    assert.deepEqual(runner.begun, ['j 01'], 'the next waits for its end')
    await runner.end('j 01', 'FAILED', new Error('no'))
    await tick()
    assert.deepEqual(await states('j'), ['01 FAILED', '02 WAITING', '03 WAITING'])
    const notes: string[] = []
    const mended = backfill({
      metadata,
      job: j,
      intervals: intervalsBetween(
        j.cron!,
        start,
        new Date('2026-03-02T02:00Z'),
        new Date('2026-03-04T02:00Z'),
      ),
      parallel: 1,
      again: false,
      runner,
      signal: new AbortController().signal,
      note: ({ start }, what) => notes.push(`${start.toISOString().slice(8, 10)} ${what}`),
      pause: 10,
    })
    await runner.until('j 01')
    await runner.end('j 01')
    await runner.until('j 02')
    await runner.end('j 02')
    assert.equal(await mended, 0)
    assert.deepEqual(notes, ['01 SUCCESS', '02 SUCCESS'])
    await tick()
    assert.deepEqual(runner.begun, ['j 01', 'j 01', 'j 02', 'j 03'])
    const [last] = await metadata.runs(1)
    assert.equal(last!.trigger, 'schedule')
  })

  test('slots and pools bound the runs of all jobs; priority goes first', async () => {
    const jobs = [
      job('a', { cron: daily(), catchup: false, pools: ['db'] }),
      job('b', { cron: daily(), catchup: false, pools: ['db'], priority: 2 }),
      job('c', { cron: daily(), catchup: false, priority: -1 }),
      job('d', { cron: daily(), catchup: false }),
    ]
    const { metadata, runner, tick, one } = await nights(fresh(), jobs, { slots: 2 })
    await setPools(metadata.database, new Map([['db', 1]]))
    await tick()
    assert.deepEqual(runner.begun, ['b 03', 'd 03'], 'a waits for the pool, c for a slot')
    assert.equal(one.facts.waiting, 4)
    await runner.end('d 03')
    await tick()
    assert.deepEqual(runner.begun.slice(2), ['c 03'])
    await runner.end('b 03')
    await tick()
    assert.deepEqual(runner.begun.slice(3), ['a 03'])
  })

  test('a run that somebody started by hand takes the place of a scheduled one until it ends', async () => {
    const { metadata, runner, tick } = await nights(fresh(), [job('j', { cron: daily(), catchup: false })])
    const hand = await metadata.startRun({ run: 'hand', job: 'j', run_at: '', spec_hash: '', owner: 'x:1:' })
    await tick()
    assert.deepEqual(runner.begun, [])
    const nothing = { records: 0, seconds: 0, error: undefined, syncPoints: [], runAt: '' }
    await metadata.endRun({ ...nothing, run: 'hand', fence: hand.fence, job: 'j', status: 'SUCCESS' })
    await tick()
    assert.deepEqual(runner.begun, ['j 03'])
  })

  test('a job waits for the data of others, or follows them night by night', async () => {
    const jobs = [
      job('load', { cron: daily(), start, maxActiveRuns: 3 }),
      job('report', { cron: daily(), start, after: ['load'], maxActiveRuns: 3 }),
      job('week', { cron: new Cron('0 2 4 * *', 'UTC'), catchup: false, after: ['load'] }),
      job('follows', { after: ['load'], start, maxActiveRuns: 3 }),
    ]
    const { runner, tick, states, clock } = await nights(fresh(), jobs)
    await tick()
    assert.deepEqual(runner.begun, ['load 01', 'load 02', 'load 03'])
    await runner.end('load 01', 'FAILED', new Error('no'))
    await runner.end('load 02')
    await tick()
    assert.deepEqual(runner.begun.slice(3), ['follows 02', 'report 02'])
    assert.deepEqual(await states('report'), ['01 WAITING', '02 RUNNING', '03 WAITING'])
    await runner.end('load 03')
    await tick()
    assert.deepEqual(runner.begun.slice(5), ['follows 03', 'report 03'], 'a month needs all its nights')
    clock.move(24 * 3_600_000)
    await tick()
    assert.deepEqual(runner.begun.slice(7), ['load 04'])
  })

  test('a follower runs no night again whose run was forgotten', async () => {
    const jobs = [
      job('load', { cron: daily(), start, maxActiveRuns: 3 }),
      job('follows', { after: ['load'], start }),
      job('latest', { after: ['load'], catchup: false }),
    ]
    const { runner, tick, metadata, scheduler, one } = await nights(fresh(), jobs)
    await tick()
    for (const n of ['01', '02', '03']) await runner.end(`load ${n}`)
    await tick()
    await runner.end('latest 03')
    for (const n of ['01', '02', '03']) {
      await tick()
      await runner.end(`follows ${n}`)
    }
    const begun = runner.begun.length
    for (const { run } of await metadata.runs(99)) await forgetRun(metadata.database, run)
    await one.stop()
    await tick(scheduler('there:2:'))
    assert.deepEqual(runner.begun.slice(begun), [])
  })

  test('a follower also gets the night that succeeds late', async () => {
    const load = job('load', { cron: daily(), start, maxActiveRuns: 3 })
    const { runner, tick, metadata, states } = await nights(fresh(), [
      load,
      job('follows', { after: ['load'], start }),
    ])
    await tick()
    await runner.end('load 01', 'FAILED', new Error('no'))
    await runner.end('load 02')
    await runner.end('load 03')
    await tick()
    await runner.end('follows 02')
    const failed = (await metadata.intervals.find('load', '2026-03-01T02:00:00.000Z'))!
    const [claim] = await metadata.intervals.take([failed])
    void runner.start({ job: load, claim: claim!, end: failed.interval_end, trigger: 'backfill' })
    await runner.until('load 01')
    await runner.end('load 01')
    await tick()
    assert.deepEqual(await states('follows'), ['01 RUNNING', '02 SUCCESS', '03 WAITING'])
  })

  test('what is paused starts nothing, and catches up when it goes on', async () => {
    const jobs = [job('j', { cron: daily(), start, maxActiveRuns: 9, pools: ['db'] })]
    const { metadata, runner, tick, states, clock } = await nights(fresh(), jobs)
    assert.equal(await metadata.pauses.pause('job', 'j', 'me'), true)
    assert.equal(await metadata.pauses.pause('job', 'j', 'you'), false)
    await tick()
    assert.deepEqual(await states('j'), [])
    clock.move(24 * 3_600_000)
    assert.equal(await metadata.pauses.unpause('job', 'j'), true)
    await metadata.pauses.pause('pool', 'db', 'me')
    await tick()
    assert.deepEqual(await states('j'), ['01 WAITING', '02 WAITING', '03 WAITING', '04 WAITING'])
    await metadata.pauses.unpause('pool', 'db')
    await tick()
    assert.equal(runner.begun.length, 4)
  })

  test('files that have arrived start a run, once they are whole', async () => {
    const place = fresh()
    const folder = join(place.home, 'drops')
    mkdirSync(folder, { recursive: true })
    const files = { from: 'drops', folder, match: '*.csv' }
    const jobs = [job('j', { files })]
    const { metadata, runner, tick, states, clock } = await nights(place, jobs)
    const watch = new FileWatch(metadata.triggers)
    const look = async () => {
      await watch.look(jobs)
      assert.deepEqual([...watch.unseen], [])
    }
    writeFileSync(join(folder, 'a.csv'), 'half')
    writeFileSync(join(folder, 'other.txt'), '')
    await look()
    writeFileSync(join(folder, 'a.csv'), 'whole now')
    await look()
    await tick()
    assert.deepEqual(runner.begun, [], 'it was still growing')
    await look()
    await tick()
    await tick()
    assert.deepEqual(await states('j'), ['04 RUNNING'])
    const [run] = await metadata.runs(1)
    assert.equal(run!.trigger, 'event')
    await runner.end('j 04')
    await look()
    // A scheduler that begins anew sees the same files.
    await new FileWatch(metadata.triggers).look(jobs)
    clock.move(1000)
    await tick()
    assert.equal(runner.begun.length, 1)
    utimesSync(join(folder, 'a.csv'), 1, 1)
    writeFileSync(join(folder, 'b.csv'), 'b')
    await look()
    await look()
    await tick()
    assert.equal(runner.begun.length, 2, 'two files, one run')
  })

  test('a run that could not begin leaves its interval waiting, whatever kept it', async () => {
    const { runner, tick, states } = await nights(fresh(), [
      job('busy', { cron: daily(), catchup: false }),
      job('wrong', { cron: daily(), catchup: false }),
    ])
    runner.refused.set('busy 03', 75).set('wrong 03', 2)
    await tick()
    assert.deepEqual([await states('busy'), await states('wrong')], [['03 WAITING'], ['03 WAITING']])
  })

  test('what waits says for what and since when; a blocked schedule is told, and freed by a run by hand', async () => {
    const told: string[] = []
    const j = job('j', { cron: daily(), start, dependsOnPast: true })
    const { metadata, runner, tick, wall, states, one } = await nights(fresh(), [j], {
      alerts: {
        blocked: async ({ name }, { failed, waiting }) => void told.push(`${name} ${failed} ${waiting}`),
      },
    })
    await tick()
    await runner.end('j 01', 'FAILED', new Error('no'))
    await tick()
    assert.deepEqual(told, ['j 2026-03-01T02:00:00.000Z 2'])
    assert.equal(one.facts.blocked.get('j')?.since, '2026-03-03T02:00:00.000Z')
    const waits = (await metadata.intervals.list('j', 9)).map(({ waits_for }) => waits_for)
    assert.deepEqual(waits, [
      'the intervals before it, from 2026-03-02T02:00:00.000Z on',
      'the interval before it, 2026-03-01T02:00:00.000Z, is FAILED',
      null,
    ])
    const since = (await metadata.intervals.list('j', 1))[0]!.waits_since
    wall.move(60_000)
    await tick()
    assert.equal((await metadata.intervals.list('j', 1))[0]!.waits_since, since)
    const settled = await runByHand(metadata, wall.now().toISOString())
    assert.deepEqual(settled, ['2026-03-01T02:00:00.000Z'])
    await tick()
    assert.deepEqual(await states('j'), ['01 SUCCESS', '02 RUNNING', '03 WAITING'])
    assert.equal(one.facts.blocked.size, 0)
  })

  test('a run by hand for an earlier time does not settle what failed later', async () => {
    const { metadata, runner, tick, states } = await nights(fresh(), [
      job('j', { cron: daily(), catchup: false }),
    ])
    await tick()
    await runner.end('j 03', 'FAILED', new Error('no'))
    assert.deepEqual(await runByHand(metadata, '2026-03-04T01:00:00.000Z'), [])
    assert.deepEqual(await states('j'), ['03 FAILED'])
  })

  test('a run that is resumed settles its interval, also where a later run of that has failed', async () => {
    const { runner, tick, states, metadata } = await nights(fresh(), [
      job('j', { cron: daily(), catchup: false }),
    ])
    await tick()
    const early = runner.active.get('j 03')!.run
    await runner.end('j 03', 'FAILED', new EngineError('DATA_INVALID', 'bad'))
    const again = backfill({
      metadata,
      job: job('j', { cron: daily() }),
      intervals: intervalsBetween(
        daily(),
        new Date('2026-03-03'),
        new Date('2026-03-04'),
        new Date('2026-03-04T10:00Z'),
      ),
      parallel: 1,
      again: false,
      runner,
      signal: new AbortController().signal,
      note: () => {},
    })
    await runner.until('j 03')
    await runner.end('j 03', 'FAILED', new EngineError('DATA_INVALID', 'bad'))
    assert.equal(await again, 4)
    const resumed = (await metadata.reopen((await metadata.run(early))!, 'me'))!
    const nothing = { records: 0, seconds: 0, syncPoints: [], error: undefined }
    const { run, fence, run_at: runAt } = resumed
    await metadata.endRun({ ...nothing, run, fence, job: 'j', status: 'SUCCESS', runAt })
    assert.deepEqual(await states('j'), ['03 SUCCESS'])
    assert.equal((await metadata.intervals.list('j', 1))[0]!.run, early)
  })

  test('a job that cannot be used is planned, and not run', async () => {
    const { runner, tick, states, known } = await nights(fresh(), [
      job('j', { cron: daily(), catchup: false, broken: 'job.yaml:3: no' }),
    ])
    await tick()
    assert.deepEqual([runner.begun, await states('j')], [[], ['03 WAITING']])
    known.set('j', job('j', { cron: daily(), catchup: false }))
    await tick()
    assert.deepEqual(runner.begun, ['j 03'])
  })
})
