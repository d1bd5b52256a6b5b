/** What a load leaves of a lake's table where more changes than its rows. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkFiles, counted, fresh, load, newestOf, rowsOf, values } from './lakeLoading.ts'
import type { LoadInput } from './lakeNight.ts'

test('partitions that a load does not name stay, whatever it changes of the table beside', async () => {
  const { root, target } = fresh()
  const spec: LoadInput['spec'] = { mode: 'partition', partitionBy: ['p'], key: ['p', 'id'] }
  const rows = values('p, id, x', '(1, 1, 1)', '(1, 2, 1)', '(2, 3, 1)', '(3, 4, 1)', '(4, 5, 1)')
  await counted(target, 'L1', rows, spec)
  const changed = values('p, id, x', '(1, 1, 9)', '(1, 2, 1)')
  assert.deepEqual(await counted(target, 'L2', changed, { ...spec, key: ['id', 'p'] }), [0, 1, 0, 1])
  assert.deepEqual(await counted(target, 'L3', changed, { ...spec, stamp: 'seen' }), [0, 0, 0, 2])
  const emptied = { loadId: 'L4', sql: values('p, id, x', '(5, 6, 1)'), keySql: 'SELECT 1 AS p' }
  const { deleted, inserted } = await load(target, { ...emptied, spec: spec })
  assert.deepEqual([inserted, deleted], [1, 2])
  assert.deepEqual(await rowsOf(root, 'p, id, x'), ['2 3 1', '3 4 1', '4 5 1', '5 6 1'])
  await checkFiles(root)
})

test('columns may have any name that ours have within a statement', async () => {
  for (const [one, other] of [
    ['RowID', 'k1'],
    ['k1', 'k0'],
    ['n', 'place'],
    ['b0', 'a0'],
    ['p0', 'c0'],
    ['file', 'act'],
  ]) {
    const { root, target } = fresh()
    const spec: LoadInput['spec'] = { key: [one!, other!], partitionBy: [one!] }
    const rows = (v: number) =>
      `SELECT (i * 37 % 5)::INT AS "${one}", (i * 10)::INT AS "${other}", if(i % 2 = 0, ${v}, 0) AS v FROM range(100) AS r(i)`
    assert.deepEqual(await counted(target, 'L1', rows(1), spec), [100, 0, 0, 0], one)
    assert.deepEqual(await counted(target, 'L2', rows(2), spec), [0, 50, 0, 50], one)
    await checkFiles(root)
    const sum = `count(*), sum("${one}"), sum("${other}"), sum(v)`
    assert.deepEqual(await rowsOf(root, sum), ['100 200 49500 100'])
  }
})

test('a stamp is the column of that name, however it is written', async () => {
  const { root, target } = fresh()
  const spec: LoadInput['spec'] = { mode: 'replace', key: [], whole: true, stamp: 'loaded_at' }
  await counted(target, 'L1', values('id', '(1)', '(2)'), spec)
  await counted(target, 'L2', values('id', '(1)', '(3)'), { ...spec, stamp: 'Loaded_At' })
  assert.deepEqual(await rowsOf(root, 'id, loaded_at IS NULL'), ['1 false', '3 false'])
})

test('a replace that partitions by columns of the key from now on counts the rows that change', async () => {
  const { target } = fresh()
  const spec: LoadInput['spec'] = { mode: 'replace', key: ['p', 'id'] }
  await counted(target, 'L1', values('p, id, x', '(1, 1, 1)', '(1, 2, 1)', '(2, 3, 1)'), spec)
  const input = {
    loadId: 'L2',
    sql: values('p, id, x', '(1, 1, 2)', '(2, 3, 2)'),
    keySql: 'SELECT 1 AS p, 2 AS id',
  }
  const { inserted, updated, deleted } = await load(target, {
    ...input,
    spec: { ...spec, partitionBy: ['p'] },
  })
  assert.deepEqual([inserted, updated, deleted], [0, 2, 1])
})

test('all keys before the rows of a whole load in batches are no empty data set', async () => {
  const { root, target } = fresh()
  const guard = { maxDeleteShare: 0.5, allowEmpty: false }
  const spec: LoadInput['spec'] = { deletes: 'hard', whole: true, guard }
  const rows = values('id, x', '(1, 7)', '(2, 8)', '(3, 8)')
  await counted(target, 'L1', rows, spec)
  const none = `SELECT * FROM (${rows}) LIMIT 0`
  const keys = { loadId: 'L2', sql: none, keySql: 'SELECT 1 AS id UNION ALL SELECT 2', spec }
  assert.equal((await load(target, keys)).deleted, 1)
  assert.deepEqual(await rowsOf(root), ['1 7', '2 8'])
  await assert.rejects(load(target, { ...keys, loadId: 'L3', keySql: 'SELECT 1 AS id LIMIT 0' }), {
    code: 'GUARD_STOPPED',
    message: /m is empty, and the table has 2 rows/,
  })
})

test('a file that is not what was written is taken for lost where the data set has every row', async () => {
  for (const key of [[], ['id']]) {
    const { root, target } = fresh()
    const spec: LoadInput['spec'] = { mode: 'replace', whole: true, key }
    const rows = values('id, x', '(1, 7)', '(2, 8)')
    await counted(target, 'L1', rows, spec)
    const path = `t/${(await newestOf(root)).files[0]!.path}`
    const bytes = Buffer.from(await root.get(path))
    bytes[20] = bytes[20]! ^ 1
    await root.put(path, bytes)
    await assert.rejects(
      counted(target, 'L2', rows, { ...spec, mode: 'merge', key: ['id'], deletes: 'hard' }),
      {
        code: 'STAGING_CORRUPT',
        message: /its checksum differs/,
      },
    )
    assert.deepEqual(await counted(target, 'L3', rows, spec), [2, 0, 0, 0])
    assert.deepEqual(await rowsOf(root), ['1 7', '2 8'])
  }
})
