import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { toTable } from '../../engine/batch/arrow.ts'
import type { Batch } from '../../engine/batch/batch.ts'
import type { ExtractSpec, LaneModule, Sink } from '../../engine/ports.ts'
import type { InexactPolicy } from '../../engine/types/logical.ts'
import { http, options } from '../../src/connectors/http/index.ts'
import { isoOf } from '../../src/connectors/http/lane.ts'
import { parseTimestamp } from '../../src/connectors/http/moments.ts'
import { parseScaled } from '../../src/connectors/http/numbers.ts'

type Handler = (request: IncomingMessage, url: URL, response: ServerResponse, count: number) => void

interface Asked {
  schema: Record<string, string>
  extract?: object
  config?: object
  policies?: Record<string, InexactPolicy>
  since?: string
}

/** Serves `handler`, reads `/payments` through the connector, and gives back the staged values as rows. */
async function read(handler: Handler, { schema, extract, config, policies = {}, since }: Asked) {
  let count = 0
  const server = createServer((request, response) =>
    handler(request, new URL(request.url!, 'http://x'), response, ++count),
  )
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
  try {
    const source = http.source!(http.config.parse({ url, token: 'hush', ...config }), {
      name: 'payment_api',
      baseDir: '/',
    })
    const parsed = options.parse({ path: '/payments', schema, ...extract })
    const spec: ExtractSpec = { name: 'payments', from: 'payment_api', key: [], columns: {}, options: parsed }
    const { signal } = new AbortController()
    const table = await source.describe(spec, signal)
    const columns = table.columns.map(column => ({ ...column, policy: policies[column.name] }))
    const snapshot = await source.open(4, signal)
    assert.equal(snapshot.lanes, 1)
    const plan = {
      extract: 'payments',
      where: 'payment_api.payments',
      columns,
      key: [],
      options: parsed,
      limits: { rows: 2, bytes: 1e6 },
      ...(since && { since: { column: 'updated_at', value: since } }),
    }
    const [range, ...more] = await snapshot.ranges(plan)
    assert.equal(more.length, 0)
    const lane = await ((await import(snapshot.ticket.module)) as LaneModule).openLane(
      snapshot.ticket.payload,
    )
    const rows: string[][] = []
    const sink: Sink = { write: batch => rows.push(...texts(batch)), file: async () => assert.fail() }
    assert.equal(await lane.read(plan, range!, 1, sink), undefined)
    await lane.close()
    return rows
  } finally {
    server.closeAllConnections()
    server.close()
  }
}

function texts(batch: Batch): string[][] {
  const table = toTable(batch)
  return Array.from({ length: batch.rows }, (_, row) =>
    batch.vectors.map((vector, index) => {
      if (table.getChildAt(index)!.get(row) === null) return 'NULL'
      const { kind } = vector.column.type
      const big = new BigInt64Array(
        vector.data.slice().buffer,
        0,
        kind === 'text' ? 0 : vector.data.length >> 3,
      )
      if (kind === 'decimal') return String((big[2 * row + 1]! << 64n) | BigInt.asUintN(64, big[2 * row]!))
      if (kind === 'timestamp') return String(big[row])
      return String(table.getChildAt(index)!.get(row))
    }),
  )
}

const json = (response: ServerResponse, body: string, status = 200) =>
  response.writeHead(status, { 'content-type': 'application/json' }).end(body)
const one =
  (value: string): Handler =>
  (_request, _url, response) =>
    json(response, `{"data":[{"v":${value}}]}`)

