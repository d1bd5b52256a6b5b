import assert from 'node:assert/strict'
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { pino } from 'pino'
import { EngineError } from '../../engine/errors.ts'
import type { Metadata } from '../../src/metadata/metadata.ts'
import { setPools } from '../../src/metadata/pools.ts'
import type { RunStatus } from '../../src/metadata/runs.ts'
import { Cron } from '../../src/schedule/cron.ts'
import { intervalsBetween } from '../../src/schedule/due.ts'
import type { ServiceAlerts } from '../../src/service/alerts.ts'
import { backfill } from '../../src/service/backfill.ts'
import { FileWatch } from '../../src/service/files.ts'
import type { ScheduledJob } from '../../src/service/job.ts'
import type { Assignment, Runner } from '../../src/service/runner.ts'
import { Scheduler } from '../../src/service/scheduler.ts'
import { overBoth, standing } from '../metadata/stores.ts'
import { job } from './nights.ts'

const daily = () => new Cron('0 2 * * *', 'UTC')
const start = new Date('2026-03-01T00:00Z')
const log = pino({ level: 'silent' })
let runs = 0

/** Runs that begin when they are started and end when the test says so. */
class Pretended implements Runner {
  readonly metadata: Metadata
  readonly active = new Map<string, { run: string; fence: number; done: (code: number | null) => void }>()
  /** In the order they began: job and day of the interval's start. */
  readonly begun: string[] = []
  /** Exit codes of runs that are not to begin. */
  readonly refused = new Map<string, number | null>()
  readonly schedulers: Scheduler[] = []
  private starting = 0

  constructor(metadata: Metadata) {
    this.metadata = metadata
  }

  async start({ job, claim, end, trigger }: Assignment): Promise<number | null> {
    const name = `${job.name} ${claim.start.slice(8, 10)}`
    const refused = this.refused.get(name)
    if (refused !== undefined) return refused
    this.starting++
    this.begun.push(name)
    const { fence, run } = await this.metadata
      .startRun(
        {
          run: `r${++runs}`,
          job: job.name,
          run_at: end,
          spec_hash: '',
          owner: 'elsewhere:1:',
          trigger,
          interval_start: claim.start,
          interval_end: end,
        },
        job.maxActiveRuns,
        claim,
      )
      .finally(() => this.starting--)
    return new Promise(done => this.active.set(name, { run, fence, done }))
  }

  async end(name: string, status: Exclude<RunStatus, 'RUNNING'> = 'SUCCESS', error?: unknown): Promise<void> {
    const { run, fence, done } = this.active.get(name)!
    this.active.delete(name)
    const { job, run_at } = (await this.metadata.run(run))!
    const nothing = { records: 0, seconds: 0, syncPoints: [] }
    await this.metadata.endRun({ ...nothing, run, fence, job, status, runAt: run_at, error })
    done(status === 'FAILED' ? 4 : 0)
    await this.settle()
  }

  /** Until all that the schedulers have begun has begun, and all that has ended is noted. */
  async settle(): Promise<void> {
    const left = () => this.schedulers.reduce((sum, { facts }) => sum + facts.running, 0) > this.active.size
    while (this.starting > 0 || left()) await delay(5)
  }

  /** Until a run has begun. */
  async until(name: string): Promise<void> {
    while (!this.active.has(name)) await delay(5)
  }

