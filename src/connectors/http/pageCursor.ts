import { createHash } from 'node:crypto'
import { EngineError } from '../../../engine/errors.ts'
import { type Loop, repeats } from './loop.ts'
import type { HttpOptions } from './options.ts'

/** Where a page stands: plain data, from which a resumed run goes on. */
export interface PageCursor {
  /** Number of the page, offset of its first record, cursor or URL; absent: the first page of what needs none. */
  at?: string | number
  /** Counted from 1. */
  page: number
  /** Records of the pages before it. */
  rows: number
  /** Pages without a record right before it. */
  empty: number
  /** How many records the API says there are, where it does. */
  total?: number
  loop: Loop
}

/** What a page says of the one after it. */
export interface Page {
  records: unknown[]
  /** A cursor or URL, where there is one. */
  next?: string
  total?: number
}

/** An API that gives so many pages without a record never comes to an end. */
const MOST_EMPTY = 1000

export function firstPage({ paginate, first_page }: HttpOptions): PageCursor {
  const at = paginate === 'page' ? first_page : paginate === 'offset' ? 0 : undefined
  return { ...(at !== undefined && { at }), page: 1, rows: 0, empty: 0, loop: { steps: 0, power: 1 } }
}

/**
 * The cursor after a page; undefined where it was the last. Fails with RESPONSE_INVALID where pages would never end, or
 * records were missed on the way. `where` names the page.
 */
export function nextPage(
  where: string,
  options: HttpOptions,
  cursor: PageCursor,
  page: Page,
): PageCursor | undefined {
  const { total = cursor.total, records } = page
  const rows = cursor.rows + records.length
  if (cursor.total !== undefined && total! < cursor.total)
    throw missed(where, `its total fell from ${cursor.total} to ${total}, so records moved between pages`)
  const next = following(where, options, cursor, page, rows, total)
  if (next === undefined) {
    if (total !== undefined && rows < total)
      throw missed(where, `it is the last, and all pages hold ${rows} records, of ${total} by its total`)
    return undefined
  }
  const loop = repeats(cursor.loop, next.mark)
  if (!loop)
    throw new EngineError('RESPONSE_INVALID', `${where}: its ${next.what} before, so pages would never end`, {
      hint: next.hint,
    })
  const empty = records.length === 0 ? cursor.empty + 1 : 0
  if (empty > MOST_EMPTY)
    throw new EngineError('RESPONSE_INVALID', `${where}: ${empty} pages in a row hold no record, and lead on`)
  if (cursor.page >= options.max_pages)
    throw new EngineError(
      'RESPONSE_INVALID',
      `${where}: there are more than max_pages (${options.max_pages})`,
      {
        hint: 'Raise max_pages of this extract, if there are so many.',
      },
    )
  return { at: next.at, page: cursor.page + 1, rows, empty, ...(total !== undefined && { total }), loop }
}

function following(
  where: string,
  options: HttpOptions,
  cursor: PageCursor,
  { records, next }: Page,
  rows: number,
  total: number | undefined,
): { at: string | number; mark: string; what: string; hint?: string } | undefined {
  const { paginate, ends, limit = 0 } = options
  if (paginate === 'none') return undefined
  if (paginate !== 'page' && paginate !== 'offset') {
    if (next === undefined) return undefined
    return { at: next, mark: next, what: `${paginate === 'cursor' ? 'cursor' : 'next page'} was given` }
  }
  const param = paginate === 'page' ? options.page_param : options.offset_param
  const hint = `Does the API know the parameter ${param}? Set ${paginate}_param to its name.`
  if (total !== undefined) {
    if (rows > total)
      throw new EngineError(
        'RESPONSE_INVALID',
        `${where}: all pages so far hold ${rows} records, of ${total} by its total`,
        { hint },
      )
    if (rows === total || records.length === 0) return undefined
  } else if (records.length === 0 || (ends === 'short' && records.length < limit)) return undefined
  const at = (cursor.at as number) + (paginate === 'page' ? 1 : records.length)
  return { at, mark: fingerprint(records), what: 'records were given', hint }
}

function missed(where: string, what: string): EngineError {
  return new EngineError('RESPONSE_INVALID', `${where}: ${what}`, {
    hint: 'Records may have been passed over, so nothing is loaded. Start a new run; better, page by cursor, or have the API sort by what does not change.',
  })
}

/** Tells pages apart by their first, middle and last record. */
function fingerprint(records: unknown[]): string {
  const some = [records.length, records[0], records[records.length >> 1], records.at(-1)]
  return createHash('sha1').update(JSON.stringify(some)).digest('base64')
}

/**
 * Places of pages that can be asked for before the ones between are there, the next one first: so many as `most`, as far
 * as the total goes. Only guesses: a page may hold fewer records than the one before.
 */
export function guesses(
  { paginate }: HttpOptions,
  cursor: PageCursor,
  next: PageCursor,
  most: number,
): (string | number)[] {
  const list = [next.at!]
  if ((paginate !== 'page' && paginate !== 'offset') || next.total === undefined) return list
  const records = next.rows - cursor.rows
  const step = paginate === 'page' ? 1 : records
  for (let ahead = 1; ahead < most && next.rows + ahead * records < next.total; ahead++)
    list.push((next.at as number) + ahead * step)
  return list
}
