import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { EngineError } from '../../engine/errors.ts'
import type { Metadata } from '../../src/metadata/metadata.ts'
import type { RunRecord } from '../../src/metadata/runs.ts'
import { intervalsBetween } from '../../src/schedule/due.ts'
import { backfill } from '../../src/service/backfill.ts'
import type { ScheduledJob } from '../../src/service/job.ts'
import type { Runner } from '../../src/service/runner.ts'
import { overBoth } from '../metadata/stores.ts'
import { job } from './nights.ts'
import { daily, nights, start } from './pretended.ts'

/** Backfills the night of the 3rd; `start` stands for the process that runs it. */
async function backfillThird(metadata: Metadata, job: ScheduledJob, start: Runner['start']) {
  const notes: string[] = []
  const code = await backfill({
    metadata,
    job,
    intervals: [{ start: new Date('2026-03-03T02:00Z'), end: new Date('2026-03-04T02:00Z') }],
    parallel: 1,
    again: false,
    runner: { start, stop() {} },
    signal: new AbortController().signal,
    note: (_, what) => notes.push(what),
    pause: 10,
  })
  return { code, notes }
}

/** Ends a run with success. */
function succeed(metadata: Metadata, { run, fence, job, run_at: runAt }: RunRecord): Promise<string[]> {
  const nothing = { records: 0, seconds: 0, syncPoints: [], error: undefined }
  return metadata.endRun({ ...nothing, run, fence, job, status: 'SUCCESS', runAt })
}

