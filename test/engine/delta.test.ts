import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { changedRows, newestRows } from '../../engine/delta/changes.ts'
import { rowHash } from '../../engine/delta/hash.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { type Column, typeFromName } from '../../engine/types/logical.ts'

let duck: Duck
before(async () => {
  duck = await Duck.open({ threads: 1 })
})
after(() => duck.close())

const columns = (...types: string[]): Column[] =>
  types.map((type, index) => ({ name: `c${index}`, type: typeFromName(type)!, nullable: true, native: type }))

async function hashOf(types: string[], values: string[]): Promise<string> {
  const list = values.map((value, index) => `${value}::${types[index]} AS c${index}`).join(', ')
  const [row] = await duck.rows(
    `SELECT ${rowHash(columns(...types), 'r')}::VARCHAR AS h FROM (SELECT ${list}) AS r`,
  )
  return String(row!.h)
}

test('NULL, empty, separators, types and column order all hash differently', async () => {
  const text = ['VARCHAR', 'VARCHAR']
  const hashes = await Promise.all([
    hashOf(text, ['NULL', "''"]),
    hashOf(text, ["''", 'NULL']),
    hashOf(text, ["''", "''"]),
    hashOf(text, ['NULL', 'NULL']),
    hashOf(text, ["'a|b'", "'c'"]),
    hashOf(text, ["'a'", "'b|c'"]),
    hashOf(text, ["'aVARCHAR:1:b'", "''"]),
    hashOf(text, ["'1'", "'x'"]),
    hashOf(['INTEGER', 'VARCHAR'], ['1', "'x'"]),
    hashOf(['BIGINT', 'VARCHAR'], ['1', "'x'"]),
    hashOf(text, ["'x'", "'1'"]),
    hashOf(['DECIMAL(10,2)', 'VARCHAR'], ['1', "'x'"]),
  ])
  assert.equal(new Set(hashes).size, hashes.length)
})

test('the hash is the one that was stored', async () => {
  assert.equal(
    await hashOf(
      ['BIGINT', 'VARCHAR', 'DECIMAL(12,2)', 'TIMESTAMP WITH TIME ZONE', 'BLOB', 'BOOLEAN', 'DATE'],
      ['42', "'Zoë'", '12.50', "'2026-01-02 03:04:05.678901+00'", "'\\xFF\\x00'", 'true', 'NULL'],
    ),
    '87446065606631571971533649441036369329',
  )
})

const value = fc.option(fc.constantFrom('', 'a', '|', 'b'), { nil: null })
const rows = fc.uniqueArray(fc.tuple(fc.integer({ min: 0, max: 8 }), value, value), {
  selector: ([key]) => key,
  maxLength: 8,
})
const literal = (text: string | null) => (text === null ? 'NULL::VARCHAR' : `'${text}'`)
const table = (list: [number, string | null, string | null][]) =>
  list.length === 0
    ? 'SELECT 0 AS c0, NULL::VARCHAR AS c1, NULL::VARCHAR AS c2 LIMIT 0'
    : list
        .map(([k, a, b]) => `SELECT ${k} AS c0, ${literal(a)} AS c1, ${literal(b)} AS c2`)
        .join(' UNION ALL ')

test('the change set holds exactly the rows that are new or differ', async () => {
  const shape = columns('INTEGER', 'VARCHAR', 'VARCHAR')
  await fc.assert(
    fc.asyncProperty(rows, rows, async (last, next) => {
      const found = await duck.rows(
        `SELECT c0 FROM (${changedRows(shape, ['c0'], table(next), table(last))}) ORDER BY c0`,
      )
      const expected = next
        .filter(([key, a, b]) => !last.some(([k, x, y]) => k === key && x === a && y === b))
        .map(([key]) => key)
        .sort()
      assert.deepEqual(
        found.map(row => row.c0),
        expected,
      )
    }),
    { numRuns: 40 },
  )
})

test('of two rows with one key the newest wins; ties end the same way in any order', async () => {
  const shape = columns('INTEGER', 'VARCHAR', 'INTEGER')
  const list = [
    "(1, 'old', 1)",
    "(1, 'new', 2)",
    "(2, 'b', 5)",
    "(2, 'a', 5)",
    "(3, 'x', NULL)",
    "(3, 'y', 1)",
  ]
  for (const order of [list, list.toReversed()]) {
    const source = `SELECT * FROM (VALUES ${order.join(', ')}) t(c0, c1, c2)`
    const found = await duck.rows(`SELECT c1 FROM (${newestRows(shape, ['c0'], 'c2', source)}) ORDER BY c0`)
    assert.deepEqual(
      found.map(row => row.c1),
      ['new', 'b', 'y'],
    )
  }
})
