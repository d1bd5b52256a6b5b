import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nextLink } from '../../../src/connectors/http/link.ts'
import { options } from '../../../src/connectors/http/options.ts'
import { sinceText } from '../../../src/connectors/http/since.ts'
import { type Handler, ids, json, read, readFrom, serving } from './serving.ts'

const schema = { id: 'BIGINT' }
const { page, all } = ids(9)

test('pages are followed to the end, with token, limit and watermark', async () => {
  const asked: string[] = []
  const rows = await read(
    (request, url, response) => {
      assert.equal(request.headers.authorization, 'Bearer hush')
      asked.push(url.pathname + url.search)
      const number = Number(url.searchParams.get('cursor') ?? 0)
      json(
        response,
        JSON.stringify({ data: page(number * 3, 3), next_cursor: number < 2 ? number + 1 : null }),
      )
    },
    {
      schema,
      config: { token: 'hush' },
      extract: { paginate: 'cursor', limit: 3, since_param: 'since' },
      since: '2026-01-31 23:55:00.123456+00',
    },
  )
  assert.deepEqual(rows.flat(), all)
  assert.equal(asked.length, 3)
  assert.equal(asked[0], '/v1/payments?limit=3&since=2026-01-31T23%3A55%3A00.123456Z')
})

test('each kind of pagination gives every record once, and asks for what its options say', async () => {
  const asked: string[] = []
  const sized = (size: number, cap = 3): Handler => {
    return (_request, url, response) => {
      asked.push(url.search)
      const { searchParams: query } = url
      const from = query.has('start')
        ? Number(query.get('start'))
        : (Number(query.get('p') ?? query.get('page') ?? 1) - 1) * size
      const next = from + size < 9 ? `/v1/payments?page=${(from + size) / size + 1}` : undefined
      if (next)
        response.setHeader('link', `</v1/payments?page=1>; rel="first", <${next}>; rel="next"; title="a, b"`)
      const body = {
        data: page(from, Math.min(size, cap)),
        meta: { total: 9 },
        links: { next: next ?? null },
      }
      json(response, JSON.stringify(body))
    }
  }
  for (const [extract, expected] of [
    [
      { paginate: 'page', page_param: 'p', limit: 3, limit_param: 'size' },
      ['?size=3&p=1', '?size=3&p=2', '?size=3&p=3', '?size=3&p=4'],
    ],
    [
      { paginate: 'page', limit: 4, ends: 'short', limit_param: 'n' },
      ['?n=4&page=1', '?n=4&page=2', '?n=4&page=3'],
    ],
    [{ paginate: 'page', total: 'meta.total' }, ['?page=1', '?page=2', '?page=3', '?page=4']],
    [{ paginate: 'offset', offset_param: 'start' }, ['?start=0', '?start=3', '?start=6', '?start=9']],
    [
      { paginate: 'offset', offset_param: 'start', total: 'meta.total' },
      ['?start=0', '?start=3', '?start=6', '?start=9'],
    ],
    [{ paginate: 'link' }, ['', '?page=2', '?page=3']],
    [{ paginate: 'next', next: 'links.next', total: 'meta.total' }, ['', '?page=2', '?page=3']],
  ] as const) {
    asked.length = 0
    const size = 'limit' in extract && extract.limit === 4 ? 4 : 3
    assert.deepEqual(
      (await read(sized(size, size), { schema, extract })).flat(),
      all,
      JSON.stringify(extract),
    )
    assert.deepEqual(asked, expected)
  }
  // The server gives fewer than are asked for: the next offset goes by what came.
  assert.deepEqual(
    (
      await read(sized(3, 2), { schema, extract: { paginate: 'offset', offset_param: 'start', limit: 1000 } })
    ).flat(),
    all,
  )
})

