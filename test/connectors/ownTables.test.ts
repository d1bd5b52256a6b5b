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

for (const { kind, fresh } of [
  { kind: postgresKind, fresh: freshPostgres },
  { kind: mysqlKind, fresh: freshMariadb },
])
  for (const [what, made] of [
    ['a table that people made', `CREATE TABLE t (id int${kind === mysqlKind ? ' UNIQUE' : ''}, x int)`],
    ['a table that a load made', undefined],
    ['a table that is not there yet', ''],
  ] as const)
    test(`${kind.name}: of two loads into ${what} at one time, the second goes by all that the first left`, async t => {
      const { url, query } = await fresh(t)
      const [first, second] = [kind.open(url), kind.open(url)]
      const spec = { table: 't', guard: { maxDeleteShare: 1, allowEmpty: true } }
      if (made) await query(made)
      if (made !== '')
        await first.commit(
          commitOf('M', await stage(first, 'M', spec, `${rows('(0, 0)')} AS v(id, x)`)),
          signal,
        )
      const both = async (round: string, mode: 'append' | 'replace', one: string, other: string) => {
        const a = await stage(
          first,
          `A${round}`,
          { ...spec, mode, whole: mode === 'replace' },
          `${rows(one)} AS v(id, x)`,
        )
        const b = await stage(
          second,
          `B${round}`,
          { ...spec, mode, whole: mode === 'replace' },
          `${rows(other)} AS v(id, x)`,
        )
        let later: Promise<unknown> | undefined
        await first.commit(commitOf(`A${round}`, a), signal, async () => {
          later = second.commit(commitOf(`B${round}`, b), signal)
          later.catch(() => {})
          await new Promise(resolve => setTimeout(resolve, 250))
        })
        await later
        const there = await query<{ id: number; x: number }>('SELECT id, x FROM t ORDER BY id, x')
        return there.map(({ id, x }) => `${id}:${x}`)
      }
      assert.deepEqual(await both('1', 'replace', '(1, 1), (2, 1)', '(3, 2)'), ['3:2'])
      assert.deepEqual(await both('2', 'append', '(3, 8), (7, 1)', '(7, 2), (8, 2)'), ['3:2', '7:1', '8:2'])
      await first.close()
      await second.close()
    })