  stop(): void {
    for (const { done } of this.active.values()) done(130)
  }
}

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
  async function nights(
    jobs: ScheduledJob[],
    {
      now = '2026-03-04T10:00:00.000Z',
      slots = 9,
      alerts,
    }: { now?: string; slots?: number; alerts?: Pick<ServiceAlerts, 'blocked' | 'missed'> } = {},
  ) {
    const place = fresh()
    const clock = standing(now)
    const wall = standing('2026-03-04T10:00:00.000Z')
    const metadata = await place.open(wall)
    const runner = new Pretended(metadata)
    const known = new Map(jobs.map(each => [each.name, each]))
    const scheduler = (owner: string) => {
      const made = new Scheduler({
        metadata,
        clock,
        jobs: () => known,
        slots,
        runner,
        owner,
        log,
        ...(alerts && { alerts }),
      })
      runner.schedulers.push(made)
      return made
    }
    const one = scheduler('there:1:')
    const tick = async (which = one) => {
      await which.tick()
      await runner.settle()
    }
    const states = async (name: string) =>
      (await metadata.intervals.list(name, 99))
        .reverse()
        .map(({ interval_start, state }) => `${interval_start.slice(8, 10)} ${state}`)
    return { place, clock, wall, metadata, runner, known, scheduler, one, tick, states }
  }

  test('catch-up runs one after another, as many at once as are allowed', async () => {
    const { runner, tick, states } = await nights([job('j', { cron: daily(), start, maxActiveRuns: 2 })])
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
    const { metadata, runner, tick, states } = await nights([j])
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
    const { metadata, runner, tick, one } = await nights(jobs, { slots: 2 })
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
    const { metadata, runner, tick } = await nights([job('j', { cron: daily(), catchup: false })])
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
    const { runner, tick, states, clock } = await nights(jobs)
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

  test('a follower also gets the night that succeeds late', async () => {
    const load = job('load', { cron: daily(), start, maxActiveRuns: 3 })
    const { runner, tick, metadata, states } = await nights([
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
    const { metadata, runner, tick, states, clock } = await nights(jobs)
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
    const { metadata, runner, tick, states, clock } = await nights(jobs)
    const watch = new FileWatch(metadata.triggers)
    const look = () => watch.look(jobs, (_, error) => assert.fail(String(error)))
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
    await new FileWatch(metadata.triggers).look(jobs, () => {})
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
    const { runner, tick, states } = await nights([
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
    const { metadata, runner, tick, wall, states, one } = await nights([j], {
      alerts: {
        blocked: async ({ name }, { failed, waiting }) => void told.push(`${name} ${failed} ${waiting}`),
        missed: async () => {},
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
    const { metadata, runner, tick, states } = await nights([job('j', { cron: daily(), catchup: false })])
    await tick()
    await runner.end('j 03', 'FAILED', new Error('no'))
    assert.deepEqual(await runByHand(metadata, '2026-03-04T01:00:00.000Z'), [])
    assert.deepEqual(await states('j'), ['03 FAILED'])
  })

  test('a job that cannot be used is planned, and not run', async () => {
    const { runner, tick, states, known } = await nights([
      job('j', { cron: daily(), catchup: false, broken: 'job.yaml:3: no' }),
    ])
    await tick()
    assert.deepEqual([runner.begun, await states('j')], [[], ['03 WAITING']])
    known.set('j', job('j', { cron: daily(), catchup: false }))
    await tick()
    assert.deepEqual(runner.begun, ['j 03'])
  })

  test('a start that was missed is told, with the intervals that are passed over', async () => {
    const told: string[] = []
    const alerts = {
      blocked: async () => {},
      missed: async ({ name }: ScheduledJob, due: Date, skipped: number) =>
        void told.push(`${name} ${due.toISOString()} ${skipped}`),
    }
    const { clock, runner, tick } = await nights([job('j', { cron: daily(), catchup: false })], { alerts })
    await tick()
    await runner.end('j 03')
    clock.move(16 * 3_600_000)
    await tick()
    await runner.end('j 04')
    assert.deepEqual(told, [])
    clock.move(3 * 24 * 3_600_000)
    await tick()
    assert.deepEqual(told, ['j 2026-03-06T02:00:00.000Z 2'])
  })

  test('a claim whose run did not begin is taken over; the late run is refused', async () => {
    const j = job('j', { cron: daily(), catchup: false })
    const { metadata, runner, tick, wall, scheduler } = await nights([j])
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
    const { metadata, runner, tick, wall, clock, one, scheduler, states } = await nights([j])
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

  test('told to stop: the lead is free at once, and what was interrupted runs again', async () => {
    const { metadata, runner, tick, one, scheduler, states } = await nights([
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

  test('a run that is killed again and again is abandoned', async () => {
    const { metadata, runner, tick, wall, states, scheduler } = await nights([
      job('j', { cron: daily(), catchup: false }),
    ])
    await tick()
    await metadata.database.run('UPDATE runs SET attempt = 10')
    assert.equal(runner.active.size, 1)
    wall.move(31_000)
    await tick(scheduler('there:2:'))
    assert.deepEqual(await states('j'), ['03 FAILED'])
    const [run] = await metadata.runs(1)
    assert.match(run!.error!, /killed 10 times/)
  })

  test('a backfill leaves what has succeeded, and what others run, unless it is asked to', async () => {
    const j = job('j', { cron: daily(), start, maxActiveRuns: 2 })
    const { metadata, runner, tick, wall } = await nights([j], { now: '2026-03-02T10:00:00.000Z' })
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
