import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { http } from '../../../src/connectors/http/index.ts'
import { options } from '../../../src/connectors/http/options.ts'
import { type Handler, ids, json, read, told } from './serving.ts'

const schema = { id: 'BIGINT' }

/** An API that gives `size` records a page at most; `more` makes the fields that lead on from record `to`. */
function api(
  count: number,
  size: number,
  more: (to: number, last: boolean) => object,
  list = 'data',
): Handler {
  const { page } = ids(count)
  return (_request, url, response) => {
    const from = Number(url.searchParams.get('from') ?? 0)
    const to = Math.min(from + size, count)
    json(response, JSON.stringify({ [list]: page(from, size), ...more(to, to >= count) }))
  }
}

test('a field that leads on is found under any name, as a name before as a path, or by a list of names', async () => {
  const names = fc.array(fc.stringMatching(/^[a-z@.$]{1,6}$/), { minLength: 1, maxLength: 3 })
  await fc.assert(
    fc.asyncProperty(
      names,
      fc.constantFrom('next', 'cursor'),
      fc.boolean(),
      async (path, paginate, listed) => {
        fc.pre(path[0] !== 'data')
        const leading = (value: unknown) =>
          path.reduceRight((inner, name) => ({ [name]: inner }), value) as object
        const handler = api(9, 4, (to, last) =>
          leading(last ? null : paginate === 'next' ? `/v1/payments?from=${to}` : to),
        )
        const extract = { paginate, [paginate]: listed ? path : path.join('.'), cursor_param: 'from' }
        assert.deepEqual((await told(handler, extract)).rows, ids(9).all)
      },
    ),
    { numRuns: 40 },
  )
  const deep = api(9, 4, (to, last) => ({ 'a.b': { 'c.d': last ? null : to } }), 'x.y')
  const extract = { paginate: 'cursor', cursor: 'a.b.c.d', cursor_param: 'from', records: 'x.y' }
  assert.deepEqual((await told(deep, extract)).rows, ids(9).all)
})

test('a field that no page has is no end: refused after a full page, told after one that may be the last', async () => {
  const silent = api(9, 4, () => ({ other: 1 }))
  for (const [extract, field] of [
    [{ paginate: 'next', next: '@odata.nextLink' }, '@odata.nextLink'],
    [{ paginate: 'cursor', cursor: ['a', 'b.c'] }, '["a","b.c"]'],
    [{ paginate: 'link' }, 'a Link header'],
  ] as const) {
    const refused = {
      code: 'RESPONSE_INVALID',
      message: new RegExp(`no page has ${field.replace(/[[.\]]/g, '\\$&')}, and this one is full`),
    }
    await assert.rejects(told(silent, { ...extract, limit: 4 }), refused)
    await assert.rejects(told(silent, { ...extract, path: '/payments?$top=4' }), refused)
    const { rows, notes } = await told(silent, { ...extract, limit: 5 })
    assert.equal(rows.length, 4)
    assert.match(notes.join(), /is taken for the last/)
  }
})

test('a flag decides on the end, whatever the page holds', async () => {
  const cursor = { paginate: 'cursor', cursor: 'data.-1.id', cursor_param: 'after', limit: 100 }
  const { page, all } = ids(9)
  const after = (flag: (last: boolean) => object): Handler => {
    return (_request, url, response) => {
      const from = url.searchParams.has('after') ? Number(url.searchParams.get('after')) + 1 : 0
      json(response, JSON.stringify({ data: page(from, 4), ...flag(from + 4 >= 9) }))
    }
  }
  for (const flag of [
    (last: boolean) => ({ has_more: !last }),
    (last: boolean) => ({ has_more: String(!last) }),
    (last: boolean) => ({ has_more: last ? 0 : 1 }),
  ])
    assert.deepEqual((await told(after(flag), { ...cursor, more: 'has_more' })).rows, all)
  assert.deepEqual(
    (
      await told(
        after(last => ({ end: last })),
        { ...cursor, end: 'end' },
      )
    ).rows,
    all,
  )
  const offset = { paginate: 'offset', offset_param: 'from', limit: 100, ends: 'short' }
  const flagged = api(9, 4, (_to, last) => ({ meta: { more: !last } }))
  assert.deepEqual((await told(flagged, { ...offset, more: 'meta.more' })).rows, all)
  for (const [handler, extract, message] of [
    [
      after(() => ({ has_more: 'perhaps' })),
      { ...cursor, more: 'has_more' },
      /has_more holds "perhaps", which is neither/,
    ],
    [after(() => ({})), { ...cursor, more: 'has_more' }, /has_more holds nothing/],
    [
      api(3, 4, () => ({ has_more: true })),
      { ...cursor, cursor: 'next', more: 'has_more' },
      /more pages follow \(has_more\), and not where/,
    ],
    [api(3, 4, () => ({ hasMore: true })), { ...cursor, cursor: 'next' }, /leads on \(hasMore: true\)/],
    [api(3, 4, () => ({ meta: { next_page: '/x' } })), {}, /leads on \(meta.next_page: a value\)/],
  ] as [Handler, object, RegExp][])
    await assert.rejects(told(handler, extract), { code: 'RESPONSE_INVALID', message })
  const one = await told(
    api(3, 4, () => ({ has_more: true })),
    { paginate: 'none' },
  )
  assert.equal(one.rows.length, 3)
  assert.match(one.notes.join(), /leads on \(has_more: true\)/)
  assert.ok(!options.safeParse({ path: '/x', schema, more: 'a', end: 'b' }).success)
})

