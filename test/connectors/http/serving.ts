import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { toTable } from '../../../engine/batch/arrow.ts'
import type { Batch } from '../../../engine/batch/batch.ts'
import type { ExtractSpec, LaneModule, Range, Sink } from '../../../engine/contracts/source.ts'
import type { InexactPolicy } from '../../../engine/types/logical.ts'
import { http } from '../../../src/connectors/http/index.ts'
import { options } from '../../../src/connectors/http/options.ts'

/** Answers the request with the number `count`, from 1. */
export type Handler = (request: IncomingMessage, url: URL, response: ServerResponse, count: number) => void

export interface Asked {
  schema: Record<string, unknown>
  extract?: object
  config?: object
  policies?: Record<string, InexactPolicy>
  since?: string
  /** Rows after which a chunk ends. */
  limit?: number
  key?: string[]
  /** Told of what people are told. */
  note?: (text: string) => void
  /** Told of what is left after each chunk. */
  chunk?: (rest: Range | undefined) => void
}

/** Runs a server of ours for as long as `use` takes. */
export async function serving<T>(handler: Handler, use: (origin: string) => Promise<T>): Promise<T> {
  let count = 0
  const server = createServer((request, response) =>
    handler(request, new URL(request.url!, 'http://x'), response, ++count),
  )
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  try {
    return await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  } finally {
    server.closeAllConnections()
    server.close()
  }
}

/** Serves `handler`, reads `/payments` through the connector, and gives back the staged values as rows. */
export function read(handler: Handler, asked: Asked): Promise<string[][]> {
  return serving(handler, origin => readFrom(`${origin}/v1`, asked))
}

/** The ids that are read, and what people are told. */
export async function told(
  handler: Handler,
  extract: object,
  asked: Partial<Asked> = {},
): Promise<{ rows: string[]; notes: string[] }> {
  const notes: string[] = []
  const rows = await read(handler, {
    schema: { id: 'BIGINT' },
    extract,
    note: text => notes.push(text),
    ...asked,
  })
  return { rows: rows.flat(), notes }
}

/** {@link read} from a server that is there. */
export async function readFrom(
  url: string,
  { schema, extract, config, policies = {}, since, limit = 1, key = [], chunk, note }: Asked,
): Promise<string[][]> {
  const source = http.source!(http.config.parse({ url, ...config }), {
    name: 'payment_api',
    baseDir: '/',
  })
  const parsed = options.parse({ path: '/payments', schema, ...extract })
  const spec: ExtractSpec = { name: 'payments', from: 'payment_api', key: [], columns: {}, options: parsed }
  const { signal } = new AbortController()
  const table = await source.describe(spec, signal)
  const columns = table.columns.map(column => ({ ...column, policy: policies[column.name] }))
  const snapshot = await source.open(4, signal, [])
  assert.equal(snapshot.lanes, 1)
  const plan = {
    extract: 'payments',
    where: 'payment_api.payments',
    columns,
    key,
    options: parsed,
    limits: { rows: 2, bytes: 1e6 },
    ...(since && { since: { column: 'updated_at', value: since } }),
  }
  const ranges = await snapshot.ranges(plan)
  assert.equal(ranges.length, 1)
  const lane = await ((await import(snapshot.lane.module)) as LaneModule).openLane(
    snapshot.lane.payload,
    new AbortController().signal,
  )
  const rows: string[][] = []
  const sink: Sink = {
    write: batch => rows.push(...texts(batch)),
    file: async () => assert.fail(),
    note: text => note?.(text),
  }
  try {
    let [range]: (Range | undefined)[] = ranges
    while (range) {
      // As it crosses threads and lies in a manifest.
      range = await lane.read(
        plan,
        JSON.parse(JSON.stringify(range)),
        limit,
        sink,
        new AbortController().signal,
      )
      chunk?.(range)
    }
  } finally {
    await lane.close()
  }
  return rows
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

export const json = (response: ServerResponse, body: string, status = 200) =>
  response.writeHead(status, { 'content-type': 'application/json' }).end(body)

/** An API of the records `{"id":0}` to `{"id":COUNT-1}`: `give` says what one page holds, and how it leads on. */
export function ids(count: number) {
  return {
    page: (from: number, size: number) =>
      Array.from({ length: Math.max(0, Math.min(size, count - from)) }, (_, index) => ({ id: from + index })),
    all: Array.from({ length: count }, (_, id) => String(id)),
  }
}