test('with a total, pages are read side by side, and come in order', async () => {
  let under = 0
  let most = 0
  const rows = await read(
    (_request, url, response) => {
      most = Math.max(most, ++under)
      const number = Number(url.searchParams.get('page'))
      // Later pages answer first.
      setTimeout(
        () => {
          under--
          json(response, JSON.stringify({ data: page(number - 1, 1), total: '9' }))
        },
        40 - 4 * number,
      )
    },
    { schema, extract: { paginate: 'page', total: 'total' }, config: { concurrency: 3 } },
  )
  assert.deepEqual(rows.flat(), all)
  assert.equal(most, 3)
})

test('a page may hold fewer records than the one before: what was asked for on a guess is asked for anew', async () => {
  const rows = await read(
    (_request, url, response) => {
      const from = Number(url.searchParams.get('offset'))
      json(response, JSON.stringify({ data: page(from, from === 0 ? 3 : 2), total: 9 }))
    },
    { schema, extract: { paginate: 'offset', total: 'total' }, config: { concurrency: 4 } },
  )
  assert.deepEqual(rows.flat(), all)
})

test('pages that never end, or do not add up, are an error', async () => {
  const cursors =
    (give: (count: number) => string): Handler =>
    (_request, _url, response, count) =>
      json(response, `{"data":[{"id":${count}}],"next_cursor":"${give(count)}"}`)
  const numbered =
    (give: (number: number) => object): Handler =>
    (_request, url, response) =>
      json(
        response,
        JSON.stringify(give(Number(url.searchParams.get('page') ?? url.searchParams.get('offset')))),
      )
  const cursor = { paginate: 'cursor' }
  const numbers = { paginate: 'page' }
  const totalled = { paginate: 'page', total: 'total' }
  for (const [handler, extract, message] of [
    [cursors(() => 'same'), cursor, /page 2: its cursor was given before/],
    [cursors(count => String(count % 3)), cursor, /its cursor was given before/],
    [cursors(String), { ...cursor, max_pages: 20 }, /page 21: there are more than max_pages \(20\)/],
    [
      (_request, _url, response, count) => json(response, `{"data":[],"next_cursor":${count}}`),
      cursor,
      /1001 pages in a row hold no record/,
    ],
    [numbered(() => ({ data: page(0, 3) })), numbers, /page 2: its records were given before.*never end/],
    [numbered(number => ({ data: page(number % 4, 1) })), numbers, /its records were given before/],
    [
      numbered(number => ({ data: page(number, 2), total: 3 })),
      totalled,
      /hold 4 records, of 3 by its total/,
    ],
    [numbered(number => ({ data: page(number, 1), total: 9 - number })), totalled, /total fell from 8 to 7/],
    [
      numbered(number => ({ data: number > 2 ? [] : page(number, 1), total: 9 })),
      totalled,
      /page 3: it is the last, and all pages hold 2 records, of 9/,
    ],
    [
      numbered(() => ({ data: page(0, 1), total: 'many' })),
      totalled,
      /total holds "many", which is no number/,
    ],
    [
      numbered(() => ({ data: page(0, 1), next_cursor: {} })),
      cursor,
      /next_cursor holds an empty object, which is no cursor/,
    ],
  ] as [Handler, object, RegExp][])
    await assert.rejects(read(handler, { schema, extract, limit: 7 }), { code: 'RESPONSE_INVALID', message })
})

test('what is left after a chunk is enough to go on, and holds none of the connection’s own query', async () => {
  const asked: string[] = []
  await serving(
    (_request, url, response) => {
      asked.push(url.search)
      const number = Number(url.searchParams.get('page') ?? 1)
      const next = number < 3 ? `${url.pathname}?api_key=hush&page=${number + 1}` : null
      json(response, JSON.stringify({ data: page(number * 3 - 3, 3), next }))
    },
    async origin => {
      const left: string[] = []
      const rows = await readFrom(`${origin}/v1?api_key=hush`, {
        schema,
        extract: { paginate: 'next' },
        chunk: rest => left.push(JSON.stringify(rest) ?? 'done'),
      })
      assert.deepEqual(rows.flat(), all)
      assert.equal(left.length, 3)
      for (const rest of left) assert.ok(!rest.includes('hush'), rest)
    },
  )
  assert.deepEqual(asked, ['?api_key=hush', '?page=2&api_key=hush', '?page=3&api_key=hush'])
})

