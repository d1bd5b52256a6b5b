import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { comparisonSql, stateSql } from '../../engine/diff/compare.ts'
import { losersSql } from '../../engine/quality/keyRules.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { rowHash } from '../../engine/sql/rowHash.ts'
import { type Column, typeFromName } from '../../engine/types/logical.ts'
import { rowSum } from '../../engine/verify/rowSum.ts'

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
    `SELECT _nf_hash_a::VARCHAR || ' ' || _nf_hash_b::VARCHAR AS h FROM (SELECT ${rowHash(columns(...types), 'r')} FROM (SELECT ${list}) AS r)`,
  )
  return String(row!.h)
}

/** Values of a type, each another; those of 128 bits are mirrors in their halves. */
const EDGES: Record<string, string[]> = {
  'DECIMAL(38,0)': ['0', '-1', '1', '18446744073709551616', '18446744073709551617', '-18446744073709551616'],
  'DECIMAL(38,10)': ['0', '-0.0000000001', '0.0000000001', '1844674407.3709551616'],
  'DECIMAL(18,4)': ['0', '-0.0001', '0.0001', '1'],
  UBIGINT: ['0', '1', '18446744073709551615'],
  BIGINT: ['0', '-1', '1', '-9223372036854775807'],
  TINYINT: ['0', '-1', '127'],
  DOUBLE: ['0', "'-0'", '1', "'nan'"],
  DATE: ["'1970-01-01'", "'1969-12-31'", "'infinity'"],
  TIMESTAMP: ["'1970-01-01'", "'1969-12-31 23:59:59.999999'", "'-infinity'"],
  TIME: ["'00:00'", "'24:00'"],
  BOOLEAN: ['true', 'false'],
  VARCHAR: ["''", "' '", "'0'", 'chr(0)', "'123456789012'", "'1234567890123'"],
  BLOB: ["''", "'\\x00'", "'\\x00\\x00'"],
}

for (const [type, values] of Object.entries(EDGES))
  test(`values of ${type} hash differently, in both halves and in the sums that verify`, async () => {
    const all = ['NULL', ...values]
    const [column] = columns(type)
    const hashes = await Promise.all(all.map(value => hashOf([type], [value])))
    const sums = await duck.rows(
      all
        .map(value => `SELECT ${rowSum([column!], ['c0'])} AS h FROM (SELECT ${value}::${type} AS c0)`)
        .join(' UNION ALL '),
    )
    const halves = [0, 1].map(half => hashes.map(hash => hash.split(' ')[half]))
    for (const found of [...halves, sums.map(({ h }) => String(h))])
      assert.equal(new Set(found).size, all.length, found.join(' '))
  })

test('NULL, empty, separators, signs, types and column order all hash differently, in both halves', async () => {
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
    hashOf(['DECIMAL(10,3)', 'VARCHAR'], ['1', "'x'"]),
    hashOf(['BLOB', 'VARCHAR'], ["'1'", "'x'"]),
    hashOf(['BLOB', 'VARCHAR'], ["'1'", "'x'"].toReversed()),
    hashOf(['DOUBLE', 'VARCHAR'], ["'0'", "'x'"]),
    hashOf(['DOUBLE', 'VARCHAR'], ["'-0'", "'x'"]),
    hashOf(['TIMESTAMP', 'VARCHAR'], ["'2026-01-01'", "'x'"]),
    hashOf(['TIMESTAMP WITH TIME ZONE', 'VARCHAR'], ["'2026-01-01'", "'x'"]),
  ])
  for (const half of [0, 1])
    assert.equal(new Set(hashes.map(hash => hash.split(' ')[half])).size, hashes.length)
})

