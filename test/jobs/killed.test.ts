import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyNightTwo } from '../../src/demo/sample/nightTwo.ts'
import { freshPostgres } from '../servers.ts'
import { contents, killAt } from './crash.ts'
import { loadedBy, runNight, startSystems } from './night.ts'

const MEMBERS = 1000
const SEED = 78
const FIRST = '2025-12-01T02:00:00Z'
const SECOND = '2025-12-02T02:00:00Z'

/** Where a run is killed: at the first word of a task, or as soon as it is done. */
const KILLS = ['extract', 'model', 'diff', 'load'].flatMap(kind =>
  ['started', 'done'].map(moment => ({ kind, moment })),
)

test('a run that is killed and run again leaves what an undisturbed run leaves', async t => {
  const systems = await startSystems(t, MEMBERS, SEED)
  const context = async () => {
    const warehouse = await freshPostgres(t)
    return { warehouse, env: systems.env(warehouse, systems.folder()) }
  }
  const undisturbed = await context()
  loadedBy(await runNight(undisturbed.env, FIRST))
  const first = await contents(undisturbed.warehouse)
  const worlds = await Promise.all(KILLS.map(async kill => ({ ...kill, ...(await context()) })))

  for (const { kind, moment, warehouse, env } of worlds)
    await t.test(`first night, killed when ${kind} is ${moment}`, async () => {
      await killedThenRun(env, FIRST, kind, moment)
      assert.deepEqual(await contents(warehouse), first)
    })

  await applyNightTwo({
    membersUrl: systems.legacy.url,
    contactsUrl: systems.crm.url,
    n: MEMBERS,
    seed: SEED,
  })
  systems.feed.night = 2
  loadedBy(await runNight(undisturbed.env, SECOND))
  const second = await contents(undisturbed.warehouse)
  assert.notDeepEqual(second, first)

  for (const { kind, moment, warehouse, env } of worlds)
    await t.test(`second night, killed when ${kind} is ${moment}`, async () => {
      await killedThenRun(env, SECOND, kind, moment)
      assert.deepEqual(await contents(warehouse), second)
    })
})

async function killedThenRun(env: Record<string, string>, at: string, kind: string, moment: string) {
  const killed = await runNight(
    env,
    at,
    killAt(({ event, task }) => event === moment && String(task).startsWith(`${kind}.`)),
  )
  assert.equal(killed.signal, 'SIGKILL', killed.output)
  const again = await runNight(env, at)
  loadedBy(again)
  const result = again.events.find(({ event }) => event === 'result')!
  assert.equal(result.resumed, true)
}
