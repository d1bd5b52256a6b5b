import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { test } from 'node:test'
import { http } from '../../../src/connectors/http/index.ts'
import { type Handler, json, read, readFrom, serving } from './serving.ts'

const schema = { v: 'BIGINT' }

test('credentials as token, in a header of their own, as user and password; wrong ones are refused by name', async () => {
  for (const [config, name, value] of [
    [{ token: 'hush' }, 'authorization', 'Bearer hush'],
    [{ token: 'hush', token_header: 'X-Api-Key', headers: { 'X-Version': '2' } }, 'x-api-key', 'hush'],
    [
      { user: 'ann', password: 'hü:sh' },
      'authorization',
      `Basic ${Buffer.from('ann:hü:sh').toString('base64')}`,
    ],
  ] as const) {
    const handler: Handler = (request, _url, response) => {
      const right = request.headers[name] === value
      if ('headers' in config) assert.equal(request.headers['x-version'], '2')
      json(response, right ? '{"data":[{"v":1}]}' : '{"no":"hush"}', right ? 200 : 401)
    }
    assert.deepEqual(await read(handler, { schema, config }), [['1']])
    const wrong = { ...config, ...('token' in config ? { token: 'other' } : { password: 'other' }) }
    await assert.rejects(read(handler, { schema, config: wrong }), {
      code: 'AUTH_FAILED',
      message: /^payment_api \/v1\/payments: status 401/,
    })
  }
  const url = 'http://ann:pw@x'
  for (const config of [
    { token: 'a', user: 'b', password: 'c' },
    { url, token: 'a' },
    { user: 'b' },
    { token_header: 'X' },
  ])
    assert.ok(!http.config.safeParse({ url: 'http://x', ...config }).success, JSON.stringify(config))
  for (const url of ['https://user:a "b": 9/11@home@127.0.0.1/', 'http:', 'ftp://x'])
    assert.ok(!http.config.safeParse({ url, origins: [url] }).success, url)
})

/** An API whose access tokens end after so many requests, and the server that gives them. */
function guarded({ uses = Number.POSITIVE_INFINITY, lifetime = 3600 }: { uses?: number; lifetime?: number }) {
  const seen = { tokens: 0, refused: 0, forms: [] as string[] }
  let left = 0
  const handler: Handler = (request, url, response) => {
    if (url.pathname === '/token') {
      void bodyOf(request).then(form => {
        seen.forms.push(form)
        const basic = `Basic ${Buffer.from('me%3A:s%26cret').toString('base64')}`
        const right = request.headers.authorization === basic || form.includes('client_secret=s%26cret')
        left = uses
        const error = '{"error":"invalid_client","error_description":"s&cret is wrong"}'
        if (!right) json(response, error, 401)
        else json(response, JSON.stringify({ access_token: `t${++seen.tokens}`, expires_in: lifetime }))
      })
      return
    }
    if (request.headers.authorization !== `Bearer t${seen.tokens}` || left-- <= 0) {
      seen.refused++
      json(response, JSON.stringify({ seen: request.headers.authorization }), 401)
      return
    }
    const cursor = Number(url.searchParams.get('cursor') ?? 0)
    json(response, `{"data":[{"v":${cursor}}],"next_cursor":${cursor < 5 ? cursor + 1 : null}}`)
  }
  return { handler, seen }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request) text += chunk
  return text
}

const oauthOf = (origin: string, more: object = {}) => ({
  token_url: `${origin}/token`,
  client_id: 'me:',
  client_secret: 's&cret',
  ...more,
})

test('an access token is fetched once, again when it is refused, and again when it ends', async () => {
  const extract = { paginate: 'cursor' }
  const rows = ['0', '1', '2', '3', '4', '5']
  for (const [limits, tokens, refused] of [
    [{}, 1, 0],
    [{ uses: 2 }, 3, 2],
    [{ lifetime: 0 }, 6, 0],
  ] as const) {
    const { handler, seen } = guarded(limits)
    await serving(handler, async origin => {
      const config = { oauth: oauthOf(origin, { scope: 'read all' }) }
      assert.deepEqual((await readFrom(origin, { schema, config, extract })).flat(), rows)
    })
    assert.equal(seen.tokens, tokens)
    assert.equal(seen.refused, refused)
    assert.equal(seen.forms[0], 'grant_type=client_credentials&scope=read+all')
  }
  const { handler, seen } = guarded({})
  await serving(handler, origin =>
    readFrom(origin, { schema, config: { oauth: oauthOf(origin, { send: 'form' }) }, extract }),
  )
  assert.match(seen.forms[0]!, /client_id=me%3A&client_secret=s%26cret/)
})

test('requests side by side share one access token', async () => {
  let tokens = 0
  const handler: Handler = (request, url, response) => {
    if (url.pathname === '/token') {
      tokens++
      setTimeout(() => json(response, '{"access_token":"t"}'), 20)
      return
    }
    assert.equal(request.headers.authorization, 'Bearer t')
    // Every page holds one record fewer than its like: guesses of later offsets are all wrong.
    const from = Number(url.searchParams.get('offset'))
    const count = Math.min(from === 0 ? 3 : 2, 9 - from)
    const data = Array.from({ length: count }, (_, index) => ({ v: from + index }))
    json(response, JSON.stringify({ data, total: 9 }))
  }
  await serving(handler, async origin => {
    const config = { oauth: oauthOf(origin), concurrency: 4 }
    const rows = await readFrom(origin, { schema, config, extract: { paginate: 'offset', total: 'total' } })
    assert.deepEqual(rows.flat(), ['0', '1', '2', '3', '4', '5', '6', '7', '8'])
  })
  assert.equal(tokens, 1)
})

test('no access token: what the server says, and no secret', async () => {
  const { handler, seen } = guarded({ uses: 0 })
  await serving(handler, async origin => {
    const attempt = (more: object) => readFrom(origin, { schema, config: { oauth: oauthOf(origin, more) } })
    await assert.rejects(attempt({ client_secret: 'wrong' }), (error: Error & { code: string }) => {
      assert.equal(error.code, 'AUTH_FAILED')
      assert.match(error.message, /token_url 127.0.0.1:\d+\/token: status 401, error "invalid_client"/)
      assert.ok(!error.message.includes('s&cret'))
      return true
    })
    // Refused with each of two tokens: it is not the token's age.
    await assert.rejects(attempt({}), (error: Error & { code: string }) => {
      assert.equal(error.code, 'AUTH_FAILED')
      assert.doesNotMatch(error.message, /t1|t2/)
      return true
    })
    assert.equal(seen.tokens, 2)
    assert.equal(seen.refused, 2)
    await assert.rejects(attempt({ token_url: `${origin}/nothing` }), { code: 'AUTH_FAILED' })
    await assert.rejects(attempt({ token_url: 'http://127.0.0.1:59999/token' }), {
      code: 'CONNECTION_FAILED',
    })
  })
})
