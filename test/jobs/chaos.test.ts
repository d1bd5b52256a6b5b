import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Hooks } from '../servers.ts'
import { chaos } from '../soak/chaos.ts'
import { SHORT } from '../soak/upsets.ts'

/** Hooks of one trial of many. */
function cleaners() {
  const acts: (() => Promise<void>)[] = []
  const hooks: Hooks = { after: act => void acts.unshift(act) }
  const clean = async () => {
    for (const act of acts.splice(0)) await act()
  }
  return { hooks, clean }
}

/** `npm run soak:crash` does so with hundreds. */
test('a night that is upset ends by itself, and one command mends it', async t => {
  const failures = await chaos({
    trials: SHORT.length,
    upsets: SHORT,
    parallel: 2,
    seed: Date.now() % 2 ** 31,
    say: line => t.diagnostic(line),
    hooks: cleaners,
  })
  assert.deepEqual(failures, [])
})
