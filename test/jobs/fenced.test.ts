import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EngineError } from '../../engine/errors.ts'
import { overBoth } from '../metadata/stores.ts'
import { freshPostgres } from '../servers.ts'
import { smallJob } from './smallJob.ts'

const database = await freshPostgres()

overBoth(fresh => {
  test('a run that was taken over stops, loads nothing, and leaves its end to its successor', async () => {
    const { metadata, name, night, loaded } = await smallJob(database, fresh())
    await night(1)
    const takeOver = async (task: string) => {
      if (!task.startsWith('diff.')) return
      await metadata.takeOver((await metadata.activeRun(name))!, 'successor', true)
    }
    let taken = Promise.resolve()
    const started = (task: string) => {
      taken = taken.then(() => takeOver(task))
    }
    await assert.rejects(night(2, { progress: { started } }), (error: unknown) => {
      assert.ok(error instanceof EngineError)
      assert.equal(error.code, 'FENCED')
      assert.equal(error.exitCode, 75)
      return true
    })
    await taken
    const active = (await metadata.activeRun(name))!
    assert.deepEqual([active.owner, active.fence, active.attempt], ['successor', 2, 2])
    assert.deepEqual(
      (await metadata.tasks(active.run)).filter(({ task }) => task.startsWith('load.')),
      [],
    )
    assert.equal(await loaded(), '1')
    // The successor does not answer for a day: its lease has expired.
    const next = await night(3)
    assert.deepEqual([next.error, next.resumed, next.run], [undefined, true, active.run])
    assert.equal(await loaded(), '1,2', 'what the run had read when it was begun')
  })
})
