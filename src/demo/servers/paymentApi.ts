import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { parseIso } from '../sample/clock.ts'

/** What the API serves: entries in the order of updated_at, made when asked for. */
export interface Feed {
  count: number
  /** The entry, ready for JSON. */
  at(position: number): object
  /** The moment of the entry's updated_at, in microseconds since 1970; rises along the feed. */
  time(position: number): number
}

/** Misbehaviour for tests; a page's number counts the answered requests for /payments from 1. */
export interface Mischief {
  /** From this page on, a proxy's HTML page with status 200 instead of JSON. */
  htmlAtPage?: number
  /** This page's first request gets 500; the same request again succeeds. */
  failOnceAtPage?: number
  /** This page's first request gets 429 with `Retry-After: 1`. */
  limitOnceAtPage?: number
  /** This page's first answer breaks off in the middle of its body. */
  cutOnceAtPage?: number
  /** Milliseconds before every answer. */
  delay?: number
}

export interface PaymentApiOptions {
  /** Asked for anew with every request, so that the feed may grow between two nights. */
  payments: () => Feed
  /** What `Authorization: Bearer` must carry. */
  token: string
  /** The largest (and default) page. Default 1000. */
  pageSize?: number
  /** Default: a free port. */
  port?: number
  mischief?: Mischief
}

export interface PaymentApi {
  /** `http://127.0.0.1:port`, without a slash at the end. */
  url: string
  port: number
  /** How many requests for /payments came, answered well or not. */
  requests(): number
  stop(): Promise<void>
}

/**
 * Starts the payment processor's API on 127.0.0.1:
 * `GET /health` → `{"status":"ok"}`;
 * `GET /payments?since=<ISO 8601>&cursor=<opaque>&limit=<n>` with a bearer token →
 * `{"data":[…],"next_cursor":…}`, entries whose updated_at is at or after `since`, in the order of updated_at and
 * payment_id; `next_cursor` is null on the last page. 400 for a malformed parameter, 401 without the token.
 */
export async function startPaymentApi(options: PaymentApiOptions): Promise<PaymentApi> {
  const state: State = { requests: 0, answered: 0, spent: new Set() }
  const server = createServer((request, response) => {
    const answer = () => send(response, reply(request, options, state))
    if (options.mischief?.delay) setTimeout(answer, options.mischief.delay)
    else answer()
  })
  server.listen(options.port ?? 0, '127.0.0.1')
  await once(server, 'listening')
  // Like the databases: it serves as long as somebody else keeps the process alive.
  server.unref()
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    requests: () => state.requests,
    async stop() {
      if (!server.listening) return
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

interface State {
  requests: number
  answered: number
  spent: Set<string>
}

interface Reply {
  status: number
  body: string
  headers: Record<string, string>
  /** Break off in the middle of the body. */
  cut?: boolean
}

function reply(request: IncomingMessage, options: PaymentApiOptions, state: State): Reply {
  const url = new URL(request.url ?? '/', 'http://127.0.0.1')
  if (request.method !== 'GET') return json(405, { error: 'only GET is served' })
  if (url.pathname === '/health') return json(200, { status: 'ok' })
  if (url.pathname !== '/payments') return json(404, { error: `there is no ${url.pathname}` })
  state.requests++
  if (request.headers.authorization !== `Bearer ${options.token}`)
    return json(401, { error: 'a bearer token is required' }, { 'WWW-Authenticate': 'Bearer' })
  const page = readPage(url.searchParams, options.payments(), options.pageSize ?? 1000)
  if ('error' in page) return json(400, page)
  return misbehave(json(200, page), options.mischief ?? {}, state)
}

/** The wrong answer that is due instead of the good one, if any. Counts the page where the answer is complete. */
function misbehave(good: Reply, mischief: Mischief, state: State): Reply {
  const page = state.answered + 1
  const due = (kind: 'failOnceAtPage' | 'limitOnceAtPage' | 'cutOnceAtPage') => {
    if (mischief[kind] !== page || state.spent.has(kind)) return false
    state.spent.add(kind)
    return true
  }
  if (due('failOnceAtPage')) return json(500, { error: 'internal error' })
  if (due('limitOnceAtPage')) return json(429, { error: 'too fast' }, { 'Retry-After': '1' })
  if (due('cutOnceAtPage')) return { ...good, cut: true }
  state.answered = page
  if (page < (mischief.htmlAtPage ?? Number.POSITIVE_INFINITY)) return good
  const body = '<!doctype html><title>Maintenance</title><p>We will be back soon.'
  return { status: 200, body, headers: { 'Content-Type': 'text/html' } }
}

const json = (status: number, body: object, headers: Record<string, string> = {}): Reply => ({
  status,
  body: JSON.stringify(body),
  headers: { 'Content-Type': 'application/json; charset=utf-8', ...headers },
})

function send(response: ServerResponse, { status, body, headers, cut }: Reply): void {
  response.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(body) })
  if (cut) response.write(body.slice(0, body.length >> 1), () => response.destroy())
  else response.end(body)
}

type Page = { data: object[]; next_cursor: string | null } | { error: string }

function readPage(query: URLSearchParams, feed: Feed, pageSize: number): Page {
  const limit = Number(query.get('limit') ?? pageSize)
  if (!Number.isInteger(limit) || limit < 1) return { error: 'limit must be a whole number from 1' }
  const cursor = query.get('cursor')
  const since = query.get('since')
  let start = 0
  if (cursor !== null) {
    const position = /^after:(\d{1,15})$/.exec(Buffer.from(cursor, 'base64url').toString())
    if (!position) return { error: 'cursor is not one of ours' }
    start = Number(position[1])
  } else if (since !== null) {
    const moment = parseIso(since)
    if (moment === undefined) return { error: 'since must be ISO 8601 with an offset' }
    start = firstAtOrAfter(feed, moment)
  }
  const end = Math.min(feed.count, start + Math.min(limit, pageSize))
  const data: object[] = []
  for (let position = start; position < end; position++) data.push(feed.at(position))
  const next = end < feed.count ? Buffer.from(`after:${end}`).toString('base64url') : null
  return { data, next_cursor: next }
}

function firstAtOrAfter(feed: Feed, moment: number): number {
  let low = 0
  let high = feed.count
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if (feed.time(middle) < moment) low = middle + 1
    else high = middle
  }
  return low
}