test('what the URL and the path ask with, also more than once, is asked for on every page', async () => {
  for (const [query, path, then] of [
    ['a=1&status=open&status=paid', '/payments', 'a=1&status=open&status=paid'],
    ['expand%5B%5D=x&expand%5B%5D=y', '/payments', 'expand%5B%5D=x&expand%5B%5D=y'],
    ['status=open', '/payments?status=paid', 'status=open&status=paid'],
    ['page=1', '/payments', ''],
  ] as const)
    for (const repeats of [true, false])
      for (const paginate of ['next', 'link']) {
        const asked: string[] = []
        await serving(
          (_request, url, response) => {
            const number = Number(url.searchParams.get('page') ?? 1)
            url.searchParams.delete('page')
            asked.push(url.search.slice(1))
            const own = repeats
              ? url.searchParams
              : new URLSearchParams(path.split('?')[1] && url.searchParams)
            own.append('page', String(number + 1))
            const next = number < 3 ? `${url.pathname}?${own}` : null
            if (next) response.setHeader('link', `<${next}>; rel="next"`)
            json(response, JSON.stringify({ data: page(number * 3 - 3, 3), next }))
          },
          async origin => {
            const rows = await readFrom(`${origin}/v1?${query}`, { schema, extract: { path, paginate } })
            assert.deepEqual(rows.flat(), all)
          },
        )
        assert.deepEqual(asked, [then, then, then], `${query} ${path} ${repeats} ${paginate}`)
      }
})

test('a secret that a next URL repeats is not in what is kept of it, however it is written', async () => {
  const token = 'se/cr+et ü'
  for (const written of [encodeURIComponent(token), new URLSearchParams({ t: token }).toString().slice(2)]) {
    const asked: (string | null)[] = []
    const rows = await read(
      (_request, url, response) => {
        const number = Number(url.searchParams.get('page') ?? 1)
        if (number > 1) asked.push(url.searchParams.get('access'))
        const next = number < 3 ? `${url.pathname}?access=${written}&page=${number + 1}` : null
        json(response, JSON.stringify({ data: page(number * 3 - 3, 3), next }))
      },
      {
        schema,
        extract: { paginate: 'next' },
        config: { headers: { 'x-key': token } },
        chunk: rest => assert.doesNotMatch(JSON.stringify(rest) ?? '', /cr(%2B|\+)et/),
      },
    )
    assert.deepEqual(rows.flat(), all)
    assert.deepEqual(asked, [token, token])
  }
})

test('pure parts', () => {
  assert.equal(sinceText('2026-01-31 23:55:00+00', 'iso'), '2026-01-31T23:55:00Z')
  assert.equal(sinceText('2026-01-31 23:55:00.9+00', 'epoch'), '1769903700')
  assert.equal(sinceText('2026-01-31 23:55:00.123456', 'epoch_ms'), '1769903700123')
  assert.equal(sinceText('2026-01-31', 'epoch'), '1769817600')
  assert.equal(sinceText('42', 'iso'), '42')
  assert.equal(sinceText('42', 'epoch'), '42')
  assert.equal(nextLink('<https://a/?x=1,2;3>; rel=next'), 'https://a/?x=1,2;3')
  assert.equal(nextLink('<a>; title="page 3; rel= the following"; rel="next"'), 'a')
  assert.equal(nextLink('<a>; title="; rel=next"; rel=prev, <b>; rel=next; rel=prev'), 'b')
  assert.equal(nextLink('<a>; rel="prev", <b>; title="x, <c>; rel=next"; rel="last NEXT"'), 'b')
  assert.equal(nextLink('<a>; rel="nextish"'), undefined)
  assert.equal(nextLink(null), undefined)
  assert.ok(!options.safeParse({ path: '/x', schema, paginate: 'page', ends: 'short' }).success)
})
