import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cron } from '../../src/schedule/cron.ts'
import { dueIntervals, type Interval, intervalsBetween } from '../../src/schedule/due.ts'
import { outlookOf } from '../../src/service/outlook.ts'

const daily = new Cron('0 2 * * *', 'UTC')
const at = (text: string) => new Date(`2026-02-${text}Z`)
const starts = (intervals: Interval[]) => intervals.map(({ start }) => start.toISOString().slice(8, 13))

// https://airflow.apache.org/docs/apache-airflow/stable/core-concepts/dag-run.html: "a DAG run is scheduled after its
// data interval has ended"; with catch-up a run for each interval since the start date, without it the latest only.
test('catch-up: every interval from the start on, each at its end', () => {
  // The start is moved to the next time of the schedule: 1 February 00:00 gives 1 February 02:00.
  const schedule = { cron: daily, catchup: true, start: at('01T00:00') }
  assert.deepEqual(starts(dueIntervals(schedule, undefined, at('02T01:59'))), [])
  assert.deepEqual(starts(dueIntervals(schedule, undefined, at('02T02:00'))), ['01T02'])
  assert.deepEqual(starts(dueIntervals(schedule, undefined, at('05T10:00'))), [
    '01T02',
    '02T02',
    '03T02',
    '04T02',
  ])
  assert.deepEqual(starts(dueIntervals(schedule, at('03T02:00'), at('05T10:00'))), ['03T02', '04T02'])
  assert.deepEqual(starts(dueIntervals(schedule, at('05T02:00'), at('05T10:00'))), [])
})

test('no catch-up: the latest complete interval only, and none twice', () => {
  const schedule = { cron: daily, catchup: false, start: at('01T00:00') }
  assert.deepEqual(starts(dueIntervals(schedule, undefined, at('05T10:00'))), ['04T02'])
  // On the boundary itself the interval that has just ended.
  assert.deepEqual(starts(dueIntervals(schedule, undefined, at('05T02:00'))), ['04T02'])
  assert.deepEqual(starts(dueIntervals(schedule, at('02T02:00'), at('05T10:00'))), ['04T02'])
  assert.deepEqual(starts(dueIntervals(schedule, at('05T02:00'), at('05T10:00'))), [])
  assert.deepEqual(starts(dueIntervals(schedule, at('05T02:00'), at('06T02:00'))), ['05T02'])
  assert.deepEqual(
    starts(dueIntervals({ ...schedule, start: at('09T00:00') }, undefined, at('05T10:00'))),
    [],
  )
})

test('without a start: the latest, and with catch-up all since the last one planned', () => {
  for (const catchup of [true, false])
    assert.deepEqual(starts(dueIntervals({ cron: daily, catchup }, undefined, at('05T10:00'))), ['04T02'])
  assert.deepEqual(starts(dueIntervals({ cron: daily, catchup: true }, at('02T02:00'), at('05T10:00'))), [
    '02T02',
    '03T02',
    '04T02',
  ])
})

test('a schedule that changes goes on from its next time', () => {
  const schedule = { cron: new Cron('0 6 * * *', 'UTC'), catchup: true }
  assert.deepEqual(starts(dueIntervals(schedule, at('03T02:00'), at('05T10:00'))), ['03T06', '04T06'])
})

test('a long catch-up is planned in portions, without a gap between them', () => {
  const schedule = { cron: new Cron('* * * * *', 'UTC'), catchup: true, start: at('01T00:00') }
  let cursor: Date | undefined
  let count = 0
  for (let due = dueIntervals(schedule, cursor, at('02T00:00')); due.length > 0; ) {
    if (cursor) assert.equal(due[0]!.start.getTime(), cursor.getTime())
    count += due.length
    cursor = due.at(-1)!.end
    due = dueIntervals(schedule, cursor, at('02T00:00'))
  }
  assert.equal(count, 1440)
})

test('the intervals of a backfill begin within the range, both ends included, and are complete', () => {
  assert.deepEqual(starts(intervalsBetween(daily, at('01T02:00'), at('03T02:00'), at('20T00:00'))), [
    '01T02',
    '02T02',
    '03T02',
  ])
  assert.deepEqual(starts(intervalsBetween(daily, at('01T02:01'), at('03T01:59'), at('20T00:00'))), ['02T02'])
  assert.deepEqual(starts(intervalsBetween(daily, at('01T00:00'), at('28T00:00'), at('03T12:00'))), [
    '01T02',
    '02T02',
  ])
})

test('a night is 23 and 25 hours long when the clocks change, and no interval is missing or overlaps', () => {
  for (const [zone, short, long] of [
    ['Europe/Berlin', 23, 25],
    ['America/New_York', 23, 25],
    ['Australia/Lord_Howe', 23.5, 24.5],
  ] as const) {
    const cron = new Cron('0 5 * * *', zone)
    const start = new Date('2026-01-01T00:00Z')
    const year = intervalsBetween(cron, start, new Date('2026-12-31T00:00Z'), new Date('2027-06-01T00:00Z'))
    const hours = year.map(({ start, end }) => (end.getTime() - start.getTime()) / 3_600_000)
    assert.deepEqual([year.length >= 364, Math.min(...hours), Math.max(...hours)], [true, short, long])
    assert.equal(hours.filter(each => each !== 24).length, 2)
    for (const [n, { start }] of year.entries()) if (n > 0) assert.deepEqual(start, year[n - 1]!.end)
  }
})

test('a service that starts says what it begins at once, and why, and what comes next', async () => {
  const now = new Date('2026-03-05T00:30:00Z')
  const none = { lastPlanned: async () => undefined, list: async () => [] }
  const job = {
    ...{ name: 'shop', folder: '/jobs/shop', hash: '', catchup: false, after: [], maxActiveRuns: 1 },
    ...{ dependsOnPast: false, priority: 0, pools: [], cron: new Cron('0 2 * * *', 'UTC') },
  }
  const said = (more: object, intervals: Parameters<typeof outlookOf>[1] = none, isPaused = false) =>
    outlookOf({ ...job, ...more }, intervals, isPaused, now)
  assert.equal(
    await said({}),
    'shop: begins at once the run of 2026-03-03T02:00:00Z to 2026-03-04T02:00:00Z: that is over, and the schedule has run nothing yet (start: in the schedule says what is left alone); next at 2026-03-05T02:00:00Z',
  )
  const planned = (text: string) => ({ ...none, lastPlanned: async () => new Date(text) })
  assert.equal(await said({}, planned('2026-03-04T02:00:00Z')), 'shop: next at 2026-03-05T02:00:00Z')
  assert.match(
    await said({ catchup: true }, planned('2026-03-02T02:00:00Z')),
    /begins at once the runs of 2 data intervals, 2026-03-02T02:00:00Z to 2026-03-04T02:00:00Z: that is over, and no service has begun them yet; next at/,
  )
  assert.equal(await said({ start: new Date('2026-03-10T02:00:00Z') }), 'shop: next at 2026-03-11T02:00:00Z')
  assert.match(await said({}, none, true), /^shop: paused/)
  assert.equal(await said({ cron: undefined }), 'shop: has no schedule: nothing of it is begun')
  assert.equal(await said({ cron: undefined, after: ['a', 'b'] }), 'shop: runs after a, b')
})
