import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { Pace, retryAfter } from '../../../src/connectors/http/pace.ts'
import { type Handler, json, read, readFrom, serving } from './serving.ts'

const schema = { v: 'BIGINT' }
const good = '{"data":[{"v":7}]}'

test('an answer that is not the one promised', async () => {
  const html: Handler = (_request, _url, response) =>
    response.writeHead(200, { 'content-type': 'text/html' }).end(`<p>hush ${'x'.repeat(200)}`)
  await assert.rejects(
    read(html, { schema: { v: 'JSON' }, config: { token: 'hush' }, extract: { path: '/payments?key=1' } }),
    (error: Error) => {
      assert.match(
        error.message,
        /payments page 1: the answer is not JSON \(status 200, text\/html: "<p>\*\*\* x+"\)/,
      )
      assert.ok(!error.message.includes('key='))
      return true
    },
  )
  for (const [body, message] of [
    ['{"items":[]}', /page 1: nothing at data \(status 200/],
    ['{"data":{"0":{}}}', /page 1: no list at data/],
    ['{"v":5,"name":"one record"}', /page 1: nothing at data/],
    ['7', /page 1: nothing at data/],
    ['{"data":[7]}', /page 1: row 1: 7 is not an object/],
    ['{"data":[{"v":1},[]]}', /page 1: row 2: an empty list is not an object/],
    ['{"data":[{"v":{"a":1}}]}', /page 1: row 1: v: an object of a is not a whole number/],
    ['{"data":[', /the answer is not JSON/],
  ] as const)
    await assert.rejects(
      read((_request, _url, response) => json(response, body), { schema }),
      { code: 'RESPONSE_INVALID', message },
    )
  const latin: Handler = (_request, _url, response) => response.end(Buffer.from('{"data":["é"]}', 'latin1'))
  await assert.rejects(read(latin, { schema }), {
    code: 'RESPONSE_INVALID',
    message: /the answer is not in utf-8/,
  })
})

test('status codes: refused, retried, abandoned', async () => {
  for (const [status, code] of [
    [401, 'AUTH_FAILED'],
    [403, 'AUTH_FAILED'],
    [404, 'RESPONSE_INVALID'],
    [410, 'RESPONSE_INVALID'],
    [201, 'RESPONSE_INVALID'],
    [207, 'RESPONSE_INVALID'],
  ] as const)
    await assert.rejects(
      read((_request, _url, response) => json(response, '{}', status), { schema }),
      { code },
    )
  let seen = 0
  const flaky: Handler = (_request, _url, response, count) => {
    seen = count
    if (count === 1) response.writeHead(429, { 'retry-after': '0' }).end()
    else if (count === 2)
      response.writeHead(200, { 'content-length': '99' }).write('{"da', () => response.destroy())
    else json(response, good)
  }
  assert.deepEqual(await read(flaky, { schema }), [['7']])
  assert.equal(seen, 3)
  const down: Handler = (_request, _url, response, count) => {
    seen = count
    response.writeHead(503, { 'retry-after': '0' }).end()
  }
  await assert.rejects(read(down, { schema }), {
    code: 'CONNECTION_FAILED',
    message: /status 503.*, 4 times$/,
  })
  assert.equal(seen, 4)
  await assert.rejects(read(down, { schema, config: { attempts: 2 } }), { message: /, 2 times$/ })
  assert.equal(seen, 2)
  await assert.rejects(
    read(() => {}, { schema, config: { timeout: 0.1 } }),
    { code: 'TIMEOUT' },
  )
  await assert.rejects(read(down, { schema, config: { url: 'http://127.0.0.1:59999' } }), {
    code: 'CONNECTION_FAILED',
  })
})

test('answers that pass are waited for, each by what it says of when', async () => {
  const soon = () => String(Math.ceil(Date.now() / 1000) + 1)
  for (const [status, headers] of [
    [202, { 'retry-after': '0' }],
    [408, {}],
    [423, {}],
    [425, {}],
    [502, {}],
    [429, { 'x-ratelimit-reset': '0' }],
    [403, { 'retry-after': '0' }],
    [403, { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': () => String(Math.floor(Date.now() / 1000)) }],
    [403, { 'ratelimit-remaining': '0', 'ratelimit-reset': '0' }],
  ] as [number, Record<string, string | (() => string)>][]) {
    const handler: Handler = (_request, _url, response, count) => {
      if (count > 1) return void json(response, good)
      const given = Object.entries(headers).map(([name, value]) => [
        name,
        typeof value === 'string' ? value : value(),
      ])
      response.writeHead(status, Object.fromEntries(given)).end('{}')
    }
    assert.deepEqual(await read(handler, { schema }), [['7']], `${status} ${JSON.stringify(headers)}`)
  }
  for (const headers of [{}, { 'x-ratelimit-remaining': '17', 'x-ratelimit-reset': '0' }])
    await assert.rejects(
      read((_request, _url, response) => response.writeHead(403, headers).end(), { schema }),
      { code: 'AUTH_FAILED' },
    )
  const times: number[] = []
  const reset: Handler = (_request, _url, response, count) => {
    times.push(Date.now())
    if (count > 1) json(response, good)
    else response.writeHead(429, { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': soon() }).end()
  }
  assert.deepEqual(await read(reset, { schema }), [['7']])
  assert.ok(times[1]! - times[0]! >= 990, `${times[1]! - times[0]!} ms`)
  const later: Handler = (_request, _url, response) =>
    response
      .writeHead(403, { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(Date.now() / 1000 + 1800) })
      .end()
  await assert.rejects(
    read(later, { schema }),
    ({ code, hint }: { code?: string; hint?: string }) =>
      code === 'CONNECTION_FAILED' && /a pause of 1[78]\d\d s/.test(hint!),
  )
})

test('a page that is still to be made is no end of a list', async () => {
  for (const text of ['', '{}', '{"data":[]}'])
    await assert.rejects(
      read(
        (_request, url, response) =>
          url.searchParams.get('page') === '2'
            ? response.writeHead(202, { 'retry-after': '0' }).end(text)
            : json(response, good),
        { schema, extract: { paginate: 'page' }, config: { attempts: 2 } },
      ),
      { code: 'CONNECTION_FAILED', message: /status 202.*, 2 times$/, hint: /resume the run later/ },
    )
  for (const status of [200, 203])
    await assert.rejects(
      read((_request, _url, response) => response.writeHead(status).end(), { schema }),
      { code: 'RESPONSE_INVALID', message: /the answer is not JSON/ },
    )
})

test('a part of a list is a page, or refused where the job asks for no other, or told where it says that it is all', async () => {
  const part: Handler = (_request, url, response) =>
    json(response, url.searchParams.get('page') === '2' ? '{"data":[]}' : good, 206)
  assert.deepEqual(await read(part, { schema, extract: { paginate: 'page' } }), [['7']])
  await assert.rejects(read(part, { schema }), {
    code: 'RESPONSE_INVALID',
    message: /206 .* part of the list/,
  })
  const notes: string[] = []
  const note = (text: string) => notes.push(text)
  assert.deepEqual(await read(part, { schema, extract: { paginate: 'none' }, note }), [['7']])
  assert.match(notes.join(), /206 .* part of the list/)
})

test('an answer that stops halfway, is shorter or longer than it says, or dribbles', async () => {
  const cut: Handler = (_request, _url, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.write(good.slice(0, 9), () => response.destroy())
  }
  const short: Handler = (_request, _url, response) =>
    response.writeHead(200, { 'content-length': '99' }).write(good, () => response.destroy())
  for (const handler of [cut, short])
    await assert.rejects(read(handler, { schema, config: { attempts: 2 } }), {
      code: 'CONNECTION_LOST',
      message: /the answer broke off.*, 2 times$/,
    })
  // Nothing of what is beyond the length is taken for data; what is within it is no JSON.
  const long: Handler = (_request, _url, response) =>
    response.socket!.end(`HTTP/1.1 200 OK\r\ncontent-length: ${good.length - 2}\r\n\r\n${good}`)
  await assert.rejects(read(long, { schema }), { code: 'RESPONSE_INVALID', message: /not JSON/ })
  const slow: Handler = (_request, _url, response) => {
    response.writeHead(200)
    const timer = setInterval(() => response.write(' '), 20)
    response.on('close', () => clearInterval(timer))
  }
  await assert.rejects(read(slow, { schema, config: { timeout: 0.2 } }), {
    code: 'TIMEOUT',
    message: /no complete answer within 0.2 s/,
  })
})

test('an answer over the cap is not read to its end, packed or not', async () => {
  let sent = 0
  const endless: Handler = (_request, _url, response) => {
    const more = () => {
      while (!response.destroyed && response.write(' '.repeat(10_000))) sent += 10_000
    }
    response.on('drain', more)
    more()
  }
  const config = { max_response: '200KB' }
  const message = /\/payments: the answer is over 200000 bytes/
  await assert.rejects(read(endless, { schema, config }), { code: 'RESPONSE_INVALID', message })
  assert.ok(sent < 20_000_000, `${sent} bytes were sent`)
  const bomb = gzipSync(Buffer.alloc(5_000_000, ' '))
  const packed: Handler = (_request, _url, response) =>
    response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb)
  await assert.rejects(read(packed, { schema, config }), { code: 'RESPONSE_INVALID', message })
})

test('redirects and next URLs stay with the API; elsewhere only where allowed, and without credentials', async () => {
  const heard: { authorization: string | undefined; key: unknown }[] = []
  const elsewhere: Handler = (request, _url, response) => {
    heard.push({ authorization: request.headers.authorization, key: request.headers['x-tenant'] })
    json(response, good)
  }
  await serving(elsewhere, async other => {
    const redirecting: Handler = (_request, url, response) => {
      if (url.pathname === '/v1/payments') response.writeHead(307, { location: '/moved' }).end()
      else if (url.pathname === '/moved') response.writeHead(302, { location: `${other}/payments` }).end()
    }
    const leading: Handler = (_request, url, response) =>
      json(
        response,
        JSON.stringify({ data: [{ v: 1 }], next: `${other}/payments?page=2&at=${url.pathname}` }),
      )
    const extract = { paginate: 'next' }
    const config = { token: 'hush', headers: { 'x-tenant': 'secret' } }
    for (const handler of [redirecting, leading])
      await assert.rejects(read(handler, { schema, config, extract }), (error: Error & { code: string }) => {
        assert.equal(error.code, 'RESPONSE_INVALID')
        assert.ok(
          error.message.includes(`the answer leads to ${other}, another than http://127.0.0.1:`),
          error.message,
        )
        assert.ok(!error.message.includes('page=2'))
        return true
      })
    assert.equal(heard.length, 0)
    const allowed = { ...config, origins: [other] }
    assert.deepEqual(await read(redirecting, { schema, config: allowed, extract }), [['7']])
    assert.deepEqual(await read(leading, { schema, config: allowed, extract }), [['1'], ['7']])
    assert.deepEqual(heard, Array(2).fill({ authorization: undefined, key: undefined }))
  })
  const circle: Handler = (_request, _url, response) =>
    response.writeHead(302, { location: '/v1/payments' }).end()
  await assert.rejects(read(circle, { schema }), {
    code: 'RESPONSE_INVALID',
    message: /redirected over 5 times/,
  })
  const odd: Handler = (_request, _url, response) => json(response, '{"data":[],"next":"file:///etc/passwd"}')
  await assert.rejects(read(odd, { schema, extract: { paginate: 'next' } }), {
    message: /is no URL to go on with/,
  })
})

test('the server’s own pause is kept, and one that is too long ends the attempt', async () => {
  const times: number[] = []
  const limited: Handler = (_request, _url, response, count) => {
    times.push(Date.now())
    if (count === 1) response.writeHead(503, { 'retry-after': '1' }).end()
    else json(response, good)
  }
  assert.deepEqual(await read(limited, { schema }), [['7']])
  assert.ok(times[1]! - times[0]! >= 990)
  let seen = 0
  const closed: Handler = (_request, _url, response, count) => {
    seen = count
    response.writeHead(429, { 'retry-after': new Date(Date.now() + 3600_000).toUTCString() }).end()
  }
  await assert.rejects(read(closed, { schema }), (error: Error & { hint?: string }) => {
    assert.match(error.hint!, /a pause of 3[56]\d\d s/)
    return true
  })
  assert.equal(seen, 1)
})

test('requests keep to the budget of a minute', async () => {
  const times: number[] = []
  await serving(
    (_request, url, response) => {
      times.push(Date.now())
      const number = Number(url.searchParams.get('page'))
      json(response, `{"data":[${number > 6 ? '' : `{"v":${number}}`}],"total":6}`)
    },
    origin =>
      readFrom(origin, {
        schema,
        extract: { paginate: 'page', total: 'total' },
        config: { requests_per_minute: 600, concurrency: 4 },
      }),
  )
  assert.equal(times.length, 7)
  // Timers and the network move each of them by some milliseconds.
  assert.ok(times.at(-1)! - times[0]! >= 550, `${times.at(-1)! - times[0]!} ms`)
  const pace = new Pace(undefined)
  const started = Date.now()
  const { signal } = new AbortController()
  pace.hold(60)
  await Promise.all([pace.turn(signal), pace.turn(signal)])
  assert.ok(Date.now() - started >= 55)
  pace.hold(60_000)
  await assert.rejects(pace.turn(AbortSignal.timeout(10)), { name: 'AbortError' })
  assert.equal(retryAfter('soon'), undefined)
  assert.equal(retryAfter('Mon, 01 Jan 2001 00:00:00 GMT'), 0)
})
