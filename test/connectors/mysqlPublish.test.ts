import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { EngineError } from '../../engine/errors.ts'
import { MysqlTarget } from '../../src/connectors/mysql/target.ts'
import { reversed } from '../jobs/following.ts'
import { smallJob } from '../jobs/small.ts'
import { judgingProxy, type Verdict } from '../proxy.ts'
import { type FreshDatabase, freshMariadb, type Hooks } from '../servers.ts'
import { commitOf, loading, rows, signal } from './loading.ts'
import { mysqlStatements, type WireParser } from './wire.ts'

// A table that a load makes has its name once all its rows are committed, whatever happens between.

const { stage } = loading()
const source = await freshMariadb()
await source.query('CREATE TABLE parents (id int PRIMARY KEY, name varchar(20) NOT NULL)')
await source.query(
  `CREATE TABLE children (id int PRIMARY KEY, parent int, n int,
    FOREIGN KEY (parent) REFERENCES parents (id), KEY (n))`,
)
await source.query("INSERT INTO parents SELECT seq, CONCAT('p', seq) FROM seq_1_to_100")
await source.query('INSERT INTO children SELECT seq, 1 + seq % 100, seq FROM seq_1_to_3000')

const yaml = (url: string, name = 'children') => `
connections: { from: "${source.url}", to: "${url}" }
extract:
  parents: { from: from, table: parents }
  children: { from: from, table: children }
load:
  ${name}: { to: to, from: children, key: id, mode: replace, foreign_keys: source, indexes: source }
  parents: { to: to, from: parents, key: id, mode: replace }
resources: { memory: 400MB, threads: 1 }
retries: { limit: 0 }
`

/** A job through a proxy that asks `at` about each of its statements. */
async function watched(
  t: Hooks,
  name: string,
  target: FreshDatabase,
  at: (statement: string) => Promise<Verdict>,
) {
  const parsers = new Map<number, WireParser>()
  const proxy = await judgingProxy(target.url, async (bytes, connection) => {
    const parser = parsers.get(connection) ?? mysqlStatements()
    parsers.set(connection, parser)
    for (const statement of parser(bytes)) {
      const verdict = await at(statement)
      if (verdict !== 'pass') return verdict
    }
    return 'pass'
  })
  t.after(() => proxy.close())
  return smallJob(t, name, { 'job.yaml': yaml(proxy.url) })
}

