import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Cron } from '../../src/schedule/cron.ts'
import { timeIn, Zone } from '../../src/schedule/zone.ts'

const ZONES = ['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe']

/** The next instants after one, in UTC to the minute. */
function after(expression: string, zone: string, from: string, count: number): string[] {
  const cron = new Cron(expression, zone)
  const found: string[] = []
  for (let at = cron.next(new Date(from)); at && found.length < count; at = cron.next(at))
    found.push(at.toISOString().slice(0, 16))
  return found
}

test('a fixed time keeps its wall time over both changes', () => {
  // Clocks go forward at 02:00 on 29 March and back at 03:00 on 25 October.
  assert.deepEqual(after('0 4 * * *', 'Europe/Berlin', '2026-03-27T12:00Z', 4), [
    '2026-03-28T03:00',
    '2026-03-29T02:00',
    '2026-03-30T02:00',
    '2026-03-31T02:00',
  ])
  assert.deepEqual(after('0 4 * * *', 'Europe/Berlin', '2026-10-23T12:00Z', 3), [
    '2026-10-24T02:00',
    '2026-10-25T03:00',
    '2026-10-26T03:00',
  ])
  // Forward at 02:00 on 8 March, back at 02:00 on 1 November.
  assert.deepEqual(after('0 4 * * *', 'America/New_York', '2026-03-06T12:00Z', 3), [
    '2026-03-07T09:00',
    '2026-03-08T08:00',
    '2026-03-09T08:00',
  ])
  assert.deepEqual(after('0 4 * * *', 'America/New_York', '2026-10-30T12:00Z', 3), [
    '2026-10-31T08:00',
    '2026-11-01T09:00',
    '2026-11-02T09:00',
  ])
  // Half an hour: back at 02:00 on 5 April, forward at 02:00 on 4 October.
  assert.deepEqual(after('0 4 * * *', 'Australia/Lord_Howe', '2026-04-02T20:00Z', 3), [
    '2026-04-03T17:00',
    '2026-04-04T17:30',
    '2026-04-05T17:30',
  ])
  assert.deepEqual(after('0 4 * * *', 'Australia/Lord_Howe', '2026-10-01T20:00Z', 3), [
    '2026-10-02T17:30',
    '2026-10-03T17:00',
    '2026-10-04T17:00',
  ])
})

test('a time that is skipped comes that much later, one that is repeated comes once, the second time', () => {
  assert.deepEqual(after('30 2 * * *', 'Europe/Berlin', '2026-03-27T12:00Z', 3), [
    '2026-03-28T01:30',
    '2026-03-29T01:30', // 03:30 in summer time
    '2026-03-30T00:30',
  ])
  assert.deepEqual(after('30 2 * * *', 'Europe/Berlin', '2026-10-23T12:00Z', 3), [
    '2026-10-24T00:30',
    '2026-10-25T01:30', // 02:30 in winter time
    '2026-10-26T01:30',
  ])
  assert.deepEqual(after('30 2 * * *', 'America/New_York', '2026-03-06T12:00Z', 3), [
    '2026-03-07T07:30',
    '2026-03-08T07:30', // 03:30
    '2026-03-09T06:30',
  ])
  assert.deepEqual(after('30 1 * * *', 'America/New_York', '2026-10-30T12:00Z', 3), [
    '2026-10-31T05:30',
    '2026-11-01T06:30',
    '2026-11-02T06:30',
  ])
  assert.deepEqual(after('15 2 * * *', 'Australia/Lord_Howe', '2026-10-01T20:00Z', 3), [
    '2026-10-02T15:45',
    '2026-10-03T15:45', // 02:45
    '2026-10-04T15:15',
  ])
  assert.deepEqual(after('45 1 * * *', 'Australia/Lord_Howe', '2026-04-02T20:00Z', 3), [
    '2026-04-03T14:45',
    '2026-04-04T15:15',
    '2026-04-05T15:15',
  ])
})

test('several fixed hours: none is lost where one of them is skipped', () => {
  assert.deepEqual(after('0 2,4 * * *', 'Europe/Berlin', '2026-03-28T12:00Z', 3), [
    '2026-03-29T01:00',
    '2026-03-29T02:00',
    '2026-03-30T00:00',
  ])
})

