import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { Target } from '../../engine/contracts/target.ts'
import { commitPath, loadPath } from '../../src/connectors/lake/layout.ts'
import { Log } from '../../src/connectors/lake/log.ts'
import { LakeSource } from '../../src/connectors/lake/source.ts'
import { LakeTarget } from '../../src/connectors/lake/target.ts'
import type { FileStore } from '../../src/stores/store.ts'
import {
  checkFiles,
  counted,
  duck,
  FORMAT,
  folder,
  fresh,
  load,
  newestOf,
  rowsOf,
  signal,
  values,
} from './lakeLoading.ts'
import { applyLoad, type Row, type Spec } from './lakeModel.ts'
import { commitOf, type LoadInput, stageInto } from './lakeNight.ts'
import { onS3 } from './lakePlaces.ts'

describe('modes', () => {
  const PARTITIONS = ['a', 'a/b', '', 'ü=%', null]
  const row = fc.record({
    a: fc.integer({ min: 0, max: 5 }),
    b: fc.constantFrom('x', 'y', "it's"),
    p: fc.constantFrom(...PARTITIONS),
    seen: fc.option(fc.integer({ min: 0, max: 3 })),
    x: fc.option(fc.integer({ min: 0, max: 2 })),
    born: fc.integer({ min: 0, max: 9 }),
  })
  const night = fc.record({
    rows: fc.uniqueArray(row, { selector: ({ a, b }) => `${a} ${b}`, maxLength: 12 }),
    keys: fc.uniqueArray(
      fc.record({ a: fc.integer({ min: 0, max: 5 }), b: fc.constantFrom('x', 'y', "it's") }),
      { selector: ({ a, b }) => `${a} ${b}`, maxLength: 4 },
    ),
    whole: fc.boolean(),
  })
  const key = ['a', 'b']
  const specs: Record<string, Spec> = {
    append: { mode: 'append', key },
    replace: { mode: 'replace', key, partitionBy: ['p'], stamp: 'stamped' },
    'replace without a key': { mode: 'replace', key: [] },
    partition: { mode: 'partition', key, partitionBy: ['p'], stamp: 'stamped', ignore: ['x'] },
    merge: {
      mode: 'merge',
      key,
      partitionBy: ['p'],
      insertOnly: ['born'],
      stamp: 'stamped',
      compare: ['seen', 'p'],
    },
    'merge, newer, hard deletes': { mode: 'merge', key, newer: 'seen', deletes: 'hard' },
    'merge, newer, soft deletes': {
      mode: 'merge',
      key,
      partitionBy: ['p'],
      newer: 'seen',
      insertOnly: ['born'],
      deletes: 'soft',
      deletedAt: 'gone',
    },
    'merge, partitioned by a part of the key': { mode: 'merge', key, partitionBy: ['b'], deletes: 'hard' },
  }
  for (const [name, spec] of Object.entries(specs))
    test(`${name}: random nights give what the model says, with its counts`, async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(night, { minLength: 2, maxLength: 4 }), async nights => {
          const { root, target } = fresh()
          let model: Row[] = []
          for (const [index, { rows, keys, whole }] of nights.entries()) {
            const result = applyLoad(model, spec, { rows, keys, whole })
            const { created, ...counts } = await load(target, { loadId: `L${index}`, ...result.staged })
            assert.equal(created, index === 0 ? true : undefined)
            assert.deepEqual(counts, { table: 't', ...result.counts, rows: result.table.length })
            model = result.table
            const marked = spec.deletes === 'soft'
            const found = await rowsOf(
              root,
              `a, b, coalesce(p, 'NULL'), seen, x, born, ${marked ? 'gone IS NOT NULL' : false}, ${spec.stamp ? 'stamped IS NOT NULL' : true}`,
            )
            const expected = model.map(({ a, b, p, seen, x, born, gone }) =>
              [a, b, p ?? 'NULL', seen, x, born, marked && gone === true, true].join(' '),
            )
            assert.deepEqual(found, expected.sort())
          }
          await checkFiles(root)
          await root.clear()
        }),
        { numRuns: onS3 ? 1 : 3, endOnFailure: true },
      )
    })
})

