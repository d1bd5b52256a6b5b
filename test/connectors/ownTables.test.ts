import assert from 'node:assert/strict'
import { test } from 'node:test'
import { freshMariadb, freshPostgres } from '../servers.ts'
import { mysqlKind, postgresKind } from './everyMode.ts'
import { commitOf, loading, rows, signal } from './loading.ts'

const { stage } = loading()
const ONE = `${rows('(1, 1)')} AS v(id, x)`

for (const { kind, fresh, staged } of [
  {
    kind: postgresKind,
    fresh: freshPostgres,
    staged: "SELECT relname AS name FROM pg_class WHERE relname LIKE 'stg%' AND relkind = 'r'",
  },
  { kind: mysqlKind, fresh: freshMariadb, staged: `SHOW TABLES LIKE 'nightfreight\\_stg\\_%'` },
])
  test(`${kind.name}: of two processes with one load neither touches the other's tables; who is gone loses them`, async t => {
    const { url, query } = await fresh(t)
    const count = async () => (await query(staged)).length
    const stopped = kind.open(url)
    const load = await stage(stopped, 'L', {}, ONE)
    const own = await count()
    assert.ok(own > 0)
    const successor = kind.open(url)
    await stage(successor, 'L', {}, ONE)
    assert.equal(await count(), 2 * own, 'the same load, staged again')
    await stopped.abandon('L')
    assert.equal(await count(), own, "the stopped one's, and no other")
    await stage(stopped, 'L', {}, ONE)
    assert.equal((await successor.commit(commitOf('L', load), signal)).repeated, false)
    assert.equal((await stopped.commit(commitOf('L', load), signal)).repeated, true)
    await stage(stopped, 'M', {}, ONE)
    await stopped.close()
    // The server ends a session a moment after its client has gone.
    for (let attempt = 0; attempt < 50 && (await count()) > own; attempt++) {
      await stage(successor, `N${attempt}`, {}, ONE)
      await new Promise(resolve => setTimeout(resolve, 50))
    }
    assert.equal(await count(), own, "the successor's own")
    await successor.close()
  })
