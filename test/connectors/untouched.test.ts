import assert from 'node:assert/strict'
import { test } from 'node:test'
import { callHere } from '../../engine/pool/pool.ts'
import { freshMariadb, freshPostgres } from '../servers.ts'
import { duckdbKind, lakeKind, mysqlKind, postgresKind } from './everyMode.ts'
import { commitOf, loading, rows, signal } from './loading.ts'

const { stage, load, path } = loading()
const NOTHING = { paths: [], rows: 0, keyPaths: [], keys: 0, lanes: 1, offload: callHere, progress() {} }

for (const { kind, fresh } of [
  { kind: postgresKind, fresh: freshPostgres },
  { kind: mysqlKind, fresh: freshMariadb },
  { kind: duckdbKind },
  { kind: lakeKind },
])
  test(`${kind.name}: a load that changes no row is committed with the others, and not into a table made anew`, async t => {
    const server = await fresh?.(t)
    const target = kind.open(server?.url ?? path(kind.name))
    try {
      await load(target, 'L1', {}, `${rows("(1, 'a')", "(2, 'b')")} AS v(id, x)`)
      const { identity } = (await target.standing('t', signal)).now!
      const other = await stage(target, 'L2', { table: 'u' }, `${rows("(3, 'c')")} AS v(id, x)`)
      const one = { ...other, table: 't', identity }
      await target.stage({ loadId: 'L2', job: 'j', load: one, ...NOTHING }, signal)
      const { counts } = await target.commit(commitOf('L2', one, other), signal)
      const found = counts.map(count => `${count.table}: ${count.inserted} of ${count.rows}`)
      assert.deepEqual(found.sort(), ['t: 0 of 2', 'u: 1 of 1'])
      const { now, left } = await target.standing('t', signal)
      assert.deepEqual([now!.rows, left!.rows, left!.run], [2, 2, 'L2'])
      assert.equal((await target.commit(commitOf('L2', one, other), signal)).repeated, true)
      // The others tell no table from one made within the same second.
      if (!server || kind !== postgresKind) return
      await server.query('DROP TABLE t')
      await server.query('CREATE TABLE t (id int PRIMARY KEY, x text)')
      await assert.rejects(
        async () => {
          await target.stage({ loadId: 'L3', job: 'j', load: one, ...NOTHING }, signal)
          await target.commit(commitOf('L3', one), signal)
        },
        { code: 'TARGET_CHANGED' },
      )
      assert.equal((await target.standing('t', signal)).left!.run, 'L2')
    } finally {
      await target.close()
    }
  })
