import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseExact } from '../../../src/connectors/http/json.ts'
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

test('times as numbers are taken where the column says so, to the microsecond', async () => {
  const instant = (format: string, type = 'TIMESTAMPTZ') => ({ v: { type, format } })
  for (const [format, value, expected] of [
    ['epoch', '1769853600', '1769853600000000'],
    ['epoch', '"1769853600.5"', '1769853600500000'],
    ['epoch', '-0.000001', '-1'],
    ['epoch_ms', '1769853600123', '1769853600123000'],
    ['epoch_ms', '1769853600123.456', '1769853600123456'],
  ] as const) {
    assert.deepEqual(await read(one(value), { schema: instant(format) }), [[expected]])
    assert.deepEqual(await read(one(value), { schema: instant(format, 'TIMESTAMP') }), [[expected]])
  }
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: -62e9, max: 253e9 }), fc.nat(999_999), async (seconds, micros) => {
      const written = `${seconds}.${String(micros).padStart(6, '0')}`
      const sign = written.startsWith('-') ? -1n : 1n
      const expected = BigInt(seconds) * 1_000_000n + sign * BigInt(micros)
      assert.deepEqual(await read(one(written), { schema: instant('epoch') }), [[String(expected)]])
    }),
    { numRuns: 20 },
  )
  for (const [format, value] of [
    ['epoch', '1.0000001'],
    ['epoch_ms', '"2026-01-31T10:00:00Z"'],
    ['epoch', '999999999999'],
    ['iso', '1769853600'],
  ] as const)
    await assert.rejects(read(one(value), { schema: instant(format) }), { code: 'RESPONSE_INVALID' })
  await assert.rejects(read(one('1769853600123'), { schema: { v: 'TIMESTAMPTZ' } }), {
    hint: 'If it is a time in milliseconds since 1970, write into schema of this extract: v: { type: "TIMESTAMPTZ", format: epoch_ms }',
  })
  assert.ok(!options.safeParse({ path: '/x', schema: { v: { type: 'BIGINT', format: 'epoch' } } }).success)
})

test('texts that are declared as no value are NULL; all others stay what they are', async () => {
  for (const type of [
    'BIGINT',
    'DECIMAL(9,2)',
    'DOUBLE',
    'BOOLEAN',
    'DATE',
    'TIME',
    'TIMESTAMP',
    'TIMESTAMPTZ',
  ]) {
    for (const word of ['', 'N/A']) {
      const value = JSON.stringify(word)
      assert.deepEqual(
        await read(one(value), { schema: { v: type }, extract: { null_values: ['', 'N/A'] } }),
        [['NULL']],
      )
      await assert.rejects(read(one(value), { schema: { v: type } }), ({ hint }: { hint?: string }) =>
        hint!.includes(`null_values: [${value}]`),
      )
    }
    await assert.rejects(read(one('"-"'), { schema: { v: type }, extract: { null_values: [''] } }), {
      code: 'RESPONSE_INVALID',
    })
  }
  assert.deepEqual(await read(one('""'), { schema: { v: 'VARCHAR' }, extract: { null_values: [''] } }), [
    [''],
  ])
  assert.deepEqual(await read(one('""'), { schema: { v: { type: 'VARCHAR', null_values: [''] } } }), [
    ['NULL'],
  ]) // No text is nearer to it than it is.
  await assert.rejects(read(one('"x\\ud83d"'), { schema: { v: 'VARCHAR' } }), {
    code: 'RESPONSE_INVALID',
    hint: /^No text can hold it: set columns\.v of this extract to null or quarantine/,
  })
})