test('a page that leads to itself is the last where it holds no record', async () => {
  const own = api(9, 4, to => ({ after: `/v1/payments?from=${to}` }))
  assert.deepEqual((await told(own, { paginate: 'next', next: 'after' })).rows, ids(9).all)
  const ended = api(9, 4, (to, last) => ({ after: `/v1/payments?from=${to}`, end: last }))
  assert.deepEqual((await told(ended, { paginate: 'next', next: 'after', end: 'end' })).rows, ids(9).all)
})

test('a page that the server cut short is not the last; nor need there be one beyond', async () => {
  const extract = { paginate: 'offset', offset_param: 'from', ends: 'short', limit: 6 }
  for (const [count, size] of [
    [9, 4],
    [9, 6],
    [12, 6],
    [3, 6],
    [0, 6],
  ] as const)
    assert.deepEqual(
      (
        await told(
          api(count, size, () => ({})),
          extract,
        )
      ).rows,
      ids(count).all,
      `${count} by ${size}`,
    )
  const beyond: Handler = (_request, url, response) =>
    url.searchParams.get('from') === '0' ? json(response, '{"data":[{"id":0}]}') : json(response, '{}', 404)
  assert.deepEqual((await told(beyond, extract)).rows, ['0'])
})

test('an answer without records is no failure, and one that is no answer is', async () => {
  for (const body of [
    '',
    'null',
    '{}',
    '{"data":null}',
    '{"data":[]}',
    '{"kind":"list","warnings":[]}',
    '{"data":null,"next_cursor":null}',
  ])
    for (const extract of [{}, { paginate: 'cursor' }, { paginate: 'offset', total: 'total' }])
      for (const schema of [{ id: 'BIGINT' }, { id: 'JSON' }])
        assert.deepEqual(
          await read((_request, _url, response) => response.writeHead(body === '' ? 204 : 200).end(body), {
            schema,
            extract,
          }),
          [],
          body,
        )
  const beyond = read(
    (_request, url, response) =>
      url.searchParams.get('page') === '2'
        ? json(response, '{}', 404)
        : json(response, '{"data":[{"id":1}]}'),
    { schema, extract: { paginate: 'page' } },
  )
  await assert.rejects(beyond, (error: { hint?: string }) => /write ends: short/.test(error.hint ?? ''))
  const { notes } = await told((_request, _url, response) => json(response, '{"kind":"list"}'), {})
  assert.match(notes.join(), /nothing at data: taken for no records/)
  const beside = await told(
    (_request, _url, response) => json(response, '{"data":[{"id":1}],"errors":[{"message":"x"}]}'),
    {},
  )
  assert.match(beside.notes.join(), /says errors \(1\) beside its records: some may be missing/)
  for (const body of [
    '{"items":[{"id":1}]}',
    '{"ok":false}',
    '{"error":"gone"}',
    '{"meta":{"errors":["x"]}}',
    '{"data":null,"errors":[{"message":"x"}]}',
    '{"message":"Unauthorized"}',
    '{"status":"error"}',
    '{"code":401,"msg":"no"}',
    '{"statusCode":"503"}',
    '{"title":"Forbidden","detail":"no"}',
    '"x"',
    '{"data":{}}',
  ])
    await assert.rejects(
      told((_request, _url, response) => json(response, body), {}),
      { code: 'RESPONSE_INVALID', message: /(nothing|no list) at data/ },
      body,
    )
})

test('an answer that says it failed is not the end of a list, though its list is empty', async () => {
  const after = (body: string): Handler => {
    return (_request, url, response) =>
      json(response, url.searchParams.get('page') === '1' ? '{"data":[{"id":1},{"id":2}]}' : body)
  }
  for (const said of [
    '"error":"database timeout"',
    '"errors":["x"]',
    '"success":false',
    '"ok":"false"',
    '"status":500',
    '"status":"failed"',
    '"meta":{"error_code":17}',
    '"error":{"code":0,"message":"database timeout"}',
    '"error_code":12345678901234567890',
    '"responseStatus":{"code":500}',
  ])
    for (const body of [`{${said},"data":[]}`, `{"data":[],${said}}`])
      await assert.rejects(
        told(after(body), { paginate: 'page', limit: 2 }),
        { code: 'RESPONSE_INVALID', message: /page 2: the answer says \S.*, and its list is empty/ },
        body,
      )
  for (const said of [
    '"error":null',
    '"error":"null"',
    '"errors":[]',
    '"errors":{}',
    '"error":"none"',
    '"error":"0"',
    '"error":"false"',
    '"error":{"code":0,"message":"OK"}',
    '"error_code":"0000"',
    '"errorCode":"NO_ERROR"',
    '"success":true',
    '"status":200',
    '"status":"ok"',
    '"status":12345678901234567890',
    '"message":"no record found"',
    '"stats":{"errors":3,"ok":90}',
    '"filters":{"status":"failed"}',
    '"order":{"status":"denied"}',
  ])
    for (const list of ['"data":[]', '"data":null'])
      assert.deepEqual(
        (await told(after(`{${said},${list}}`), { paginate: 'page', limit: 2 })).rows,
        ['1', '2'],
        said,
      )
  const whole = await told(after('{"data":[{"id":3}],"stats":{"errors":3}}'), {
    paginate: 'page',
    limit: 2,
    ends: 'short',
  })
  assert.deepEqual(whole, { rows: ['1', '2', '3'], notes: [] })
})

