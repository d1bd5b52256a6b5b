import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { Duck } from '../../engine/sql/duckdb.ts'
import { findings, type RangeFinding } from '../../engine/verify/findings.ts'

const duck = await Duck.open({ threads: 1 })
after(() => duck.close())
await duck.run(`
  CREATE TABLE expected (a INTEGER, b VARCHAR, _nf_newer INTEGER, _nf_range INTEGER, _nf_sum BIGINT);
  INSERT INTO expected VALUES
    (1, 'x', 5, 0, 10), (2, 'x', 5, 0, 20), (3, 'x', 5, 1, 30), (4, 'x', 5, 1, 40), (5, 'x', 5, 1, 50),
    (6, 'x', NULL, 2, NULL), (7, 'x', NULL, 2, NULL), (8, 'x', NULL, -1, NULL);
  CREATE TABLE target (a INTEGER, b VARCHAR, age INTEGER, sum BIGINT);
  INSERT INTO target (a, b, age, sum) VALUES
    (1, 'x', 5, 10), (2, 'x', 4, 21), (3, 'x', 6, 31), (4, 'x', 5, 41), (6, 'x', 1, 60), (8, 'x', 1, 80), (9, 'y', 1, 90);
`)

const load = { key: ['a', 'b'], aged: true }
const judge = (change: Partial<typeof load> = {}, extra = true) =>
  findings(
    duck,
    { ...load, ...change },
    {
      expected: 'FROM expected',
      held: 'SELECT a, b, age AS _nf_newer, sum AS _nf_sum FROM target',
      extra,
    },
  )
const brief = (found: RangeFinding[]) =>
  found.map(({ range, verdict, rows, keys }) => [range, verdict, rows, keys.map(key => key.join()).join(' ')])

test('each row is compared: equal, differing, older, newer, missing, lingering, strange', async () => {
  assert.deepEqual(brief(await judge()), [
    [0, 'differs', 1, '2,x'],
    [0, 'equal', 1, ''],
    [1, 'differs', 1, '4,x'],
    [1, 'missing', 1, '5,x'],
    [1, 'newer', 1, ''],
    [2, 'equal', 1, ''],
    [2, 'lingers', 1, '6,x'],
    [-1, 'extra', 1, '9,y'],
  ])
})

test('of many rows a few are named', async () => {
  await duck.run(`INSERT INTO expected SELECT i, 'z', 5, i // 100, i FROM range(1000, 2000) AS r(i)`)
  const found = (await judge({ aged: false }, false)).filter(({ range }) => range >= 10)
  assert.deepEqual(
    found.map(({ rows }) => rows),
    Array(10).fill(100),
  )
  assert.deepEqual(
    found.filter(({ keys }) => keys.length > 0).map(({ range, keys }) => [range, keys.length]),
    [
      [10, 3],
      [11, 3],
    ],
    'ranges 0, 1 and 2 are named first',
  )
})