test('every hour goes by real time: a repeated hour has its own runs, a skipped one none', () => {
  for (const zone of ['Europe/Berlin', 'America/New_York'])
    for (const day of ['2026-03-08', '2026-03-29', '2026-10-25', '2026-11-01']) {
      const hours = after('0 * * * *', zone, `${day}T00:00Z`, 24).map(at => Date.parse(`${at}Z`))
      assert.deepEqual(
        hours.map(at => at - Date.parse(`${day}T00:00Z`)),
        Array.from({ length: 24 }, (_, n) => (n + 1) * 3_600_000),
      )
    }
  assert.deepEqual(after('*/30 * * * *', 'Australia/Lord_Howe', '2026-04-04T14:00Z', 4), [
    '2026-04-04T14:30',
    '2026-04-04T15:00',
    '2026-04-04T15:30',
    '2026-04-04T16:00',
  ])
})

test('two years of days in three zones: one run a day, at its wall time but where that is skipped', () => {
  for (const zone of ZONES)
    fc.assert(
      fc.property(fc.nat(23), fc.nat(59), (hour, minute) => {
        const cron = new Cron(`${minute} ${hour} * * *`, zone)
        const local = (at: Date) => new Date(new Zone(zone).local(at.getTime())).toISOString()
        const days: string[] = []
        let odd = 0
        let at = cron.next(new Date('2025-12-31T12:00Z'))!
        while (at < new Date('2027-12-31T12:00Z')) {
          days.push(local(at).slice(0, 10))
          const shown = local(at).slice(11, 16)
          if (shown !== `${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}`) odd++
          at = cron.next(at)!
        }
        const first = Date.parse(days[0]!)
        assert.deepEqual(
          days,
          days.map((_, n) => new Date(first + n * 86_400_000).toISOString().slice(0, 10)),
        )
        assert.ok(days.length >= 729 && odd <= 2)
      }),
      { numRuns: 3 },
    )
})

test('the last before, the first from a time on, and what never comes', () => {
  const cron = new Cron('0 2 29 2 *', 'UTC')
  assert.equal(cron.last(new Date('2026-01-01T00:00Z'))?.toISOString(), '2024-02-29T02:00:00.000Z')
  assert.equal(cron.align(new Date('2024-02-29T02:00Z'))?.toISOString(), '2024-02-29T02:00:00.000Z')
  assert.equal(cron.last(new Date('2024-02-29T02:00Z'))?.toISOString(), '2024-02-29T02:00:00.000Z')
  assert.equal(new Cron('0 2 30 2 *', 'UTC').next(new Date('2026-01-01T00:00Z')), undefined)
  assert.throws(() => new Cron('0 25 * * *', 'UTC'))
})

test('a day that no calendar has is no time', () => {
  const zone = new Zone('Europe/Berlin')
  for (const text of [
    '2026-02-30',
    '2026-02-29T02:00',
    '2026-04-31T02:00Z',
    '2026-02-01T24:00',
    '2026-13-01',
  ])
    assert.equal(timeIn(zone, text), undefined, text)
  assert.equal(timeIn(zone, '2028-02-29T02:00')?.toISOString(), '2028-02-29T01:00:00.000Z')
  assert.equal(timeIn(zone, '2026-02-01T00:30+02:00')?.toISOString(), '2026-01-31T22:30:00.000Z')
})

test('a time as written is of the zone unless it names an offset', () => {
  const zone = new Zone('Europe/Berlin')
  assert.equal(timeIn(zone, '2026-07-01')?.toISOString(), '2026-06-30T22:00:00.000Z')
  assert.equal(timeIn(zone, '2026-01-01 02:00')?.toISOString(), '2026-01-01T01:00:00.000Z')
  assert.equal(timeIn(zone, '2026-01-01T02:00Z')?.toISOString(), '2026-01-01T02:00:00.000Z')
  assert.equal(timeIn(zone, '2026-03-29T02:30')?.toISOString(), '2026-03-29T01:30:00.000Z')
  assert.equal(timeIn(zone, 'tomorrow'), undefined)
})
