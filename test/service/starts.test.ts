import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EngineError } from '../../engine/errors.ts'
import { backfill } from '../../src/service/backfill.ts'
import type { ScheduledJob } from '../../src/service/job.ts'
import type { FailedStarts } from '../../src/service/starts.ts'
import { overBoth } from '../metadata/stores.ts'
import { job } from './nights.ts'
import { daily, nights } from './pretended.ts'

const night = { start: new Date('2026-03-03T02:00Z'), end: new Date('2026-03-04T02:00Z') }

overBoth(fresh => {
  test('a run that was left behind is not continued at once again and again, nor while its job is paused or broken', async () => {
    const j = job('j', { cron: daily(), catchup: false })
    const { metadata, runner, tick, wall, scheduler, known, states } = await nights(
      fresh(),
      [j, job('k', { cron: daily(), catchup: false, priority: -1 })],
      { slots: 1 },
    )
    await tick()
    wall.move(31_000)
    const two = scheduler('there:2:')
    // Its process ends before it has the run.
    runner.refused.set('j 03', null)
    for (const [wait, tries] of [
      [0, 1],
      [1_000, 1],
      [5_000, 2],
    ] as const) {
      wall.move(wait)
      await tick(two)
      assert.equal(runner.tries, tries, `after ${wait}`)
    }
    assert.deepEqual(runner.begun, ['j 03'], 'it keeps its slot')
    wall.move(5_000)
    await metadata.pauses.pause('job', 'j', 'me')
    await tick(two)
    assert.deepEqual([runner.tries, runner.begun], [2, ['j 03', 'k 03']], 'its slot is free')
    await metadata.pauses.unpause('job', 'j')
    known.set('j', { ...j, broken: 'job.yaml:3: no' })
    await tick(two)
    assert.equal(runner.tries, 2)
    known.set('j', j)
    await tick(two)
    assert.deepEqual([runner.tries, await states('j')], [3, ['03 RUNNING']])
    runner.stop()
  })

  test('a run whose start leads to nothing is tried again, and a person is told until it begins', async () => {
    for (const refused of [new Error('spawn ENOENT'), 2, null]) {
      const told: string[] = []
      const stuck = async ({ name }: ScheduledJob, { start, reason }: FailedStarts) =>
        void told.push(`${name} ${start} ${reason}`)
      const { metadata, runner, tick, wall, states, one } = await nights(
        fresh(),
        [job('j', { cron: daily(), catchup: false })],
        { alerts: { stuck } },
      )
      runner.refused.set('j 03', refused)
      for (let minute = 0; minute < 4; minute++) {
        assert.deepEqual([told, one.facts.stuck], [[], []])
        await tick()
        assert.deepEqual([runner.tries, await states('j')], [minute + 1, ['03 WAITING']])
        wall.move(60_000)
      }
      await metadata.pauses.pause('job', 'j', 'me')
      await tick()
      assert.deepEqual(one.facts.stuck, [], 'nobody expects it')
      await metadata.pauses.unpause('job', 'j')
      await tick()
      const why =
        refused === 2 ? 'its process ended with code 2' : refused ? 'spawn ENOENT' : 'its process was killed'
      assert.deepEqual([...new Set(told)], [`j 2026-03-03T02:00:00.000Z ${why}`])
      assert.deepEqual(
        one.facts.stuck.map(({ count }) => count),
        [4],
      )
      runner.refused.clear()
      wall.move(60_000)
      await tick()
      await runner.end('j 03')
      await tick()
      assert.deepEqual([one.facts.stuck, await states('j')], [[], ['03 SUCCESS']])
    }
  })

  test('a backfill whose process cannot be started gives its interval back', async () => {
    const j = job('j', { cron: daily(), catchup: false })
    const { metadata, runner, states } = await nights(fresh(), [j])
    runner.refused.set('j 03', new Error('spawn ENOENT'))
    const failed = backfill({
      metadata,
      job: j,
      intervals: [night],
      parallel: 1,
      again: false,
      runner,
      signal: new AbortController().signal,
      note: () => {},
    })
    await assert.rejects(failed, /spawn ENOENT/)
    assert.deepEqual(await states('j'), ['03 WAITING'])
  })

  test('a failed run that somebody resumes takes the place of a scheduled one', async () => {
    const j = job('j', { cron: daily(), catchup: false })
    const { metadata, runner, tick, clock } = await nights(fresh(), [j])
    await tick()
    const { run } = runner.active.get('j 03')!
    await runner.end('j 03', 'FAILED', new EngineError('DATA_INVALID', 'bad'))
    await metadata.reopen((await metadata.run(run))!, 'elsewhere:1:')
    clock.move(24 * 3_600_000)
    await tick()
    assert.deepEqual(runner.begun, ['j 03'])
  })
})