const tables = async ({ query }: FreshDatabase) => {
  const rows = await query<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = DATABASE()
       AND (table_name IN ('parents', 'children') OR table_name LIKE 'nightfreight\\_stg%') ORDER BY 1`,
  )
  return rows.map(({ name }) => name)
}

/** A table as a session finds it that has nothing to do with the load. */
async function standing({ url }: FreshDatabase, table: string) {
  const target = new MysqlTarget({ name: 'to', url })
  try {
    return await target.standing(table, new AbortController().signal)
  } finally {
    await target.close()
  }
}

const counts = async ({ query }: FreshDatabase) => {
  const [row] = await query<{ p: unknown; c: unknown }>(
    'SELECT (SELECT count(*) FROM parents) AS p, (SELECT count(*) FROM children) AS c',
  )
  return [Number(row!.p), Number(row!.c)]
}

test('tables of a first load appear at once, whole, with the names of their foreign keys', async t => {
  const target = await freshMariadb(t)
  const seen: string[] = []
  const ended = new AbortController()
  const looking = (async () => {
    while (!ended.signal.aborted) {
      const now = await counts(target).then(String, error => {
        if (/exist/.test(String(error))) return 'none'
        throw error
      })
      if (seen.at(-1) !== now) seen.push(now)
      await delay(1)
    }
  })()
  const job = await watched(t, 'appear', target, async () => 'pass')
  const { error } = await job.run()
  await delay(20)
  ended.abort()
  await looking
  assert.equal(error, undefined, String(error))
  assert.deepEqual(seen, ['none', '100,3000'])
  assert.deepEqual(await tables(target), ['children', 'parents'])
  assert.deepEqual(await counts(target), [100, 3000])
  const [shown] = await target.query<{ 'Create Table': string }>('SHOW CREATE TABLE children')
  assert.match(shown!['Create Table'], /FOREIGN KEY \(`parent`\) REFERENCES `parents` \(`id`\)/)
  assert.doesNotMatch(shown!['Create Table'], /nightfreight/)
  const next = await job.run()
  assert.equal(next.error, undefined, String(next.error))
  assert.ok(next.outcome.loaded.every(({ staged }) => staged === 0))
})

test('a load that is cut off between its commit and the renaming is ended by whoever comes next', async t => {
  const target = await freshMariadb(t)
  let cutting = true
  const job = await watched(t, 'healed', target, async statement =>
    cutting && statement.startsWith('RENAME TABLE') ? 'cut' : 'pass',
  )
  const { error } = await job.run()
  assert.equal((error as EngineError).code, 'CONNECTION_LOST', String(error))
  assert.ok(!(await tables(target)).includes('parents'))
  cutting = false
  const { now, left } = await standing(target, 'children')
  assert.equal(now?.rows, 3000)
  assert.equal(now.identity, left?.identity)
  assert.deepEqual(await tables(target), ['children', 'parents'])
  assert.deepEqual(await counts(target), [100, 3000])
  // The run that was cut off is continued, and finds its load committed.
  const again = await job.run()
  assert.equal(again.error, undefined, String(again.error))
  const next = await job.run()
  assert.equal(next.error, undefined, String(next.error))
  assert.deepEqual(
    next.outcome.loaded.map(({ staged, reason }) => [staged, reason]),
    [
      [0, undefined],
      [0, undefined],
    ],
  )
})

test('a load that is killed before its commit leaves no table', async t => {
  const target = await freshMariadb(t)
  let cutting = true
  const job = await watched(t, 'none', target, async statement =>
    cutting && statement === 'COMMIT' ? 'cut' : 'pass',
  )
  assert.equal(((await job.run()).error as EngineError).code, 'CONNECTION_LOST')
  cutting = false
  assert.equal((await standing(target, 'children')).now, undefined)
  assert.deepEqual(
    (await tables(target)).filter(name => name === 'parents' || name === 'children'),
    [],
  )
  assert.deepEqual(await target.query('SELECT * FROM nightfreight_made'), [])
  assert.equal((await job.run()).error, undefined)
  assert.deepEqual(await tables(target), ['children', 'parents'])
})

test('a table that somebody makes meanwhile is not replaced, and what was loaded is not lost', async t => {
  const target = await freshMariadb(t)
  let before: 'fill' | 'rename' | undefined = 'fill'
  const job = await watched(t, 'taken', target, async statement => {
    const due =
      before === 'fill' ? /^INSERT INTO nightfreight_loads/ : before === 'rename' ? /^RENAME TABLE/ : /^$/
    if (due.test(statement)) {
      before = undefined
      await target.query('CREATE TABLE parents (mine int)')
    }
    return 'pass'
  })
  const early = (await job.run()).error as EngineError
  assert.equal(early.code, 'TARGET_CHANGED', String(early))
  assert.match(early.message, /to\.parents: somebody has made it since the load began/)
  assert.deepEqual(await tables(target), ['parents'])

  await target.query('DROP TABLE parents')
  before = 'rename'
  const late = (await job.run()).error as EngineError
  assert.equal(late.code, 'TARGET_CHANGED', String(late))
  assert.match(late.message, /parents \(loaded as nightfreight_stg_/)
  assert.deepEqual(
    (await target.query<{ f: string }>('SHOW COLUMNS FROM parents')).length,
    1,
    'it is as it was made',
  )
  await target.query('RENAME TABLE parents TO mine')
  const again = await job.run()
  assert.equal(again.error, undefined, String(again.error))
  assert.deepEqual(await counts(target), [100, 3000])
})

test('a table whose name stands in backticks keeps its rows, with its database or without', async t => {
  const target = await freshMariadb(t)
  for (const name of ['`a.b`', `\`${target.name}\`.\`c.d\``]) {
    const job = await smallJob(t, `quoted-${name.length}`, {
      'job.yaml': `
connections: { from: "${source.url}", to: "${target.url}" }
extract:
  parents: { from: from, table: parents }
load:
  ${JSON.stringify(name)}: { to: to, from: parents, key: id, mode: replace }
resources: { memory: 400MB, threads: 1 }
`,
    })
    for (const [inserted, unchanged] of [
      [100, 0],
      [0, 100],
    ]) {
      const { outcome, error } = await job.run()
      assert.equal(error, undefined)
      assert.deepEqual(
        outcome.accounts.loads.map(({ loaded, unchanged }) => ({ loaded, unchanged })),
        [{ loaded: inserted, unchanged }],
      )
      const [row] = await target.query(`SELECT count(*) AS n FROM ${name}`)
      assert.equal(Number(row!.n), 100)
    }
  }
})

test('a load that waits for another which is cut off before the renaming goes by what that has committed', async hooks => {
  const t = reversed(hooks)
  const target = await freshMariadb(t)
  const [spec, begun] = [{ table: 't', mode: 'append' as const }, Promise.withResolvers<void>()]
  const second = new MysqlTarget({ name: 'w', url: target.url })
  t.after(() => second.close())
  let later: Promise<unknown> | undefined
  const parsers = new Map<number, WireParser>()
  const proxy = await judgingProxy(target.url, async (bytes, connection) => {
    const parser = parsers.get(connection) ?? mysqlStatements()
    parsers.set(connection, parser)
    if (!parser(bytes).some(sql => sql.startsWith('RENAME TABLE'))) return 'pass'
    later = second.commit(commitOf('B', b), signal)
    later.catch(() => {})
    await delay(300)
    begun.resolve()
    return 'cut'
  })
  t.after(() => proxy.close())
  const first = new MysqlTarget({ name: 'w', url: proxy.url })
  t.after(() => first.close())
  const a = await stage(first, 'A', spec, `${rows('(1, 1), (2, 1)')} AS v(id, x)`)
  const b = await stage(second, 'B', spec, `${rows('(2, 2), (3, 2)')} AS v(id, x)`)
  await assert.rejects(first.commit(commitOf('A', a), signal), { code: 'CONNECTION_LOST' })
  await begun.promise
  await later
  const there = await target.query<{ id: number; x: number }>('SELECT id, x FROM t ORDER BY id')
  assert.deepEqual(
    there.map(({ id, x }) => `${id}:${x}`),
    ['1:1', '2:1', '3:2'],
  )
})