test('a field that differs in case only is refused, and one that no record has is told', async () => {
  const cased: Handler = (_request, _url, response) => json(response, '{"data":[{"Id":7},{"x":1}]}')
  await assert.rejects(read(cased, { schema: { id: 'BIGINT' } }), {
    code: 'RESPONSE_INVALID',
    message: /page 1: row 1 has Id in place of id/,
    hint: 'Write into schema of this extract: id: { type: "BIGINT", path: ["Id"] }',
  })
  const mixed: Handler = (_request, _url, response) => json(response, '{"data":[{"id":7},{"Id":8}]}')
  await assert.rejects(read(mixed, { schema: { id: 'BIGINT' } }), {
    message: /row 2 has Id in place of id, which others have/,
    hint: /id and id_2: { type: "BIGINT", path: \["Id"\] }, and put them together in a model/,
  })
  const both = { id: 'BIGINT', id_2: { type: 'BIGINT', path: ['Id'] } }
  assert.deepEqual(await read(mixed, { schema: both }), [
    ['7', 'NULL'],
    ['NULL', '8'],
  ])
  const rows = await read(cased, { schema: { id: { type: 'BIGINT', path: ['Id'] } } })
  assert.deepEqual(rows, [['7'], ['NULL']])
  const notes: string[] = []
  const schema = { x: 'BIGINT', y: 'BIGINT', z: { type: 'BIGINT', path: 'a.b' } }
  await read(cased, { schema, note: text => notes.push(text) })
  assert.deepEqual(
    notes.map(note => note.replace(/^.*: no/, 'no')),
    ['no record has y: y is NULL in all rows', 'no record has a.b: z is NULL in all rows'],
  )
  assert.ok(!options.safeParse({ path: '/x', schema: { id: 'BIGINT', ID: 'BIGINT' } }).success)
})

test('a key that an object has twice is refused, however it is written and wherever it stands', async () => {
  const schema = { v: 'JSON' }
  for (const [body, key] of [
    ['{"data":[{"v":1,"v":2}]}', 'v'],
    [String.raw`{"data":[{"v":1,"\u0076":2}]}`, 'v'],
    ['{"data":[{"v":{"a":{":":1},"a":2}}]}', 'a'],
    ['{"data":[{"v":1}],"data":[{"v":2}]}', 'data'],
  ])
    await assert.rejects(
      read((_request, _url, response) => json(response, body!), { schema }),
      {
        code: 'RESPONSE_INVALID',
        message: `payment_api /payments page 1: the answer has the key "${key}" twice in one object`,
      },
      body,
    )
  const value = fc.jsonValue({ maxDepth: 3 })
  fc.assert(
    fc.property(value, fc.constantFrom(undefined, 1, '\t'), (value, space) => {
      assert.deepEqual(JSON.stringify(parseExact(JSON.stringify(value, null, space))), JSON.stringify(value))
    }),
  )
})

test('an answer is read in the charset that it names', async () => {
  const body = '{"data":[{"v":"Ã©"}]}'
  const answer =
    (bytes: Buffer, type: string): Handler =>
    (_request, _url, response) =>
      response.writeHead(200, { 'content-type': type }).end(bytes)
  for (const [bytes, type] of [
    [Buffer.from(body), 'application/json'],
    [Buffer.from(`\ufeff${body}`), 'application/json; charset=utf-8'],
    [Buffer.from(body, 'latin1'), 'application/json;charset="ISO-8859-1"'],
    [Buffer.from(body, 'latin1'), 'text/json; charset=windows-1252'],
    [Buffer.from(`\ufeff${body}`, 'utf16le'), 'application/json; charset=utf-16'],
  ] as const)
    assert.deepEqual(await read(answer(bytes, type), { schema: { v: 'VARCHAR' } }), [['Ã©']], type)
  for (const type of ['application/json', 'application/json; charset=klingon'])
    await assert.rejects(
      read(answer(Buffer.from('{"data":[{"v":"é"}]}', 'latin1'), type), { schema: { v: 'VARCHAR' } }),
      {
        code: 'RESPONSE_INVALID',
        message: /the answer is not in (utf-8|klingon)/,
      },
    )
})

test('nested values go into columns by path, and as JSON without a character changed', async () => {
  const nested =
    '{ "2": 1.50, "tags": [ "a", {"n":12345678901234567890} ], "a.b": 7, "1": {"city" : "K\\u00f6ln", "zip":null} }'
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
      'Köln',
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
