import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { every } from '../../src/service/every.ts'

/** The times at which the first `count` rounds began, and their ends. */
async function rounds(
  count: number,
  period: number,
  took: number,
  rest?: number,
): Promise<[number, number][]> {
  const times: [number, number][] = []
  const round = every(
    period,
    async () => {
      const begun = performance.now()
      await delay(took)
      times.push([begun, performance.now()])
    },
    rest,
  )
  for (; times.length < count; await delay(1)) await round.maybe()
  return times
}

test('a round begins a period after the last one, and rests so many times as long as that one took', async () => {
  for (const [period, took, rest] of [
    [60, 10, undefined],
    [60, 10, 1],
    [0, 20, 3],
  ] as const) {
    const times = await rounds(3, period, took, rest)
    for (const [index, [begun]] of times.slice(1).entries()) {
      const [before, ended] = times[index]!
      const least = Math.max(before + period, ended + (rest ?? 0) * (ended - before))
      assert.ok(begun >= least - 2, `${begun - before} of ${least - before} ms`)
    }
  }
})

test('a round that is done elsewhere waits for its period', async () => {
  const round = every(60_000, async () => assert.fail())
  round.done()
  await round.maybe()
})
