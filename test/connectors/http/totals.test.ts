import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { test } from 'node:test'
import type { EngineError } from '../../../engine/errors.ts'
import { type Handler, ids, json, told } from './serving.ts'

/** The records of `list`, five a page, with what `tells` gives beside them; beyond them, `beyond` answers. */
function totalled(
  list: object[],
  tells: object,
  beyond: (response: ServerResponse, count: number) => void,
): Handler {
  return (_request, url, response, count) => {
    const from = Number(url.searchParams.get('offset') ?? (Number(url.searchParams.get('page')) - 1) * 5)
    if (from >= list.length) beyond(response, count)
    else json(response, JSON.stringify({ data: list.slice(from, from + 5), ...tells }))
  }
}

const answers =
  (body: string, code = 200) =>
  (response: ServerResponse) =>
    json(response, body, code)
const status = (code: number, body = '{"error":"no"}') => answers(body, code)
const never = () => assert.fail('a page beyond the last was asked for')

test('a total is believed where no record follows, and refused where one does', async () => {
  const list = ids(25).page
  const first = list(0, 20)
  const rest = answers(JSON.stringify({ data: list(20, 5), total: 20 }))
  const last = answers(JSON.stringify({ data: list(15, 5), total: 20 }))
  const grown = answers(JSON.stringify({ data: list(20, 3), total: 23 }))
  for (const extract of ['page', 'offset'].flatMap(paginate => [
    { paginate, limit: 5, total: 'total' },
    { paginate, limit: 1000, total: 'total' },
    { paginate, total: 'total' },
  ])) {
    await assert.rejects(told(totalled(first, { total: 20 }, rest), extract), {
      code: 'RESPONSE_INVALID',
      message: /page 5: all pages before it hold 20 records, as their total says, and it has more/,
    })
    for (const beyond of [answers('{"data":[],"total":20}'), last, status(404)])
      assert.deepEqual(await told(totalled(first, { total: 20 }, beyond), extract), {
        rows: ids(20).all,
        notes: [],
      })
    assert.deepEqual((await told(totalled(first, { total: 20 }, grown), extract)).rows, ids(23).all)
    // The total of the one page is no more than what is on it.
    const counted = answers(JSON.stringify({ data: list(5, 5), total: 5, has_more: true }))
    for (const tells of [
      { total: 5, has_more: true },
      { total: 5, has_more: false },
    ])
      await assert.rejects(told(totalled(list(0, 5), tells, counted), extract), {
        message: /page 2: all pages before it hold 5 records/,
      })
  }
})

test('at its total, a page that is shorter than the one before is the last, unless more is said to follow', async () => {
  const list = ids(23).page(0, 23)
  const extract = { paginate: 'page', total: 'total' }
  assert.deepEqual((await told(totalled(list, { total: 23 }, never), extract)).rows, ids(23).all)
  const flagged = totalled(list.slice(0, 20), { total: 20, more: false }, never)
  const ended = await told(
    (request, url, response, count) =>
      count < 4
        ? totalled(list.slice(0, 20), { total: 20, more: true }, never)(request, url, response, count)
        : flagged(request, url, response, count),
    { ...extract, more: 'more' },
  )
  assert.deepEqual(ended.rows, ids(20).all)
  const rest = answers('{"data":[{"id":23}],"total":23,"more":true,"has_more":true}')
  for (const [tells, more] of [
    [{ total: 23, more: true }, { more: 'more' }],
    [{ total: 23, has_more: true }, {}],
    [{ total: 23, links: { next: '/payments?page=6' } }, {}],
  ] as const)
    await assert.rejects(told(totalled(list, tells, rest), { ...extract, ...more }), {
      message: /all pages before it hold 23 records/,
    })
})

test('at its total, a page that the API refuses or fails to give is none; one that got lost is asked for anew', async () => {
  const list = ids(20).page(0, 20)
  const extract = { paginate: 'page', total: 'total' }
  const read = (beyond: (response: ServerResponse, count: number) => void, config = {}) =>
    told(totalled(list, { total: 20 }, beyond), extract, { config: { attempts: 1, ...config } })
  for (const code of [400, 401, 403, 405, 410, 416, 422, 429, 500, 503]) {
    const { rows, notes } = await read(status(code))
    assert.deepEqual(rows, ids(20).all, String(code))
    assert.match(
      notes.join(),
      new RegExp(`page 5: .* total of 20 records, .* taken for the end: .*status ${code}, .*no`),
    )
  }
  assert.match((await read(status(500), { attempts: 2 })).notes.join(), /status 500.*, 2 times/)
  for (const body of [
    '{"Response":"False","Error":"Movie not found!"}',
    '{"success":false,"data":[]}',
    '<p>Nothing here</p>',
  ]) {
    const { rows, notes } = await read(answers(body))
    assert.deepEqual(rows, ids(20).all, body)
    assert.match(notes.join(), /total of 20 records, .* taken for the end: .*status 200/)
  }
  for (const [code, body] of [
    [204, undefined],
    [206, '{"data":[]}'],
  ] as const)
    assert.deepEqual(await read(response => response.writeHead(code).end(body)), {
      rows: ids(20).all,
      notes: [],
    })
  await assert.rejects(
    read(response => response.destroy()),
    { code: 'CONNECTION_FAILED' },
  )
  await assert.rejects(
    read(() => {}, { timeout: 0.2 }),
    { code: 'TIMEOUT' },
  )
})

