import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { overBoth } from '../metadata/stores.ts'
import { type Settings, START } from './nights.ts'

/** SOAK_KILLS=50 for each store by hand: it is the start of processes that takes the time. */
const KILLS = Number(process.env.SOAK_KILLS ?? 25)
const DAY = 24 * 3_600_000
const NIGHTS = 20
const root = join(import.meta.dirname, '../..')

overBoth((fresh, kind) => {
  test(`two schedulers, one killed at random ${KILLS} times: each interval runs exactly once`, async t => {
    const place = fresh()
    const metadata = await place.open()
    const settings: Settings = {
      home: place.home,
      url: place.url,
      start: START.getTime() + DAY,
      end: START.getTime() + NIGHTS * DAY,
      factor: (2 * DAY) / 1000,
      began: Date.now(),
    }
    const processes = new Set<ChildProcess>()
    t.after(() => {
      for (const child of processes) child.kill('SIGKILL')
    })
    const begin = async () => {
      const child = spawn(process.execPath, ['test/service/process.ts', JSON.stringify(settings)], {
        cwd: root,
        // A start costs a third of what it does without.
        env: { ...process.env, NODE_COMPILE_CACHE: join(place.home, 'cache') },
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      processes.add(child)
      await once(child.stdout!, 'data')
      return child
    }
    const pair = await Promise.all([begin(), begin()])
    let leading = 0
    for (let n = 0; n < KILLS; n++) {
      await delay(Math.random() * 100)
      const one = Math.random() < 0.5 ? 0 : 1
      const victim = pair[one]!
      const holder = await metadata.leases.holder('scheduler')
      if (holder?.owner.split(':')[1] === String(victim.pid)) leading++
      victim.kill('SIGKILL')
      await once(victim, 'exit')
      processes.delete(victim)
      pair[one] = await begin()
    }
    // The nights that are left go by undisturbed.
    const left = async () => {
      const counts = await metadata.database.all<{ n: number }>(
        `SELECT count(*) AS n FROM intervals WHERE state = 'SUCCESS'`,
      )
      return 2 * (NIGHTS - 1) + 6 * NIGHTS - counts[0]!.n
    }
    for (let n = 0; n < 600 && (await left()) > 0; n++) await delay(50)
    for (const child of pair) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    assert.ok(leading >= KILLS / 6, `the leader was killed ${leading} times`)

    const found = await metadata.database.all<Record<string, unknown>>(
      `SELECT i.job, i.interval_start, i.interval_end, i.state,
         (SELECT count(*) FROM runs r WHERE r.job = i.job AND r.interval_start = i.interval_start) AS runs,
         (SELECT count(*) FROM runs r JOIN tasks t ON t.run = r.run
          WHERE r.job = i.job AND r.interval_start = i.interval_start AND r.status = 'SUCCESS' AND t.status = 'SUCCESS') AS loads
       FROM intervals i ORDER BY i.job, i.interval_start`,
    )
    const expected = [
      ...expectedOf('load', nights()),
      ...expectedOf('often', fours()),
      ...expectedOf('report', nights()),
    ]
    assert.deepEqual(found, expected)
    const [runs] = await metadata.database.all<{ n: number; resumed: number }>(
      'SELECT count(*) AS n, sum(CASE WHEN attempt > 1 THEN 1 ELSE 0 END) AS resumed FROM runs',
    )
    assert.equal(runs!.n, expected.length)
    t.diagnostic(
      `${kind}: the leader killed ${leading} times, ${runs!.resumed} of ${runs!.n} runs taken over`,
    )
  })
})

/** 02:30 in Berlin: 01:30 UTC until the clocks go forward on 29 March (then 03:30, for it is skipped), 00:30 after. */
function nights(): string[] {
  const winter = ['26', '27', '28', '29'].map(day => `2026-03-${day}T01:30:00.000Z`)
  const summer = Array.from({ length: NIGHTS - 4 }, (_, n) =>
    new Date(Date.UTC(2026, 2, 30 + n, 0, 30)).toISOString(),
  )
  return [...winter, ...summer]
}

const fours = () =>
  Array.from({ length: 6 * NIGHTS + 1 }, (_, n) =>
    new Date(START.getTime() + n * 4 * 3_600_000).toISOString(),
  )

const expectedOf = (job: string, bounds: string[]) =>
  bounds.slice(1).map((end, n) => ({
    job,
    interval_start: bounds[n]!,
    interval_end: end,
    state: 'SUCCESS',
    runs: 1,
    loads: 1,
  }))