test('a failure is looked for in each object on the way to the list', async () => {
  for (const [records, body] of [
    ['data.items', '{"data":{"items":[],"error":"timeout"}}'],
    ['result.list', '{"result":{"list":[],"success":false}}'],
    ['result.list', '{"result":{"meta":{"status":"failed"},"list":[]}}'],
    ['result.list', '{"result":{"list":[]},"ok":false}'],
    ['result.list', '{"result":{"list":null,"success":false}}'],
  ] as const)
    await assert.rejects(
      told((_request, _url, response) => json(response, body), { records }),
      { code: 'RESPONSE_INVALID' },
      body,
    )
  for (const body of [
    '{"data":{"items":[],"error":null,"filters":{"status":"failed"}}}',
    '{"data":{"items":null,"filters":{"status":"failed"}}}',
  ])
    assert.deepEqual(
      await told((_request, _url, response) => json(response, body), { records: 'data.items' }),
      { rows: [], notes: [] },
      body,
    )
})

test('records that move between pages are told, and with an overlap refused', async () => {
  const moving = (change: (list: number[]) => number[]): Handler => {
    let list = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    return (_request, url, response) => {
      const query = url.searchParams
      const from = query.has('page') ? (Number(query.get('page')) - 1) * 4 : Number(query.get('from'))
      json(response, JSON.stringify({ data: list.slice(from, from + 4).map(id => ({ id, at: from })) }))
      if (from === 0) list = change(list)
    }
  }
  const inserted = (list: number[]) => [99, ...list]
  const deleted = (list: number[]) => list.slice(1)
  const notes: string[] = []
  const rows = await read(moving(inserted), {
    schema,
    key: ['id'],
    extract: { paginate: 'page', limit: 4 },
    note: text => notes.push(text),
  })
  assert.equal(rows.length, 11)
  assert.match(notes.join(), /page 2: 1 of its 4 records was on the page before, too: records moved/)
  const overlapping = { paginate: 'offset', offset_param: 'from', limit: 4, overlap: 1 }
  for (const change of [inserted, deleted])
    await assert.rejects(told(moving(change), overlapping), {
      code: 'RESPONSE_INVALID',
      message:
        /page 2: it does not begin with the last record of the page before \(overlap\), so records moved/,
    })
  const { rows: whole } = await told((_request, url, response) => {
    const from = Number(url.searchParams.get('from'))
    json(response, JSON.stringify({ data: ids(10).page(from, 4) }))
  }, overlapping)
  assert.deepEqual(whole, ids(10).all)
  assert.ok(!options.safeParse({ path: '/x', schema, paginate: 'page', limit: 4, overlap: 1 }).success)
  const advice = (extract: object) =>
    http.advise!(options.parse({ path: '/x', schema, limit: 4, ...extract }))
  for (const paginate of ['page', 'offset']) assert.match(advice({ paginate })!.message, /can miss records/)
  for (const extract of [overlapping, { paginate: 'cursor' }, {}]) assert.equal(advice(extract), undefined)
})

test('of many pages with records of the page before, the first is told, and how many there are more', async () => {
  // Each page begins with the last two of the page before.
  const { notes, rows } = await told(
    (_request, url, response) => {
      const from = (Number(url.searchParams.get('page')) - 1) * 4
      json(response, JSON.stringify({ data: ids(22).page(Math.max(0, from), from < 20 ? 6 : 2) }))
    },
    { paginate: 'page', limit: 6 },
    { key: ['id'] },
  )
  assert.equal(rows.length, 32)
  assert.equal(notes.length, 2)
  assert.match(notes[0]!, /page 2: 2 of its 6 records were on the page before, too: records moved/)
  assert.match(notes[1]!, /page 7: 8 records of 4 more pages were on the page before, too$/)
})

test('what is asked is what the path says', async () => {
  const asked: (string | null)[] = []
  const handler: Handler = (_request, url, response) => {
    asked.push(...[...url.searchParams].map(([name, value]) => `${name}=${value}`))
    json(response, '{"data":[]}')
  }
  const extract = { path: "/payments?q=SELECT Id WHERE Name != 'a?b'&p=1%2B1&limit=3&e=", limit: 7 }
  await read(handler, { schema, extract, config: {} })
  assert.deepEqual(asked, ["q=SELECT Id WHERE Name != 'a?b'", 'p=1+1', 'e=', 'limit=7'])
})