overBoth(fresh => {
  test('the interval of a stopped run that somebody resumes is his: it is run by nobody else, and not again', async () => {
    const j = job('j', { cron: daily(), catchup: false })
    const { metadata, runner, tick, states } = await nights(fresh(), [j])
    await tick()
    const stopped = new EngineError('INTERRUPTED', 'stopped on request')
    const { run } = runner.active.get('j 03')!
    await runner.end('j 03', 'FAILED', stopped)
    assert.deepEqual(await states('j'), ['03 WAITING'])
    // Taken, by a process that is late.
    const [claim] = await metadata.intervals.take(await metadata.intervals.list('j', 1))
    const resumed = (await metadata.reopen((await metadata.run(run))!, 'elsewhere:1:'))!
    assert.deepEqual(await states('j'), ['03 RUNNING'])
    assert.equal(await metadata.intervals.letGo(claim!), false)
    await tick()
    await succeed(metadata, resumed)
    await tick()
    assert.deepEqual([await states('j'), runner.begun], [['03 SUCCESS'], ['j 03']])
  })

  test('what a backfill takes and gives back while its failed run is resumed is done when that is', async () => {
    const j = job('j', { cron: daily(), catchup: false })
    for (const isGivenBack of [true, false]) {
      const { metadata, runner, tick, states } = await nights(fresh(), [j])
      await tick()
      const { run } = runner.active.get('j 03')!
      await runner.end('j 03', 'FAILED', new EngineError('DATA_INVALID', 'bad'))
      const resumed = (await metadata.reopen((await metadata.run(run))!, 'elsewhere:1:'))!
      const [claim] = await metadata.intervals.take(await metadata.intervals.list('j', 1))
      if (isGivenBack) await metadata.intervals.letGo(claim!)
      await succeed(metadata, resumed)
      await tick()
      assert.deepEqual([await states('j'), runner.begun], [['03 SUCCESS'], ['j 03']])
    }
  })

  test('a claim whose run did not begin is taken over; the late run is refused', async () => {
    const j = job('j', { cron: daily(), catchup: false })
    const { metadata, runner, tick, wall, scheduler } = await nights(fresh(), [j])
    await metadata.intervals.demand({
      job: 'j',
      start: new Date('2026-03-03T02:00Z'),
      end: new Date('2026-03-04T02:00Z'),
    })
    const record = (await metadata.intervals.find('j', '2026-03-03T02:00:00.000Z'))!
    const [lost] = await metadata.intervals.take([record])
    assert.deepEqual(await metadata.intervals.take([record]), [], 'it was taken once')
    await tick()
    assert.deepEqual(runner.begun, [], 'its process may be starting')
    wall.move(30_000)
    await tick(scheduler('there:2:'))
    assert.deepEqual(runner.begun, ['j 03'])
    await assert.rejects(
      runner.start({
        job: { ...j, maxActiveRuns: 9, name: 'j' },
        claim: lost!,
        end: record.interval_end,
        trigger: 'schedule',
      }),
      (error: EngineError) => error.code === 'FENCED' || error.code === 'RUN_CONFLICT',
    )
    await runner.end('j 03')
    await assert.rejects(
      runner.start({ job: j, claim: lost!, end: record.interval_end, trigger: 'schedule' }),
      (error: EngineError) => error.code === 'FENCED',
    )
  })

  test('one leads; when it dies another does within 30 s, and the late one writes nothing', async () => {
    const j = job('j', { cron: daily(), start })
    const { metadata, runner, tick, wall, clock, one, scheduler, states } = await nights(fresh(), [j])
    const two = scheduler('there:2:')
    await tick(one)
    await tick(two)
    assert.deepEqual([one.facts.leads, two.facts.leads], [true, false])
    const lease = (await metadata.leases.holder('scheduler'))!
    wall.move(16_000)
    await tick(two)
    assert.equal(two.facts.leads, true)
    clock.move(24 * 3_600_000)
    const late = { job: 'j', start: new Date('2026-03-04T02:00Z'), end: new Date('2026-03-05T02:00Z') }
    await assert.rejects(metadata.intervals.plan([late], lease), (e: EngineError) => e.code === 'FENCED')
    const record = (await metadata.intervals.find('j', '2026-03-02T02:00:00.000Z'))!
    await assert.rejects(metadata.intervals.take([record], lease), (e: EngineError) => e.code === 'FENCED')
    await tick(one)
    assert.equal(one.facts.leads, false)
    await runner.end('j 01')
    await tick(two)
    assert.deepEqual(await states('j'), ['01 SUCCESS', '02 RUNNING', '03 WAITING', '04 WAITING'])
  })

  test('who stands by with jobs that the leader does not have tells of them until it has', async () => {
    const told: string[] = []
    const unserved = async ({ name }: ScheduledJob, jobs: readonly string[], leader: string) =>
      void told.push(`${name}: ${jobs} not of ${leader}`)
    const mine = job('mine', { cron: daily(), catchup: false })
    const { metadata, tick, wall, one, known, scheduler } = await nights(
      fresh(),
      [job('both', { cron: daily(), catchup: false })],
      { alerts: { unserved } },
    )
    const two = scheduler('there:2:', new Map([...known, ['mine', mine]]))
    await tick(one)
    const later = async (seconds: number) => {
      // The lead is renewed in between.
      for (let left = seconds; left > 0; left -= 10) {
        wall.move(10_000)
        await tick(one)
        await tick(two)
      }
      return two.facts.unserved
    }
    assert.deepEqual([await later(60), told], [[], []], 'its files may be new')
    assert.deepEqual(await later(60), ['mine'])
    assert.deepEqual([...new Set(told)], ['mine: mine not of there:1:'])
    assert.deepEqual(one.facts.unserved, [])
    known.set('mine', mine)
    assert.deepEqual(await later(10), [])
    known.delete('mine')
    await later(120)
    await metadata.database.run('UPDATE leases SET note = NULL')
    assert.deepEqual(await later(10), [], 'a leader of an older version says nothing')
    await one.stop()
    await tick(two)
    assert.deepEqual([two.facts.leads, two.facts.unserved], [true, []])
    assert.equal((await metadata.leases.holder('scheduler'))!.note, '["both","mine"]')
  })

  test('told to stop: the lead is free at once, and what was interrupted runs again', async () => {
    const { metadata, runner, tick, one, scheduler, states } = await nights(fresh(), [
      job('j', { cron: daily(), catchup: false }),
    ])
    await tick()
    const stopped = one.stop()
    while (await metadata.leases.holder('scheduler')) await delay(5)
    await runner.end('j 03', 'FAILED', new EngineError('INTERRUPTED', 'stopped on request'))
    await stopped
    assert.deepEqual(await states('j'), ['03 WAITING'])
    await tick(scheduler('there:2:'))
    assert.deepEqual(runner.begun, ['j 03', 'j 03'])
  })

  test('a run that is killed again and again is abandoned, and that is told', async () => {
    const told: unknown[] = []
    const alerts = {
      gaveUp: async ({ name }: ScheduledJob, failed: unknown, error: Error) =>
        void told.push([name, failed, error.message]),
    }
    const { metadata, runner, tick, wall, states, scheduler } = await nights(
      fresh(),
      [job('j', { cron: daily(), catchup: false })],
      { alerts },
    )
    await tick()
    await metadata.database.run('UPDATE runs SET attempt = 10')
    assert.equal(runner.active.size, 1)
    wall.move(31_000)
    await tick(scheduler('there:2:'))
    assert.deepEqual(await states('j'), ['03 FAILED'])
    const [run] = await metadata.runs(1)
    assert.match(run!.error!, /killed 10 times/)
    const interval = { start: '2026-03-03T02:00:00.000Z', isPlanned: true }
    assert.deepEqual(told, [
      ['j', { run: run!.run, isBegun: false, interval }, `j: run ${run!.run} was killed 10 times`],
    ])
  })

  test('a backfill leaves to its owner what was thought to be left, and goes on', async () => {
    const j = job('j', { cron: daily(), catchup: false })
    const { metadata, runner, tick, wall } = await nights(fresh(), [j])
    await tick()
    const { run, fence } = runner.active.get('j 03')!
    wall.move(31_000)
    // A machine that slept: it wakes as its run is to be taken over.
    const { code, notes } = await backfillThird(metadata, j, async () => {
      await metadata.leases.renew({ name: `run/${run}`, owner: 'elsewhere:1:', fence })
      return 75
    })
    assert.deepEqual([code, notes], [0, [`run ${run} has it`]])
    await runner.end('j 03')
  })

  test('a backfill tries again where the process could not take over the run that was left', async () => {
    const j = job('j', { cron: daily(), catchup: false })
    const { metadata, runner, tick, wall } = await nights(fresh(), [j])
    await tick()
    const { run } = runner.active.get('j 03')!
    wall.move(31_000)
    let starts = 0
    const { code, notes } = await backfillThird(metadata, j, async () => {
      if (++starts === 1) return 75
      const record = (await metadata.takeOver((await metadata.run(run))!, 'me:1:', true))!
      await metadata.endRun({
        run,
        fence: record.fence,
        job: 'j',
        status: 'SUCCESS',
        runAt: record.run_at,
        records: 0,
        seconds: 0,
        syncPoints: [],
        error: undefined,
      })
      return 0
    })
    assert.deepEqual([code, starts, notes], [0, 2, ['SUCCESS']])
    runner.stop()
  })

  test('a backfill of a night that its owner, thought to be gone, ends meanwhile is no failure', async () => {
    const j = job('j', { cron: daily(), catchup: false })
    const { metadata, runner, tick, wall } = await nights(fresh(), [j])
    await tick()
    wall.move(31_000)
    const { code, notes } = await backfillThird(metadata, j, async () => {
      await runner.end('j 03')
      return 75
    })
    assert.deepEqual([code, notes], [0, ['SUCCESS']])
  })

  test('a backfill of what has failed is over when it fails once more, transiently', async () => {
    const j = job('j', { cron: daily(), catchup: false })
    const { metadata, runner, tick } = await nights(fresh(), [j])
    await tick()
    await runner.end('j 03', 'FAILED', new EngineError('TIMEOUT', 'slow'))
    const { code } = await backfillThird(metadata, j, async assignment => {
      const begun = runner.start(assignment)
      await runner.until('j 03')
      await runner.end('j 03', 'FAILED', new EngineError('TIMEOUT', 'slow'))
      await begun
      return 75
    })
    assert.equal(code, 75)
  })

  test('a backfill says what it waits for, once', async () => {
    const j = job('j', { cron: daily(), start, dependsOnPast: true })
    const { metadata, runner, tick } = await nights(fresh(), [j], { now: '2026-03-02T10:00:00.000Z' })
    await tick()
    await runner.until('j 01')
    const abort = new AbortController()
    const notes: string[] = []
    const running = backfill({
      metadata,
      job: j,
      intervals: intervalsBetween(
        j.cron!,
        new Date('2026-03-04T02:00Z'),
        new Date('2026-03-04T02:00Z'),
        new Date('2026-03-06T10:00Z'),
      ),
      parallel: 1,
      again: false,
      runner,
      signal: abort.signal,
      note: (_, what) => {
        if (notes.push(what) === 1) setTimeout(() => abort.abort(), 50)
      },
      pause: 5,
    })
    await running
    const waits =
      'waits: the interval before it, 2026-03-01T02:00:00.000Z, is RUNNING; nightfreight intervals j shows who has it'
    assert.deepEqual(notes, [waits, 'not run: stopped'])
  })

  test('a backfill leaves what has succeeded, and what others run, unless it is asked to', async () => {
    const j = job('j', { cron: daily(), start, maxActiveRuns: 2 })
    const { metadata, runner, tick, wall } = await nights(fresh(), [j], { now: '2026-03-02T10:00:00.000Z' })
    await tick()
    await runner.end('j 01')
    const intervals = intervalsBetween(
      j.cron!,
      start,
      new Date('2026-03-03T02:00Z'),
      new Date('2026-03-04T10:00Z'),
    )
    const go = async (again: boolean, parallel: number) => {
      const notes: string[] = []
      const running = backfill({
        metadata,
        job: j,
        intervals,
        parallel,
        again,
        runner,
        signal: new AbortController().signal,
        note: ({ start }, what) => notes.push(`${start.toISOString().slice(8, 10)} ${what}`),
        pause: 10,
      })
      return { running, notes }
    }
    const first = await go(false, 2)
    await Promise.all(['j 02', 'j 03'].map(name => runner.until(name)))
    assert.equal(runner.active.size, 2)
    const second = await go(false, 1)
    assert.equal(await second.running, 0)
    assert.match(second.notes.join(), /^01 SUCCESS already,02 run r\d+ has it,03 run r\d+ has it$/)
    await runner.end('j 03', 'FAILED', new Error('no'))
    await runner.end('j 02')
    assert.equal(await first.running, 4)
    assert.deepEqual(first.notes.sort(), ['01 SUCCESS already', '02 SUCCESS', '03 FAILED'])
    wall.move(1)
    const third = await go(true, 1)
    for (const name of ['j 01', 'j 02', 'j 03']) {
      await runner.until(name)
      await runner.end(name)
    }
    assert.equal(await third.running, 0)
    assert.deepEqual(third.notes, ['01 SUCCESS', '02 SUCCESS', '03 SUCCESS'])
    assert.equal((await metadata.intervals.lastPlanned('j'))?.toISOString(), undefined)
  })
})