describe('commits', () => {
  test('a repeated load id does nothing; its sync point came with it', async () => {
    const { target, root } = fresh()
    assert.deepEqual(await target.syncPoints('j', signal), [])
    assert.equal(await target.committed('L1', signal), undefined)
    assert.equal(await target.describe('t', signal), undefined)
    const planned = await stageInto(duck, folder, target, { loadId: 'L1', sql: 'SELECT 1 AS id, 1 AS x' })
    const first = await target.commit(commitOf('L1', [planned]), signal)
    const again = await target.commit(commitOf('L1', [planned]), signal)
    assert.deepEqual(again, { counts: first.counts, repeated: true })
    assert.deepEqual(await target.committed('L1', signal), again)
    await load(target, { loadId: 'L2', sql: 'SELECT 1 AS id, 2 AS x', job: 'other' })
    assert.deepEqual(await target.committed('L1', signal), again)
    assert.deepEqual(await target.syncPoints('j', signal), [
      { extract: 'members', value: 'at L1', run: 'L1' },
    ])
    assert.equal((await target.describe('t', signal))!.key[0], 'id')
    assert.deepEqual(await rowsOf(root), ['1 2'])
  })

  test('commits that others have followed for longer than runs are kept are forgotten, the oldest first', async () => {
    const { target, root } = fresh()
    const night = (n: number) => load(target, { loadId: `L${n}`, sql: `SELECT 1 AS id, ${n} AS x` })
    const state = () => root.names(/^_nightfreight\/(commits|loads)\//)
    for (const n of [1, 2, 3, 4]) await night(n)
    for (const [version, days] of [300, 200, 91, 89].entries()) {
      const path = commitPath(version + 1)
      const at = new Date(Date.now() - days * 24 * 3600 * 1000).toISOString()
      await root.put(path, JSON.stringify({ ...JSON.parse((await root.get(path)).toString()), at }))
    }
    // One that was killed had begun.
    for (const path of [loadPath('L1'), commitPath(1)]) await root.remove(path)
    await night(5)
    const left = [3, 4, 5]
    assert.deepEqual(await state(), [...left.map(commitPath), ...left.map(n => loadPath(`L${n}`))].sort())
    for (const n of [1, 2]) assert.equal(await target.committed(`L${n}`, signal), undefined)
    for (const n of left) assert.equal((await target.committed(`L${n}`, signal))?.repeated, true)
    await night(6)
    assert.deepEqual(await rowsOf(root), ['1 6'])
    const source = new LakeSource(root.place, 'w')
    const extract = { name: 't', from: 'w', key: [], columns: {} }
    for (const options of [{ version: 2 }, { as_of: '2020-01-01T00:00:00Z' }])
      await assert.rejects(source.describe({ ...extract, options: { table: 't', ...options } }), {
        code: 'CONFIG_INVALID',
        message: /kept no more, the oldest is 3|kept no more: the oldest commit is of/,
      })
  })

  test('a failure leaves every table untouched, and names the key', async () => {
    const { target, root } = fresh()
    await load(target, { loadId: 'L1', sql: 'SELECT 1 AS id, 1 AS x' })
    for (const [sql, message] of [
      [values('id, x', '(1, 2)', '(NULL, 2)'), /w\.u: id = NULL: a key may not be NULL/],
      [values('id, x', '(7, 2)', '(7, 3)'), /w\.u: id = 7: 2 rows have this key/],
    ] as const) {
      const good = await stageInto(duck, folder, target, { loadId: 'L2', sql: 'SELECT 1 AS id, 2 AS x' })
      const bad = await stageInto(duck, folder, target, { loadId: 'L2', spec: { table: 'u' }, sql })
      await assert.rejects(target.commit(commitOf('L2', [good, bad]), signal), {
        code: 'CONSTRAINT_VIOLATED',
        message,
      })
      await target.abandon('L2')
    }
    assert.equal(await target.committed('L2', signal), undefined)
    assert.equal((await target.syncPoints('j', signal))[0]!.run, 'L1')
    assert.equal(await target.describe('u', signal), undefined)
    assert.deepEqual(await rowsOf(root), ['1 1'])
    assert.deepEqual(await root.names(/^_nightfreight\/work\//), [])
    // What the failed loads had written of the good table is not left to take space.
    assert.equal((await root.names(/^t\/.*\.(parquet|json)$/)).length, 2)
  })

  test('a history keeps a new key whose values are all NULL, also of those that decide', async () => {
    const sql = "SELECT 1 AS id, NULL::INTEGER AS x, 'v' AS y UNION ALL SELECT 2, 2, NULL"
    for (const spec of [{}, { compare: ['x'] }, { newer: 'seen' }]) {
      const { target, root } = fresh()
      const history = { mode: 'scd2' as const, ...spec }
      const seen = `SELECT *, NULL::TIMESTAMP AS seen FROM (${sql})`
      assert.deepEqual(await counted(target, 'L1', seen, history), [2, 0, 0, 0])
      assert.deepEqual(await rowsOf(root, 'id, x, is_current'), ['1  true', '2 2 true'])
      const more = `${seen} UNION ALL SELECT 3, NULL, NULL, NULL`
      assert.deepEqual(await counted(target, 'L2', more, history), [1, 0, 0, 2])
    }
  })

  test('guards of what only the table knows stop before anything is written', async () => {
    const { target, root } = fresh()
    await load(target, { loadId: 'L1', sql: 'SELECT i AS id FROM range(10) r(i)' })
    const guard = { maxDeleteShare: 0.3, allowEmpty: false }
    const whole = (sql: string, spec: LoadInput['spec']) =>
      load(target, { loadId: 'L2', sql, spec: { guard, whole: true, ...spec } })
    const specs: LoadInput['spec'][] = [
      { mode: 'replace', key: [] },
      { mode: 'replace' },
      { deletes: 'hard' },
    ]
    for (const spec of specs) {
      await assert.rejects(whole('SELECT i AS id FROM range(6) r(i)', spec), {
        code: 'GUARD_STOPPED',
        message: /4 of 10/,
      })
      await assert.rejects(whole('SELECT 1::BIGINT AS id WHERE false', spec), {
        code: 'GUARD_STOPPED',
        message: /empty/,
      })
    }
    assert.equal((await rowsOf(root)).length, 10)
    assert.equal((await whole('SELECT i AS id FROM range(7) r(i)', { deletes: 'hard' })).deleted, 3)
  })

  test('one that is stopped leaves nothing, and can be made again', async () => {
    const { root } = fresh()
    const stop = new AbortController()
    const store = root.store()
    const target: Target = new LakeTarget(store, 'w', FORMAT)
    const sql = 'SELECT i AS id, i % 9 AS p FROM range(90) r(i)'
    const planned = await stageInto(duck, folder, target, { loadId: 'L1', sql, spec: { partitionBy: ['p'] } })
    const putFile = store.putFile.bind(store)
    store.putFile = async (path, file) => {
      stop.abort()
      await putFile(path, file)
    }
    await assert.rejects(target.commit(commitOf('L1', [planned]), stop.signal), { code: 'INTERRUPTED' })
    assert.deepEqual(await store.list('.'), [])
    assert.equal((await target.commit(commitOf('L1', [planned]), signal)).counts[0]!.inserted, 90)
    assert.equal((await rowsOf(root)).length, 90)
  })

  test('loads at once into one table and into several: none is lost, one load id counts once', async () => {
    const { root } = fresh()
    const writers = ['A', 'B', 'C', 'C'].map(async (name, index) => {
      const target: Target = new LakeTarget(root.store(), 'w', FORMAT)
      const spec = { table: name === 'A' ? 'other' : 't' }
      const sql = `SELECT '${name}' || i AS id FROM range(50) r(i)`
      const planned = await stageInto(duck, folder, target, { loadId: name, sql, spec })
      return target.commit(commitOf(name, [planned], `job ${index}`), signal)
    })
    const results = await Promise.all(writers)
    assert.equal(results.filter(({ repeated }) => repeated).length, 1)
    for (const { counts } of results) assert.equal(counts[0]!.inserted, 50)
    assert.equal((await rowsOf(root)).length, 100)
    assert.equal((await rowsOf(root, '*', 'other')).length, 50)
    assert.equal((await new Log(root.store()).newest())!.version, 3)
  })
})

test('the view that a writer died before is written by the next commit, though it changes another table', async () => {
  const { root, target } = fresh()
  await load(target, { loadId: 'L1', sql: 'SELECT 1 AS id' })
  const dying = new Proxy(root.store(), {
    get: (store, name: keyof FileStore) =>
      name === 'put'
        ? async (path: string, bytes: string) => {
            if (path.endsWith('_current.sql')) throw new Error('died')
            await store.put(path, bytes)
          }
        : typeof store[name] === 'function'
          ? (store[name] as () => unknown).bind(store)
          : store[name],
  })
  await load(new LakeTarget(dying, 'w', FORMAT), { loadId: 'L2', sql: 'SELECT 2 AS id' })
  assert.deepEqual(await rowsOf(root), ['1'])
  await load(target, { loadId: 'L3', sql: 'SELECT 3 AS id', spec: { table: 'u' } })
  assert.deepEqual(await rowsOf(root), ['1', '2'])
})

test('a replace with nothing staged, since nothing has changed, leaves the table as it is', async () => {
  const { root, target } = fresh()
  const replace: LoadInput['spec'] = { mode: 'replace', whole: true, partitionBy: ['x'] }
  await counted(target, 'L1', values('id, x', '(1, 7)', '(2, 8)'), replace)
  const nothing = 'SELECT 1 AS id, 1 AS x WHERE false'
  assert.deepEqual(await counted(target, 'L2', nothing, { ...replace, whole: false }), [0, 0, 0, 0])
  assert.deepEqual(await rowsOf(root), ['1 7', '2 8'])
  const guard = { maxDeleteShare: 1, allowEmpty: true }
  assert.deepEqual(await counted(target, 'L3', nothing, { ...replace, guard }), [0, 0, 2, 0])
})

test('a key with NUL characters is found again', async () => {
  const { root, target } = fresh()
  const rows = (v: number) =>
    values('id, v', `('a' || chr(0) || 'b', ${v})`, `(chr(0) || 'x', ${v})`, "('z', 1)")
  assert.deepEqual(await counted(target, 'first', rows(1)), [3, 0, 0, 0])
  assert.deepEqual(await counted(target, 'second', rows(2)), [0, 2, 0, 1])
  assert.deepEqual(await rowsOf(root, 'v'), ['1', '2', '2'])
})

test('a partition holds the data set, whatever the load ignores', async () => {
  const { root, target } = fresh()
  const spec: LoadInput['spec'] = { mode: 'partition', partitionBy: ['p'], ignore: ['x'] }
  await counted(target, 'L1', values('id, p, x', '(1, 1, 1)', '(2, 1, 1)', '(3, 2, 1)'), spec)
  const second = values('id, p, x', '(1, 1, 9)', '(2, 1, 1)')
  assert.deepEqual(await counted(target, 'L2', second, spec), [0, 1, 0, 1])
  assert.deepEqual(await rowsOf(root), ['1 1 9', '2 1 1', '3 2 1'])
})

describe('columns', () => {
  test('new ones are added and narrow ones widened; rows from before have NULL', async () => {
    const { root, target } = fresh()
    await counted(target, 'L1', "SELECT 1::SMALLINT AS id, 1.25::DECIMAL(5,2) AS d, 'a' AS s")
    assert.deepEqual(
      await counted(target, 'L2', 'SELECT 2::INTEGER AS id, 1000.125::DECIMAL(9,3) AS d, true AS fresh'),
      [1, 0, 0, 0],
    )
    assert.deepEqual(
      await counted(target, 'L3', "SELECT 1::TINYINT AS id, 'b' AS s", { stamp: 'seen' }),
      [0, 1, 0, 0],
    )
    assert.deepEqual(await rowsOf(root, 'id, d, s, fresh, seen IS NULL'), [
      '1 1.250 b  false',
      '2 1000.125  true true',
    ])
    const { columns } = (await target.describe('t', signal))!
    assert.deepEqual(
      columns.map(({ name, native }) => `${name} ${native}`),
      ['id INTEGER', 'd DECIMAL(9,3)', 's VARCHAR', 'fresh BOOLEAN', 'seen TIMESTAMP WITH TIME ZONE'],
    )
  })

  test('what would not be exact is refused before a row is staged; replace makes the table anew', async () => {
    const { root, target } = fresh()
    await counted(target, 'L1', values('id, x', '(1, 7)', '(2, 8)'))
    const refuses = (sql: string, message: RegExp, spec: LoadInput['spec'] = {}) =>
      assert.rejects(stageInto(duck, folder, target, { loadId: 'L2', sql, spec }), {
        code: 'TARGET_INCOMPATIBLE',
        message,
      })
    await refuses("SELECT 1 AS id, 'a' AS x", /w\.t\.x: VARCHAR does not fit INTEGER exactly/)
    await refuses('SELECT 1 AS id, 1 AS x', /w\.t: is partitioned by nothing, not by x/, {
      partitionBy: ['x'],
    })
    await refuses('SELECT 1 AS id, 0.5::DOUBLE AS y', /w\.t\.y: a float makes no partitions/, {
      mode: 'replace',
      partitionBy: ['y'],
    })
    const replace: LoadInput['spec'] = { mode: 'replace', whole: true, partitionBy: ['x'] }
    assert.deepEqual(
      await counted(target, 'L2', values('id, x', "(1, '7')", "(3, 'c')"), replace),
      [1, 0, 1, 1],
    )
    assert.deepEqual(await rowsOf(root), ['1 7', '3 c'])
    assert.deepEqual((await newestOf(root)).columns, [
      { name: 'id', type: 'INTEGER' },
      { name: 'x', type: 'VARCHAR' },
    ])
    await checkFiles(root)
  })
})
