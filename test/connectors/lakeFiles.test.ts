import assert from 'node:assert/strict'
import { dirname } from 'node:path'
import { describe, test } from 'node:test'
import { collect } from '../../src/connectors/lake/vacuum.ts'
import { counted, fresh, globOf, load, newestOf, rowsOf, signal, values } from './lakeLoading.ts'
import type { LoadInput } from './lakeNight.ts'

let damages = 0

describe('files', () => {
  test('partitions are folders, of which readers take no column', async () => {
    const { root, target } = fresh()
    const spec = { partitionBy: ['year', '_p'] }
    await load(target, {
      loadId: 'L1',
      spec,
      sql: values('id, year, _p', "(1, 2026, 'a/b=c%')", '(2, 2026, NULL)', "(3, 2025, '007')"),
    })
    const folders = (await root.names(/^t\/year/)).map(path => dirname(path))
    assert.deepEqual([...new Set(folders)].sort(), [
      't/year-2025/%5Fp-007',
      't/year-2026/%5Fp-NULL',
      't/year-2026/%5Fp-a%2Fb%3Dc%25',
    ])
    for (const hive of [false, true])
      assert.deepEqual(await globOf(root, 'id, year, _p', hive), ['1 2026 a/b=c%', '2 2026 ', '3 2025 007'])
    await assert.rejects(
      load(target, { loadId: 'L2', spec, sql: `SELECT 1 AS id, 1 AS year, repeat('é', 130) AS _p` }),
      {
        code: 'DATA_INVALID',
        message: /w\.t\._p: 'é+…' is too long/,
      },
    )
  })

  test('who reads the folder by a glob sees the table: no older version, no column less, no error where it is empty', async () => {
    const { root, target } = fresh()
    const spec: LoadInput['spec'] = { deletes: 'hard', partitionBy: ['p'], whole: true }
    const nights: [string, string[]][] = [
      [values('id, p, x', "(1::INTEGER, 'a', 1)", "(2, 'a', 2)", "(3, 'b', 3)"), ['1 a 1', '2 a 2', '3 b 3']],
      [values('id, p, x', "(1::INTEGER, 'b', 1)", "(2, 'a', 5)"), ['1 b 1', '2 a 5']],
      [
        values('id, p, x', "(1::BIGINT, 'b', 1)", "(2, 'a', 5)", "(4000000000, 'c', 7)"),
        ['1 b 1', '2 a 5', '4000000000 c 7'],
      ],
      [values('id, p, x, y', "(1::BIGINT, 'b', 1, 'new')", "(2, 'a', 5, NULL)"), ['1 b 1 new', '2 a 5 ']],
      [`${values('id, p, x, y', "(1::BIGINT, 'b', 1, 'new')")} LIMIT 0`, []],
      [values('id, p, x, y', "(1::BIGINT, 'b', 1, 'new')"), ['1 b 1 new']],
    ]
    for (const [index, [sql, expected]] of nights.entries()) {
      await load(target, { loadId: `L${index}`, spec, sql })
      assert.deepEqual(await globOf(root), expected, `night ${index}`)
      assert.deepEqual(await rowsOf(root), expected)
    }
    // What somebody puts back is taken away by the next load.
    const [old] = await root.names(/^_nightfreight\/files\/.*parquet$/)
    await root.put('t/p-a/old.parquet', await root.get(old!))
    await load(target, { loadId: 'again', spec, sql: nights.at(-1)![0] })
    assert.deepEqual(await globOf(root), ['1 b 1 new'])
  })

  test('table names stay in the root', async () => {
    const { root, target } = fresh()
    for (const [index, table] of ['../out', '_nightfreight', 'mart.dim', '.hidden'].entries())
      await load(target, { loadId: `L${index}`, spec: { table }, sql: 'SELECT 1 AS id' })
    const folders = (await root.names()).map(path => path.split('/')[0])
    assert.deepEqual([...new Set(folders)].sort(), [
      '%2E.%2Fout',
      '%2Ehidden',
      '%5Fnightfreight',
      '_nightfreight',
      'mart.dim',
    ])
    assert.deepEqual(await rowsOf(root, '*', 'mart.dim'), ['1'])
  })

  test('have the size wanted, and key ranges that do not overlap; a change rewrites the file that holds it', async () => {
    const { root, target } = fresh(100_000)
    const sql = (where = 'true') =>
      `SELECT i AS id, md5(i::VARCHAR) AS s FROM range(30000) r(i) WHERE ${where} ORDER BY s`
    await load(target, { loadId: 'L1', sql: sql() })
    const { files } = await newestOf(root)
    assert.ok(files.length > 3)
    for (const { bytes } of files.slice(1)) assert.ok(bytes > 50_000 && bytes < 200_000, `${bytes}`)
    const ranges = files.map(({ min, max }) => [Number(min.id), Number(max.id)] as const)
    for (const [index, [low]] of ranges.entries())
      assert.equal(low, index === 0 ? 0 : ranges[index - 1]![1] + 1)
    const changed = `SELECT id, 'x' AS s FROM (${sql('i = 15000')})`
    // A file that need not be looked at need not be there.
    await root.remove(`t/${files[0]!.path}`)
    assert.deepEqual(await counted(target, 'L2', changed), [0, 1, 0, 0])
    const after = (await newestOf(root)).files.map(({ path }) => path)
    assert.equal(files.filter(({ path }) => !after.includes(path)).length, 1)
  })

  test('small files of a partition are written together when they have become many', async () => {
    const { root, target } = fresh(1e6)
    for (let night = 0; night < 10; night++)
      await load(target, { loadId: `L${night}`, spec: { mode: 'append' }, sql: `SELECT ${night} AS id` })
    const { files } = await newestOf(root)
    assert.equal(files.length, 2)
    assert.equal((await rowsOf(root)).length, 10)
  })

  test('a load that changes nothing makes a commit but no file', async () => {
    const { root, target } = fresh()
    await load(target, { loadId: 'L1', sql: 'SELECT 1 AS id, 2 AS x' })
    const before = await root.names(/^t\//)
    assert.deepEqual(await counted(target, 'L2', 'SELECT 1 AS id, 2 AS x'), [0, 0, 0, 1])
    assert.deepEqual(await root.names(/^t\//), before)
    assert.equal((await target.syncPoints('j', signal))[0]!.run, 'L2')
  })

  test('one that is missing or damaged is named before its rows are used', async () => {
    const { root, target } = fresh()
    await load(target, { loadId: 'L1', sql: 'SELECT i AS id, i % 7 AS x FROM range(100) r(i)' })
    const path = `t/${(await newestOf(root)).files[0]!.path}`
    const good = await root.get(path)
    const fails = (message: RegExp) =>
      assert.rejects(
        counted(target, `damaged ${damages++}`, 'SELECT 1::BIGINT AS id, 9::BIGINT AS x'),
        (error: Error & { code: string }) => {
          assert.equal(error.code, 'STAGING_CORRUPT')
          assert.match(error.message, message)
          assert.ok(error.message.includes(`${root.store().where}/${path}`), error.message)
          return true
        },
      )
    await root.put(path, good.subarray(0, -1))
    await fails(/bytes instead of/)
    const flipped = Buffer.from(good)
    flipped[good.length >> 1]! ^= 1
    await root.put(path, flipped)
    await fails(/checksum differs/)
    await root.remove(path)
    await fails(/is missing: 100 rows of t/)
    await root.put(path, good)
    assert.deepEqual(await counted(target, 'L2', 'SELECT 1::BIGINT AS id, 9::BIGINT AS x'), [0, 1, 0, 0])
    const commit = '_nightfreight/commits/000002.json'
    await root.put(commit, (await root.get(commit)).subarray(0, 90))
    await assert.rejects(target.describe('t', signal), {
      code: 'STAGING_CORRUPT',
      message: /000002\.json is not what was written/,
    })
  })

  test('what nobody refers to goes when it is old; old versions stay for a while', async () => {
    const { root, target } = fresh()
    const store = root.store()
    for (const x of [1, 2, 3]) await load(target, { loadId: `L${x}`, sql: `SELECT 1 AS id, ${x} AS x` })
    const orphan = 't/left-by-a-crash.parquet'
    await root.put(orphan, 'half')
    const now = new Date()
    await collect(store, ['t'], now)
    assert.equal((await root.names(/t\/.*\.parquet$/)).length, 4)
    // As if a week had passed.
    const later = new Date(now.getTime() + 8 * 24 * 3600 * 1000)
    await collect(store, ['t'], later)
    assert.deepEqual(await root.names(/left-by-a-crash/), [])
    assert.equal((await root.names(/t\/.*\.parquet$/)).length, 1)
    assert.deepEqual(await rowsOf(root), ['1 3'])
    assert.deepEqual((await target.committed('L1', signal))!.counts[0]!.inserted, 1)
    if (!root.age) return
    // A load does it by itself.
    await root.put('t/old.parquet', 'half')
    await root.put('_nightfreight/work/of-nobody/big.duckdb', 'half')
    const old = new Date(now.getTime() - 8 * 24 * 3600 * 1000)
    root.age('t/old.parquet', old)
    root.age('_nightfreight/work/of-nobody', old)
    await load(target, { loadId: 'L4', sql: 'SELECT 1 AS id, 4 AS x' })
    assert.deepEqual(await root.names(/old\.parquet|of-nobody/), [])
  })
})
