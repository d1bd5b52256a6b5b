import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Payment, paymentFeed } from '../../src/demo/sample/payment.ts'
import { type Mischief, startPaymentApi } from '../../src/demo/servers/paymentApi.ts'
import type { Hooks } from '../servers.ts'

const SEED = 5
const headers = { authorization: 'Bearer secret' }

async function start(t: Hooks, members: number, mischief: Mischief = {}) {
  const feed = paymentFeed(members, SEED)
  const api = await startPaymentApi({ payments: () => feed, token: 'secret', pageSize: 300, mischief })
  t.after(() => api.stop())
  return { api, feed }
}

async function readAll(url: string, query: Record<string, string> = {}): Promise<Payment[]> {
  const entries: Payment[] = []
  let cursor: string | null = null
  do {
    const parameters = new URLSearchParams({ ...query, ...(cursor && { cursor }) })
    const response = await fetch(`${url}/payments?${parameters}`, { headers })
    assert.equal(response.status, 200)
    const page = (await response.json()) as { data: Payment[]; next_cursor: string | null }
    entries.push(...page.data)
    cursor = page.next_cursor
  } while (cursor)
  return entries
}

test('pagination gives every entry of the feed once, in order', async t => {
  const { api, feed } = await start(t, 1000)
  const expected = Array.from({ length: feed.count }, (_, position) => feed.at(position))
  assert.deepEqual(await readAll(api.url), expected)
  assert.deepEqual(await readAll(api.url, { limit: '77' }), expected)
  assert.equal(api.requests(), Math.ceil(feed.count / 300) + Math.ceil(feed.count / 77))
})

test('since is inclusive, to the microsecond, in any offset', async t => {
  const { api, feed } = await start(t, 1000)
  const from = feed.at(1234).updated_at
  assert.equal((await readAll(api.url, { since: from })).length, feed.count - 1234)
  const later = new Date(Date.parse(from) + 3_600_000 + 1).toISOString().replace('Z', '+01:00')
  assert.equal((await readAll(api.url, { since: later })).length, feed.count - 1235)
  assert.deepEqual(await readAll(api.url, { since: '2030-01-01T00:00:00Z' }), [])
})

test('refuses without the token and with malformed parameters; health needs no token', async t => {
  const { api } = await start(t, 1000)
  const status = async (path: string, init = {}) => (await fetch(`${api.url}${path}`, init)).status
  assert.equal(await status('/payments'), 401)
  assert.equal(await status('/payments', { headers: { authorization: 'Bearer wrong' } }), 401)
  assert.equal(await status('/payments?since=yesterday', { headers }), 400)
  assert.equal(await status('/payments?cursor=abc', { headers }), 400)
  assert.equal(await status('/payments?limit=0', { headers }), 400)
  assert.equal(await status('/elsewhere', { headers }), 404)
  assert.deepEqual(await (await fetch(`${api.url}/health`)).json(), { status: 'ok' })
})

test('misbehaves as told: 500 once, 429 once, a cut body once, then HTML', async t => {
  const { api } = await start(t, 1000, {
    failOnceAtPage: 1,
    limitOnceAtPage: 1,
    cutOnceAtPage: 2,
    htmlAtPage: 3,
  })
  const ask = () => fetch(`${api.url}/payments?limit=2`, { headers })
  assert.equal((await ask()).status, 500)
  const limited = await ask()
  assert.deepEqual([limited.status, limited.headers.get('retry-after')], [429, '1'])
  assert.equal((await ask()).status, 200)
  await assert.rejects(async () => (await ask()).text())
  assert.equal((await ask()).headers.get('content-type'), 'application/json; charset=utf-8')
  assert.equal((await ask()).headers.get('content-type'), 'text/html')
})

test('a hundred million members cost no memory', async t => {
  const { api, feed } = await start(t, 100_000_000)
  const since = feed.at(199_999_990).updated_at
  assert.equal((await readAll(api.url, { since })).length, 10)
})
