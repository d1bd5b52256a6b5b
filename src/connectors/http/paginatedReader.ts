import { setTimeout as sleep, setImmediate as tick } from 'node:timers/promises'
import { BatchBuilder } from '../../../engine/batch/builder.ts'
import type { Range, Read, Sink } from '../../../engine/contracts/source.ts'
import { EngineError } from '../../../engine/errors.ts'
import { counted } from '../../../engine/plural.ts'
import { redact } from '../../util/redact.ts'
import { absentPage } from './absentPage.ts'
import type { Access } from './access.ts'
import { type Answer, type Api, Refusal } from './api.ts'
import { RecordDecoder } from './decode.ts'
import type { HttpOptions } from './options.ts'
import { pageOf } from './page.ts'
import {
  guesses,
  isBeyond,
  isUnmoved,
  missed,
  nextPage,
  type Page,
  type PageCursor,
  repeatedBy,
} from './pageCursor.ts'
import { elementsOf, startAt } from './raw.ts'
import { recordMarker } from './recordMarks.ts'
import { sinceText } from './since.ts'

/** A slow API's pages are kept after so long at the latest, so that few of them are ever asked for again. */
const CHUNK_MS = 5000

/** The range from a page on. */
export function rangeFrom(access: Access, options: HttpOptions, cursor: PageCursor): Range {
  const label = `${pathname(access, options)} page ${cursor.page}`
  return {
    label,
    ...(cursor.total !== undefined && { rows: Math.max(0, cursor.total - cursor.rows) }),
    payload: cursor,
  }
}

/** Reads the pages of one extract, chunk by chunk. The next is under way while one is decoded. */
export class PaginatedReader {
  readonly extract: string
  private readonly api: Api
  private readonly access: Access
  private readonly options: HttpOptions
  private readonly fixed: Record<string, string>
  private readonly builder: BatchBuilder
  private readonly decoder: RecordDecoder
  private readonly mark: (record: unknown) => string
  /** Marks of the records of the page before. */
  private last = new Set<string>()
  /** Records that were on the page before, too, of each page that has such. */
  private readonly moved: number[] = []
  /** Whether a page was read: the first may go on from where another reader was. */
  private begun = false
  /** The page that is waited for. */
  private taking: AbortController | undefined
  private readonly coming = new Map<PageCursor['at'], { answer: Promise<Answer>; stop: AbortController }>()

  constructor(api: Api, access: Access, read: Read) {
    const options = read.options as HttpOptions
    this.extract = read.extract
    this.api = api
    this.access = access
    this.options = options
    this.builder = new BatchBuilder(read.where, read.columns, read.limits)
    this.decoder = new RecordDecoder(this.builder, options)
    this.mark = recordMarker(options.schema, read.key)
    this.fixed = {}
    if (options.limit !== undefined) this.fixed[options.limit_param] = String(options.limit)
    if (read.since && options.since_param)
      this.fixed[options.since_param] = sinceText(read.since.value, options.since_format)
  }

  /** Reads about `limit` records from the range's page on, whole pages; gives what is left. */
  async chunk(range: Range, limit: number, sink: Sink): Promise<Range | undefined> {
    const until = performance.now() + CHUNK_MS
    let cursor = range.payload as PageCursor
    let rows = 0
    for (;;) {
      const next = await this.page(cursor, sink)
      if (next) {
        rows += next.rows - cursor.rows
        cursor = next
      }
      if (!next || rows >= limit || !(await this.comes(cursor.at, until))) {
        if (this.builder.rows > 0) this.flush(sink)
        return next && rangeFrom(this.access, this.options, next)
      }
    }
  }

  /** Ends the requests under way. */
  close(): void {
    this.taking?.abort()
    for (const { stop } of this.coming.values()) stop.abort()
    this.coming.clear()
  }

