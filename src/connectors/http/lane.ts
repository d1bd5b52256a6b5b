import { setImmediate as tick } from 'node:timers/promises'
import { BatchBuilder } from '../../../engine/batch/builder.ts'
import { EngineError } from '../../../engine/errors.ts'
import type { Lane, Range, Read, Sink } from '../../../engine/ports.ts'
import { type Access, Api } from './api.ts'
import { RecordDecoder } from './decode.ts'
import { nextCursor, parsePage, recordsOf } from './page.ts'
import type { HttpExtract } from './source.ts'

export async function openLane(payload: unknown): Promise<Lane> {
  const access = payload as Access
  const closing = new AbortController()
  return {
    read: (read, _range, _limit, sink) => readPages(access, read, sink, closing.signal),
    close: async () => closing.abort(),
  }
}

/** Reads page after page; the next one is under way while one is decoded, never more. */
async function readPages(
  access: Access,
  read: Read,
  sink: Sink,
  signal: AbortSignal,
): Promise<Range | undefined> {
  const options = read.options as HttpExtract
  const api = new Api(access)
  const failing = new AbortController()
  const signals = AbortSignal.any([signal, failing.signal])
  const builder = new BatchBuilder(read.where, read.columns, read.limits)
  const decoder = new RecordDecoder(builder)
  const fixed = fixedQuery(read, options)
  const ask = (cursor?: string) => {
    const query = cursor === undefined ? fixed : { ...fixed, [options.cursor_param]: cursor }
    const answer = api.get(options.path, query, signals)
    // Awaited only after the page before it is decoded: until then a failure is nobody's.
    answer.catch(() => {})
    return answer
  }
  const seen = new CursorLoop()
  try {
    let coming: ReturnType<typeof ask> | undefined = ask()
    for (let number = 1; coming; number++) {
      const where = `${access.name} ${options.path.replace(/\?.*/, '')} page ${number}`
      const answer = await coming
      const page = parsePage(api, where, answer)
      const records = recordsOf(api, where, answer, page, options.records)
      const cursor = options.paginate === 'cursor' ? nextCursor(where, page, options.cursor) : undefined
      if (cursor !== undefined && seen.repeats(cursor))
        throw new EngineError(
          'RESPONSE_INVALID',
          `${where}: its cursor was given before, so pages would never end`,
        )
      coming = cursor === undefined ? undefined : ask(cursor)
      // Decoding does not yield: the request must be on its way before.
      if (coming) await tick()
      for (let index = 0; index < records.length; index++) {
        decoder.decode(records[index], where, index + 1)
        if (builder.full) flush(builder, sink)
      }
    }
    if (builder.rows > 0) flush(builder, sink)
    return undefined
  } finally {
    failing.abort()
  }
}

function flush(builder: BatchBuilder, sink: Sink): void {
  sink.write(builder.batch())
  builder.reset()
}

function fixedQuery(read: Read, options: HttpExtract): Record<string, string> {
  const query: Record<string, string> = {}
  if (options.limit !== undefined) query.limit = String(options.limit)
  if (read.since && options.since_param) query[options.since_param] = isoOf(read.since.value)
  return query
}

/** DuckDB's text of a watermark as ISO 8601: `2026-01-31 23:55:00.5+00` → `2026-01-31T23:55:00.5Z`; others as they are. */
export function isoOf(value: string): string {
  return /^\d{4,}-\d{2}-\d{2} /.test(value) ? value.replace(' ', 'T').replace(/\+00(:00)?$/, 'Z') : value
}

/** Finds a cycle among cursors in constant memory (Brent's algorithm): perhaps some rounds late, but surely. */
class CursorLoop {
  private last: string | undefined
  private kept: string | undefined
  private steps = 0
  private power = 1

  repeats(cursor: string): boolean {
    if (cursor === this.last || cursor === this.kept) return true
    this.last = cursor
    if (this.steps++ === this.power || this.kept === undefined) {
      this.kept = cursor
      this.power *= 2
      this.steps = 0
    }
    return false
  }
}