test('a refusal that tells of a window on the list is not its end', async () => {
  const list = ids(20).page(0, 20)
  const offset = { paginate: 'offset', total: 'total' }
  for (const [code, body] of [
    [
      400,
      '{"error":{"root_cause":[{"type":"illegal_argument_exception","reason":"Result window is too large, from + size must be less than or equal to: [20]"}]}}',
    ],
    [422, '{"message":"Only the first 20 search results are available"}'],
    [400, '{"message":"offset is over the maximum offset of 20"}'],
    [400, '{"message":"maximum results reached"}'],
    [400, '{"message":"Cannot page beyond 20 records"}'],
    [400, '{"message":"can not page past item 20"}'],
    [200, '{"error":"Only the first 20 results are available"}'],
  ] as const)
    await assert.rejects(
      told(totalled(list, { total: 20 }, status(code, body)), offset),
      (error: EngineError) => {
        assert.match(error.message, /page 5: .* hold 20 records, .*: .*status \d+/)
        assert.match(error.hint!, /a part of it/)
        return error.code === 'RESPONSE_INVALID'
      },
      body,
    )
  const wordpress =
    '{"code":"rest_post_invalid_page_number","message":"The page number requested is larger than the number of pages available."}'
  for (const [count, extract] of [
    [20, { ...offset, paginate: 'page' }],
    [20, offset],
    [21, { ...offset, limit: 5, overlap: 1 }],
  ] as const) {
    const { page, all } = ids(count)
    const handler: Handler = (_request, url, response) => {
      const from = Number(url.searchParams.get('offset') ?? (Number(url.searchParams.get('page')) - 1) * 5)
      const data = page(from, 5)
      if (data.length < 2) status(400, wordpress)(response)
      else json(response, JSON.stringify({ data, total: count }))
    }
    const { rows, notes } = await told(handler, extract)
    assert.deepEqual(rows, all)
    assert.match(notes.join(), /taken for the end: .*rest_post_invalid_page_number/)
  }
})

test('what is asked for to find the end is no page of max_pages', async () => {
  const list = ids(20).page(0, 20)
  for (const paginate of ['page', 'offset'])
    for (const total of [{}, { total: 'total' }]) {
      const asked = (max_pages: number) =>
        told(totalled(list, { total: 20 }, answers('{"data":[]}')), { paginate, ...total, max_pages })
      assert.deepEqual((await asked(4)).rows, ids(20).all)
      await assert.rejects(asked(3), { message: /page 4: there are more than max_pages \(3\)/ })
    }
})

test('records that have a key are the same by it, whatever else of them has changed', async () => {
  let views = 0
  const seen = (data: { id: number }[]) => data.map(record => ({ ...record, views: views++ }))
  const { page, all } = ids(20)
  const again: Handler = (_request, url, response) => {
    const from = Math.min(
      Number(url.searchParams.get('offset') ?? Number(url.searchParams.get('page')) * 5 - 5),
      15,
    )
    json(response, JSON.stringify({ data: seen(page(from, 5)), total: 20 }))
  }
  const overlapping: Handler = (_request, url, response) =>
    json(response, JSON.stringify({ data: seen(page(Number(url.searchParams.get('offset')), 5)) }))
  for (const [handler, extract] of [
    [again, { paginate: 'page', total: 'total' }],
    [again, { paginate: 'offset', total: 'total' }],
    [overlapping, { paginate: 'offset', limit: 5, overlap: 2 }],
  ] as const) {
    assert.deepEqual((await told(handler, extract, { key: ['id'] })).rows, all)
    await assert.rejects(told(handler, extract), { code: 'RESPONSE_INVALID' })
  }
  const same: Handler = (_request, _url, response) =>
    json(response, JSON.stringify({ data: seen(page(0, 5)) }))
  await assert.rejects(told(same, { paginate: 'page' }, { key: ['id'] }), {
    message: /page 2: its records were given before/,
  })
  // A record without its key is known by what it holds.
  const keyless: Handler = (_request, url, response) => {
    const from = Number(url.searchParams.get('offset'))
    json(response, JSON.stringify({ data: page(from, 5).map(({ id }) => ({ key: null, id })) }))
  }
  const rows = await told(
    keyless,
    { paginate: 'offset' },
    { schema: { id: 'BIGINT', key: 'BIGINT' }, key: ['key'] },
  )
  assert.equal(rows.rows.length, 40)
})
