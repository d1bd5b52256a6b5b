import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { Duck, quote } from '../../engine/sql/duckdb.ts'
import { bracesText, fromBraces } from '../../engine/types/braces.ts'

const VALUES = Number(process.env.SOAK_ROWS ?? 10_000)

const duck = await Duck.open({ threads: 1 })
after(() => duck.close())

const character = fc.constantFrom(...`NULL"\\{}(),;'[] \n\té€😀aZ0`)
const text = fc.oneof(
  fc.constantFrom('NULL', 'null', '', ' ', '""', '\\'),
  fc.array(character, { maxLength: 12 }).map(all => all.join('')),
)
const bytes = fc.uint8Array({ maxLength: 9 }).map(all => Buffer.from(all).toString('hex'))
const ITEMS: [type: string, item: fc.Arbitrary<string>, sql: (item: string) => string][] = [
  ['VARCHAR', text, quote],
  ['BLOB', bytes, item => `unhex('${item}')`],
  ['INTEGER', fc.integer().map(String), item => item],
  [
    'DATE',
    fc.integer({ min: -2_000_000, max: 2_000_000 }).map(String),
    item => `DATE '1970-01-01' + ${item}`,
  ],
  [
    'TIMESTAMP',
    fc.bigInt({ min: -(10n ** 17n), max: 10n ** 17n }).map(String),
    item => `make_timestamp(${item}::BIGINT)`,
  ],
  [
    'DECIMAL(9,2)',
    fc.integer({ min: -(10 ** 9) + 1, max: 10 ** 9 - 1 }).map(n => String(n / 100)),
    item => item,
  ],
  [
    'DECIMAL(38,10)',
    fc.bigInt({ min: -(10n ** 38n) + 1n, max: 10n ** 38n - 1n }).map(n => {
      const digits = String(n < 0n ? -n : n).padStart(11, '0')
      return `${n < 0n ? '-' : ''}${digits.slice(0, -10)}.${digits.slice(-10)}`
    }),
    item => `${quote(item)}::DECIMAL(38,10)`,
  ],
  ['DOUBLE', fc.double().map(String), quote],
]

for (const [type, item, sql] of ITEMS)
  test(`a list of ${type} is written in braces and read from them as it was`, async () => {
    const list = fc.option(fc.array(fc.option(item, { freq: 5 }), { maxLength: 6 }), { freq: 20 })
    const lists = fc.sample(list, { numRuns: VALUES, seed: 7 })
    for (let from = 0; from < lists.length; from += 1000) {
      const values = lists
        .slice(from, from + 1000)
        .map(items =>
          items ? `([${items.map(one => (one === null ? 'NULL' : sql(one))).join(', ')}])` : '(NULL)',
        )
      const wrong = await duck.rows(
        `SELECT v::VARCHAR AS value, b FROM (SELECT v, ${bracesText('v', `${type}[]`)} AS b
           FROM (SELECT v::${type}[] AS v FROM (VALUES ${values.join(', ')}) AS given(v)))
         WHERE ${fromBraces('b', `${type}[]`)}::VARCHAR IS DISTINCT FROM v::VARCHAR LIMIT 3`,
      )
      assert.deepEqual(wrong, [])
    }
  })