test('the hash is the one that was stored for this version of DuckDB', async () => {
  assert.equal(await duck.version(), 'v1.5.6')
  assert.equal(
    await hashOf(
      ['BIGINT', 'VARCHAR', 'DECIMAL(12,2)', 'TIMESTAMP WITH TIME ZONE', 'BLOB', 'BOOLEAN', 'DATE', 'DOUBLE'],
      ['42', "'Zoë'", '12.50', "'2026-01-02 03:04:05.678901+00'", "'\\xFF\\x00'", 'true', 'NULL', "'1.5'"],
    ),
    '4079938668620276772 4818400030960099891',
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

test('what differs between two states turns one into the other', async () => {
  const shape = columns('INTEGER', 'VARCHAR', 'VARCHAR')
  const identity = { key: ['c0'], compared: shape.slice(1), kept: ['c2'] }
  const state = (list: [number, string | null, string | null][]) =>
    stateSql(identity, `SELECT *, c0 + 100 AS nr FROM (${table(list)})`, 'nr')
  await fc.assert(
    fc.asyncProperty(rows, rows, async (last, next) => {
      const found = await duck.rows(`${comparisonSql(identity, state(next), state(last))} ORDER BY c0`)
      const expected = []
      for (let key = 0; key <= 8; key++) {
        const was = last.find(([k]) => k === key)
        const now = next.find(([k]) => k === key)
        const row = { _nf_row: now ? key + 100 : null, _nf_was: was ? key + 100 : null, c0: key }
        const kept = { c2: now?.[2] ?? null, _nf_was_c2: was?.[2] ?? null }
        if (was && !now) expected.push({ _nf_kind: 'delete', ...row, ...kept })
        else if (now && !was) expected.push({ _nf_kind: 'insert', ...row, ...kept })
        else if (was && now && (was[1] !== now[1] || was[2] !== now[2]))
          expected.push({ _nf_kind: 'update', ...row, ...kept })
      }
      assert.deepEqual(found, expected)
    }),
    { numRuns: 60 },
  )
})

test('of two rows with one key the newest stays; ties end the same way in any order', async () => {
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
    const source = `SELECT row_number() OVER () AS nr, * FROM (VALUES ${order.join(', ')}) t(c0, c1, c2)`
    const losers = losersSql(shape, ['c0'], ['c2 DESC NULLS LAST'], source, 'nr')
    const found = await duck.rows(
      `SELECT c1 FROM (${source}) WHERE nr IN (SELECT _nf_row FROM (${losers})) ORDER BY c0`,
    )
    assert.deepEqual(
      found.map(row => row.c1),
      ['old', 'a', 'x'],
    )
  }
})

test('of 1,500 columns, rows of one key are told apart by each of them, in little memory', async () => {
  const small = await Duck.open({ threads: 2, memory: 300 * 1024 * 1024 })
  const shape = columns(
    'INTEGER',
    ...Array.from({ length: 1500 }, (_, index) => ['BIGINT', 'VARCHAR', 'DOUBLE'][index % 3]!),
  )
  const values = shape.map(({ name }, index) =>
    index === 0
      ? `(i % 100)::INTEGER AS ${name}`
      : index === 1500
        ? `CASE i WHEN 107 THEN NULL WHEN 108 THEN '-0.0'::DOUBLE WHEN 109 THEN 'nan'::DOUBLE ELSE 0 END AS ${name}`
        : `(i % 100 + ${index}) AS ${name}`,
  )
  const source = `SELECT i AS nr, ${values.join(', ')} FROM range(200) t(i)`
  try {
    const losers = losersSql(shape, ['c0'], [], source, 'nr')
    const found = await small.rows(
      `SELECT count(*) AS n, count(*) FILTER (_nf_differs) AS differing, any_value(_nf_rows) AS each FROM (${losers})`,
    )
    assert.deepEqual(found, [{ n: 100, differing: 2, each: 2 }])
    await assert.rejects(
      small.rows('SELECT list(i) FROM range(100000000) t(i)'),
      (error: Error & { hint?: string }) => {
        assert.match(error.message, /^Out of Memory Error: [^\n]+$/)
        assert.match(error.hint!, /resources\.memory/)
        return true
      },
    )
  } finally {
    small.close()
  }
})
