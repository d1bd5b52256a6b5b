import assert from 'node:assert/strict'
import { test } from 'node:test'
import { freshMariadb, freshPostgres } from '../servers.ts'
import { duckdbKind, lakeKind, mysqlKind, postgresKind } from './everyMode.ts'
import { commitOf, loading, rows, signal } from './loading.ts'

const { stage, load, path } = loading()

for (const { kind, fresh } of [
  { kind: postgresKind, fresh: freshPostgres },
  { kind: mysqlKind, fresh: freshMariadb },
  { kind: duckdbKind },
  { kind: lakeKind },
])
  test(`${kind.name}: a commit whose rows were compared with another run's than the target holds is refused`, async t => {
    const server = await fresh?.(t)
    const target = kind.open(server?.url ?? path(kind.name))
    const began = commitOf('L3')
    try {
      await load(target, 'L1', {}, `${rows("(1, 'a')", "(2, 'b')")} AS v(id, x)`)
      for (const base of [null, 'L0', 'L2 (in part)']) {
        const staged = await stage(target, 'L2', {}, `${rows("(1, 'A')", "(3, 'c')")} AS v(id, x)`)
        await assert.rejects(target.commit({ ...commitOf('L2', staged), base }, signal), {
          code: 'RUN_OUTDATED',
          message: /it was compared as .*, and run L1 has loaded it since$/,
        })
        await target.abandon('L2')
        assert.equal(await target.committed('L2', signal), undefined)
        const { now, left } = await target.standing('t', signal)
        assert.deepEqual([now!.rows, left!.run], [2, 'L1'])
      }
      // A run's own batches do not stand in its way, and a repeat is told that it is one.
      for (const loadId of ['L3/0', 'L3']) {
        const staged = await stage(target, loadId, {}, `${rows("(3, 'c')")} AS v(id, x)`)
        const syncPoints = loadId === 'L3' ? began.syncPoints : [{ extract: '', value: null, run: 'L3' }]
        const commit = { ...commitOf(loadId, staged), run: 'L3', syncPoints, base: 'L1' }
        assert.equal((await target.commit(commit, signal)).repeated, false)
        await target.abandon(loadId)
      }
      const again = await stage(target, 'L3', {}, `${rows("(3, 'c')")} AS v(id, x)`)
      const { repeated } = await target.commit({ ...commitOf('L3', again), base: 'L1' }, signal)
      assert.equal(repeated, true)
      assert.equal((await target.standing('t', signal)).now!.rows, 3)
    } finally {
      await target.close()
    }
  })
