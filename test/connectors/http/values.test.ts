import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseTimestamp } from '../../../src/connectors/http/moments.ts'
import { parseScaled } from '../../../src/connectors/http/numbers.ts'
import { options } from '../../../src/connectors/http/options.ts'
import { elementsOf, endOf, startAt } from '../../../src/connectors/http/raw.ts'
import { type Handler, json, read } from './serving.ts'

const one =
  (value: string): Handler =>
  (_request, _url, response) =>
    json(response, `{"data":[{"v":${value}}]}`)

test('values keep every digit', async () => {
  for (const [type, value, expected] of [
    ['DECIMAL(12,2)', '12.10', '1210'],
    ['DECIMAL(12,2)', '"-0.5"', '-50'],
    ['DECIMAL(38,4)', '1234567890123456789012345678901234.5678', '12345678901234567890123456789012345678'],
    ['DECIMAL(38,4)', '-1234567890123456789012345678901234.5678', '-12345678901234567890123456789012345678'],
    ['BIGINT', '123456789012345678', '123456789012345678'],
    ['BIGINT', '1e3', '1000'],
    ['UINTEGER', '4294967295', '4294967295'],
    ['VARCHAR', '123456789012345678.10', '123456789012345678.10'],
    ['JSON', '{"a":[1.50,"é"]}', '{"a":[1.50,"é"]}'],
    ['TIMESTAMPTZ', '"2026-01-31T23:55:00.123456+05:30"', '1769883900123456'],
    ['BOOLEAN', 'true', 'true'],
    ['VARCHAR', 'null', 'NULL'],
  ] as const)
    assert.deepEqual(await read(one(value), { schema: { v: type } }), [[expected]], `${type} ${value}`)
})

test('a value that does not fit names page, row and column', async () => {
  for (const [type, value] of [
    ['DECIMAL(12,2)', '12.345'],
    ['DECIMAL(4,2)', '100.00'],
    ['BIGINT', '1.5'],
    ['INTEGER', '2147483648'],
    ['TIMESTAMPTZ', '"2026-01-31T23:55:00"'],
    ['TIMESTAMP', '"2026-01-31T23:55:00Z"'],
    ['TIMESTAMPTZ', '"2026-01-31T23:55:00.1234567Z"'],
    ['DATE', '"2026-02-30"'],
    ['VARCHAR', '"\\ud800"'],
    ['BOOLEAN', '1'],
  ] as const)
    await assert.rejects(read(one(value), { schema: { v: type } }), {
      code: 'RESPONSE_INVALID',
      message: /^payment_api \/payments page 1: row 1: v: /,
    })
  assert.deepEqual(await read(one('12.345'), { schema: { v: 'DECIMAL(12,2)' }, policies: { v: 'null' } }), [
    ['NULL'],
  ])
})

test('nested values go into columns by path, and as JSON without a character changed', async () => {
  const nested =
    '{ "2": 1.50, "1": {"city" : "K\\u00f6ln", "zip":null}, "tags": [ "a", {"n":12345678901234567890} ], "a.b": 7, "1": {"city":"Bonn"} }'
  const schema = {
    v: 'JSON',
    city: { type: 'VARCHAR', path: 'v.1.city' },
    amount: { type: 'DECIMAL(12,2)', path: 'v.2' },
    n: { type: 'UBIGINT', path: 'v.tags.1.n' },
    dotted: { type: 'BIGINT', path: ['v', 'a.b'] },
    tags: { type: 'JSON', path: 'v.tags' },
    zip: { type: 'VARCHAR', path: 'v.1.zip' },
    deep: { type: 'JSON', path: 'v.2.nothing' },
    text: { type: 'JSON', path: 'v.tags.0' },
  }
  assert.deepEqual(await read(one(nested), { schema }), [
    [
      nested,
      'Bonn',
      '150',
      '12345678901234567890',
      '7',
      '[ "a", {"n":12345678901234567890} ]',
      'NULL',
      'NULL',
      '"a"',
    ],
  ])
  const bare: Handler = (_request, _url, response) => json(response, '[ {"v" : [ 1.0 ]},\n {"v":{}} ]')
  assert.deepEqual(await read(bare, { schema: { v: 'JSON' } }), [['[ 1.0 ]'], ['{}']])
})

test('any JSON, however it is written: its values are found where they stand', () => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue()), fc.integer({ min: 0, max: 4 }), (list, indent) => {
      const text = JSON.stringify({ skipped: [list, '"}]'], list }, null, indent)
      const starts = elementsOf(text, startAt(text, 0, ['list'])!)
      const slices = starts.map(start => text.slice(start, endOf(text, start)))
      assert.deepEqual(
        slices.map(slice => JSON.parse(slice)),
        JSON.parse(JSON.stringify(list)),
      )
    }),
  )
})

test('pure parts', () => {
  assert.equal(parseScaled('1e9999', 2), undefined)
  assert.equal(parseScaled('0e9999', 2), 0n)
  assert.equal(parseScaled('120e-1', 0), 12n)
  assert.equal(parseScaled('5e-3', 2), undefined)
  assert.equal(parseTimestamp('1969-12-31T23:59:59.999999Z', true), -1n)
  assert.equal(parseTimestamp('2026-01-31T24:00:00Z', true), undefined)
  for (const schema of [{ v: 'HUGEINT' }, {}, { v: { type: 'HUGEINT', path: 'a' } }, { v: { path: 'a' } }])
    assert.ok(!options.safeParse({ path: '/x', schema }).success)
})