test('pages are followed to the end, with token, limit and watermark', async () => {
  const asked: string[] = []
  const rows = await read(
    (request, url, response) => {
      assert.equal(request.headers.authorization, 'Bearer hush')
      asked.push(url.pathname + url.search)
      const page = Number(url.searchParams.get('cursor') ?? 0)
      const data = [0, 1, 2].map(index => `{"id":${page * 3 + index}}`)
      json(response, `{"data":[${data}],"next_cursor":${page < 2 ? page + 1 : null}}`)
    },
    {
      schema: { id: 'BIGINT' },
      extract: { paginate: 'cursor', limit: 3, since_param: 'since' },
      since: '2026-01-31 23:55:00.123456+00',
    },
  )
  assert.deepEqual(rows.flat(), ['0', '1', '2', '3', '4', '5', '6', '7', '8'])
  assert.equal(asked.length, 3)
  assert.equal(asked[0], '/v1/payments?limit=3&since=2026-01-31T23%3A55%3A00.123456Z')
})

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

test('an answer that is not the one promised', async () => {
  const html: Handler = (_request, _url, response) =>
    response.writeHead(200, { 'content-type': 'text/html' }).end(`<p>hush ${'x'.repeat(200)}`)
  await assert.rejects(
    read(html, { schema: { v: 'JSON' }, extract: { path: '/payments?key=1' } }),
    (error: Error) => {
      assert.match(
        error.message,
        /payments page 1: the answer is not JSON \(status 200, text\/html: "<p>\*\*\* x+"\)/,
      )
      assert.ok(!error.message.includes('key='))
      return true
    },
  )
  const shape: Handler = (_request, _url, response) => json(response, '{"items":[]}')
  await assert.rejects(read(shape, { schema: { v: 'JSON' } }), {
    code: 'RESPONSE_INVALID',
    message: /nothing at data/,
  })
  const loop: Handler = (_request, _url, response, count) =>
    json(response, `{"data":[],"next_cursor":"${count % 3}"}`)
  await assert.rejects(read(loop, { schema: { v: 'JSON' }, extract: { paginate: 'cursor' } }), {
    code: 'RESPONSE_INVALID',
    message: /cursor was given before/,
  })
})

test('status codes: refused, retried, given up', async () => {
  const schema = { v: 'BIGINT' }
  await assert.rejects(
    read((_request, _url, response) => json(response, '{}', 401), { schema }),
    { code: 'AUTH_FAILED' },
  )
  let seen = 0
  const flaky: Handler = (_request, _url, response, count) => {
    seen = count
    if (count === 1) response.writeHead(429, { 'retry-after': '0' }).end()
    else if (count === 2)
      response.writeHead(200, { 'content-length': '99' }).write('{"da', () => response.destroy())
    else json(response, '{"data":[{"v":7}]}')
  }
  assert.deepEqual(await read(flaky, { schema }), [['7']])
  assert.equal(seen, 3)
  const down: Handler = (_request, _url, response, count) => {
    seen = count
    response.writeHead(503, { 'retry-after': '0' }).end()
  }
  await assert.rejects(read(down, { schema }), { code: 'CONNECTION_FAILED', message: /status 503/ })
  assert.equal(seen, 4)
  await assert.rejects(
    read(() => {}, { schema, config: { timeout: 0.1 } }),
    { code: 'TIMEOUT' },
  )
  await assert.rejects(read(down, { schema, config: { url: 'http://127.0.0.1:59999' } }), {
    code: 'CONNECTION_FAILED',
  })
})

test('pure parts', () => {
  assert.equal(isoOf('2026-01-31 23:55:00+00'), '2026-01-31T23:55:00Z')
  assert.equal(isoOf('42'), '42')
  assert.equal(parseScaled('1e9999', 2), undefined)
  assert.equal(parseScaled('0e9999', 2), 0n)
  assert.equal(parseScaled('120e-1', 0), 12n)
  assert.equal(parseScaled('5e-3', 2), undefined)
  assert.equal(parseTimestamp('1969-12-31T23:59:59.999999Z', true), -1n)
  assert.equal(parseTimestamp('2026-01-31T24:00:00Z', true), undefined)
  assert.ok(!options.safeParse({ path: '/x', schema: { v: 'HUGEINT' } }).success)
})
