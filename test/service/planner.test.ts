import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cron } from '../../src/schedule/cron.ts'
import type { ScheduledJob } from '../../src/service/job.ts'
import type { Missed } from '../../src/service/planner.ts'
import { overBoth } from '../metadata/stores.ts'
import { job } from './nights.ts'
import { daily, nights, start } from './pretended.ts'

const DAY_MS = 24 * 3_600_000
const MINUTE_MS = 60_000

/** What schedulers tell of starts that were missed, and of times that are in the future. */
function listening() {
  const told: string[] = []
  const missed = async ({ name }: ScheduledJob, { due, passedOver }: Missed) => {
    const { count, isMore, first, last } = passedOver ?? {}
    const minute = (at: Date | undefined) => at?.toISOString().slice(8, 16)
    const over = count === undefined ? [] : [`${isMore ? '>' : ''}${count}`, minute(first), minute(last)]
    told.push([name, minute(due), ...over].join(' '))
  }
  const ahead = async ({ name }: ScheduledJob, end: Date) =>
    void told.push(`${name} ahead ${end.toISOString().slice(0, 10)}`)
  return { told, alerts: { missed, ahead } }
}

overBoth(fresh => {
  test('a start that was missed is told, with all intervals that are passed over', async () => {
    const { told, alerts } = listening()
    const minutely = job('m', { cron: new Cron('* * * * *', 'UTC'), catchup: false })
    const { clock, runner, tick } = await nights(
      fresh(),
      [job('j', { cron: daily(), catchup: false }), minutely],
      {
        alerts,
      },
    )
    await tick()
    await runner.end('j 03')
    await runner.end('m 04')
    clock.move(16 * 3_600_000)
    await tick()
    assert.deepEqual(told, ['m 04T10:01 >500 04T10:00 05T01:58'])
    await runner.end('j 04')
    await runner.end('m 05')
    clock.move(3 * DAY_MS)
    await tick()
    assert.deepEqual(told.slice(1), ['j 06T02:00 2 05T02:00 06T02:00', 'm 05T02:01 >500 05T02:00 08T01:58'])
  })

  test('what was paused, or got another schedule, was not missed', async () => {
    const { told, alerts } = listening()
    const { clock, runner, tick, known, metadata } = await nights(
      fresh(),
      [job('j', { cron: daily(), catchup: false }), job('k', { cron: daily(), catchup: false })],
      { alerts },
    )
    await tick()
    await runner.end('j 03')
    await runner.end('k 03')
    await metadata.pauses.pause('job', 'j', 'ada')
    clock.move(2 * DAY_MS)
    known.set('k', job('k', { cron: new Cron('0 * * * *', 'UTC'), catchup: false, hash: 'another' }))
    await tick()
    await metadata.pauses.unpause('job', 'j')
    await tick()
    assert.deepEqual([told, runner.begun.slice(2)], [[], ['k 06', 'j 05']])
    // From then on it is one like others.
    await runner.end('j 05')
    await runner.end('k 06')
    clock.move(2 * DAY_MS)
    await tick()
    assert.deepEqual(told, ['j 07T02:00 1 06T02:00 06T02:00', 'k 06T11:00 47 06T10:00 08T08:00'])
  })

  test('a clock that was ahead: nothing is planned, that is told, and one command mends it', async () => {
    const { told, alerts } = listening()
    const place = fresh()
    const { clock, wall, runner, tick, one, states, scheduler, metadata } = await nights(
      place,
      [job('j', { cron: daily(), catchup: true, start })],
      { alerts, now: '2026-03-02T10:00:00.000Z' },
    )
    await tick()
    await runner.end('j 01')
    clock.move(900 * DAY_MS)
    const wrong = scheduler('wrong:1:')
    await one.stop()
    await tick(wrong)
    await runner.end('j 02')
    assert.equal((await metadata.intervals.list('j', 999)).length, 501, 'no more at a time than it can run')
    await wrong.stop()
    clock.move(-899 * DAY_MS)
    wall.move(-DAY_MS)
    const right = scheduler('right:1:')
    await tick(right)
    assert.match(told.splice(0).join(), /^j 03T02:00,j ahead 2027-07-\d\d$/)
    assert.equal(right.facts.ahead.get('j')?.getUTCFullYear(), 2027)
    assert.ok((await metadata.intervals.forgetFuture('j')) > 400)
    await tick(right)
    assert.deepEqual([right.facts.ahead.size, (await states('j'))[0]], [0, '01 SUCCESS'])
  })

  test('a long catch-up is planned as far as it can be run, and is not told as missed', async () => {
    const { told, alerts } = listening()
    const hourly = new Cron('0 * * * *', 'UTC')
    const { runner, tick, metadata } = await nights(
      fresh(),
      [job('j', { cron: hourly, catchup: true, start: new Date('2024-01-01T00:00Z') })],
      { alerts },
    )
    for (let round = 0; round < 8; round++) await tick()
    await runner.end('j 01')
    await tick()
    const waiting = await metadata.intervals.countWaiting()
    assert.ok(waiting >= 499 && waiting <= 1000, String(waiting))
    assert.deepEqual(told, [])
  })

  test('a clock that is put back keeps nobody from leading on', async () => {
    const { clock, wall, tick, one, scheduler, metadata } = await nights(fresh(), [])
    await tick()
    const expiry = async () => (await metadata.leases.holder('scheduler'))!.expires_at
    const before = await expiry()
    wall.move(-60 * MINUTE_MS)
    clock.move(-60 * MINUTE_MS)
    await tick()
    assert.ok((await expiry()) < before, 'the lease is of the time as it is now')
    await one.stop()
    const other = scheduler('other:1:')
    await tick(other)
    assert.equal(other.facts.leads, true)
  })
})