  private async page(cursor: PageCursor, sink: Sink): Promise<PageCursor | undefined> {
    const { options, builder, decoder } = this
    const where = `${this.access.name} ${pathname(this.access, options)} page ${cursor.page}`
    if (!this.begun && cursor.before) await this.compare(where, cursor)
    this.begun = true
    const page = await this.given(where, cursor)
    const next = nextPage(where, options, cursor, page)
    this.expect(next ? guesses(options, cursor, next, this.access.concurrency) : [])
    // Decoding does not yield: the request must be on its way before.
    if (next) await tick()
    const repeated = repeatedBy(where, cursor, page)
    const records = page.records.slice(repeated)
    const marks = page.marks.slice(repeated)
    const again = marks.filter(mark => this.last.has(mark)).length
    this.last = new Set(marks)
    if (again > 0 && this.moved.push(again) === 1)
      page.notes.push(
        `${again} of its ${counted(records.length, 'record')} ${again === 1 ? 'was' : 'were'} on the page before, too: records moved while pages were read, and others may have been passed over`,
      )
    const starts = decoder.raw && records.length > 0 ? startsOf(page.text, page.at).slice(repeated) : []
    for (let index = 0; index < records.length; index++) {
      decoder.decode(records[index], where, index + 1, page.text, starts[index])
      if (builder.full) this.flush(sink)
    }
    if (!next) page.notes.push(...decoder.notes(), ...this.alsoMoved())
    for (const note of page.notes) sink.note(`${where}: ${note}`)
    return next
  }

  /** Of the pages after the first whose records were on the page before, too. */
  private alsoMoved(): string[] {
    const [, ...more] = this.moved
    const records = more.reduce((sum, again) => sum + again, 0)
    if (records === 0) return []
    return [
      `${counted(records, 'record')} of ${counted(more.length, 'more page')} ${records === 1 ? 'was' : 'were'} on the page before, too`,
    ]
  }

  /** Fails where the page before, which was read at an earlier time, has other records now. */
  private async compare(where: string, cursor: PageCursor): Promise<void> {
    if (isUnmoved(cursor, this.pageOf(where, await this.take(cursor.before!.at)))) return
    throw missed(
      where,
      'the page before it, which was read before the interruption, has other records now, so records moved between pages',
      'Nothing is loaded. Run the job again: it begins at the first page. An API that pages by cursor can go on.',
    )
  }

  private flush(sink: Sink): void {
    sink.write(this.builder.batch())
    this.builder.reset()
  }

  /** Has these pages under way, and no others. */
  private expect(cursors: PageCursor['at'][]): void {
    for (const [at, { stop }] of this.coming)
      if (!cursors.includes(at)) {
        stop.abort()
        this.coming.delete(at)
      }
    for (const at of cursors) if (!this.coming.has(at)) this.coming.set(at, this.ask(at))
  }

  /** Whether a page that is under way is there, and well, before a time. A failure is left to whoever takes it. */
  private async comes(at: PageCursor['at'], until: number): Promise<boolean> {
    const waiting = new AbortController()
    const late = sleep(Math.max(0, until - performance.now()), false, { signal: waiting.signal }).catch(
      () => false,
    )
    const there = this.coming.get(at)!.answer.then(
      () => true,
      () => false,
    )
    try {
      return await Promise.race([there, late])
    } finally {
      waiting.abort()
    }
  }

  /** The page at a cursor; one without records where the list has ended before it. */
  private async given(where: string, cursor: PageCursor): Promise<Page> {
    const { options } = this
    let answer: Answer | undefined
    try {
      answer = await this.take(cursor.at)
      return this.pageOf(where, answer)
    } catch (failure) {
      if (failure instanceof Refusal) return absentPage(where, options, cursor, failure, failure.text)
      if (answer && failure instanceof EngineError && isBeyond(cursor))
        return absentPage(where, options, cursor, failure, answer.text)
      throw failure
    }
  }

  private pageOf(where: string, answer: Answer): Page {
    return pageOf(this.api, where, answer, this.options, this.mark)
  }

  private async take(at: PageCursor['at']): Promise<Answer> {
    const { answer, stop } = this.coming.get(at) ?? this.ask(at)
    this.taking = stop
    this.coming.delete(at)
    return await answer
  }

  private ask(at: PageCursor['at']) {
    const stop = new AbortController()
    const answer = this.api.get(this.url(at), stop.signal)
    // Awaited only after the page before it is decoded: until then a failure is nobody's.
    answer.catch(() => {})
    return { answer, stop }
  }

  private url(at: PageCursor['at']): URL {
    const { options, fixed, api } = this
    const { paginate, path } = options
    if (at === undefined) return api.url(path, fixed)
    if (paginate === 'link' || paginate === 'next') return api.restored(String(at))
    const param = { page: options.page_param, offset: options.offset_param, cursor: options.cursor_param }
    return api.url(path, { ...fixed, [param[paginate as keyof typeof param]]: String(at) })
  }
}

// A path may be a secret as well: https://api.example.com/bot123:abc/messages.
const pathname = ({ secrets }: Access, { path }: HttpOptions) => redact(path.replace(/\?.*/s, ''), secrets)

function startsOf(text: string, path: readonly string[]): number[] {
  return elementsOf(text, startAt(text, 0, path)!)
}
