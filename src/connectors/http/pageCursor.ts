import { EngineError } from '../../../engine/errors.ts'
import { counted } from '../../../engine/plural.ts'
import { pathText } from './json.ts'
import { type Loop, repeats } from './loop.ts'
import type { HttpOptions } from './options.ts'
import { pageMark } from './recordMarks.ts'

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
  /** Whether a page before it held the field that leads on, be it empty. */
  led?: boolean
  /** Whether a page before it held as many records as were asked for. */
  full?: boolean
  /** Marks of the last records before it, which it must begin with. */
  overlap?: string[]
  /** The page right before it, of pages that are numbered. */
  before?: { at: string | number; mark: string; records: number }
  loop: Loop
}

/** What a page says of the one after it. */
export interface Page {
  /** The answer that it is. */
  text: string
  records: unknown[]
  /** What tells each of them from others. */
  marks: string[]
  /** The keys that lead to the list of records. */
  at: string[]
  /** A cursor or URL, where there is one. */
  next?: string
  /** Whether the field or header that leads on is there, be it empty. */
  leads: boolean
  /** What a field named by the job says of whether pages follow. */
  more?: boolean
  /** What else, by its usual name, says that pages follow. */
  hint?: string
  total?: number
  /** True where the API has no such page. */
  isAbsent?: true
  /** For people. */
  notes: string[]
}

/** An API that gives so many pages without a record never comes to an end. */
const MOST_EMPTY = 1000

export function firstPage({ paginate, first_page }: HttpOptions): PageCursor {
  const at = paginate === 'page' ? first_page : paginate === 'offset' ? 0 : undefined
  return { ...(at !== undefined && { at }), page: 1, rows: 0, empty: 0, loop: { steps: 0, power: 1 } }
}

/**
 * The cursor after a page; undefined where it was the last. Fails with RESPONSE_INVALID where pages would never end, or
 * records were missed on the way. `where` names the page; what people are to know is added to its notes.
 */
export function nextPage(
  where: string,
  options: HttpOptions,
  cursor: PageCursor,
  page: Page,
): PageCursor | undefined {
  const { total = cursor.total, records } = page
  // Where there are more by now, the list has grown.
  if (isBeyond(cursor) && total! <= cursor.total!) return noMore(where, cursor, page)
  if (records.length > 0 && cursor.page > options.max_pages)
    throw new EngineError(
      'RESPONSE_INVALID',
      `${where}: there are more than max_pages (${options.max_pages})`,
      {
        hint: 'Raise max_pages of this extract, if there are so many.',
      },
    )
  const repeated = repeatedBy(where, cursor, page)
  const rows = cursor.rows + records.length - repeated
  if (cursor.total !== undefined && total! < cursor.total)
    throw missed(where, `its total fell from ${cursor.total} to ${total}, so records moved between pages`)
  const full = isFull(options, records.length)
  const led = cursor.led || page.leads
  const next = following(where, options, cursor, page, rows, total)
  if (next === undefined) {
    if (total !== undefined && rows < total)
      throw missed(
        where,
        `it is the last, and all pages hold ${counted(rows, 'record')}, of ${total} by its total`,
      )
    checkLast(where, options, page, { full, led, rows, ...(total !== undefined && { total }) })
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
  return {
    at: next.at,
    page: cursor.page + 1,
    rows,
    empty,
    ...(total !== undefined && { total }),
    ...(led && { led }),
    ...((cursor.full || full) && { full: true }),
    ...(next.before && { before: next.before }),
    ...(options.overlap > 0 && { overlap: page.marks.slice(-options.overlap) }),
    loop,
  }
}

/** Whether the API has given as many records as it says there are: the page is asked for to see that it has no more. */
export const isBeyond = ({ rows, total, before }: PageCursor): boolean =>
  before !== undefined && rows === total

/** Fails where a page beyond the last has records that no page had. */
function noMore(where: string, cursor: PageCursor, page: Page): undefined {
  if (repeatedBy(where, cursor, page) === page.records.length) return undefined
  throw missed(
    where,
    `all pages before it hold ${counted(cursor.rows, 'record')}, as their total says, and it has more`,
    'Its total is too small, or capped: leave total out of this extract, and pages are read until one is empty.',
  )
}

/** Whether the page before is what it was when it was read. */
export const isUnmoved = ({ before }: PageCursor, { marks }: Page): boolean =>
  before === undefined || before.mark === pageMark(marks)

/** How many records of a page the page before it has given. Fails where they are not those that it must begin with. */
export function repeatedBy(where: string, cursor: PageCursor, page: Page): number {
  const { marks } = page
  if (page.isAbsent) return 0
  // Some APIs give their last page for every one beyond it.
  if (isBeyond(cursor) && isUnmoved(cursor, page)) return marks.length
  const { overlap = [] } = cursor
  if (!overlap.every((mark, index) => marks[index] === mark))
    throw missed(
      where,
      `it does not begin with the last ${overlap.length === 1 ? 'record' : `${overlap.length} records`} of the page before (overlap), so records moved between pages`,
    )
  return overlap.length
}

/** Where the next page is. Where its mark came before, `what` says so, with a hint, and pages would never end. */
interface Following {
  at: string | number
  mark: string
  what: string
  hint?: string
  before?: PageCursor['before']
}

function following(
  where: string,
  options: HttpOptions,
  cursor: PageCursor,
  page: Page,
  rows: number,
  total: number | undefined,
): Following | undefined {
  const { records, next, more } = page
  const { paginate, ends, limit = 0 } = options
  if (paginate === undefined || paginate === 'none' || more === false) return undefined
  if (paginate !== 'page' && paginate !== 'offset') {
    // A page without records that leads to itself is where the next records will be.
    if (next === undefined || (records.length === 0 && next === cursor.at && !more)) {
      if (!more) return undefined
      throw missed(
        where,
        `it says that more pages follow (${pathText(options.more ?? options.end!)}), and not where`,
      )
    }
    return { at: next, mark: next, what: `${paginate === 'cursor' ? 'cursor' : 'next page'} was given` }
  }
  const param = paginate === 'page' ? options.page_param : options.offset_param
  const hint = `Does the API know the parameter ${param}? Set ${paginate}_param to its name.`
  const fresh = rows - cursor.rows
  if (total !== undefined) {
    if (rows > total)
      throw new EngineError(
        'RESPONSE_INVALID',
        `${where}: all pages so far hold ${counted(rows, 'record')}, of ${total} by its total`,
        { hint },
      )
    if (fresh === 0 || (rows === total && isLastAtTotal(cursor, page))) return undefined
  } else if (more === undefined) {
    // Before a full page was seen, a short one may as well be all that the server gives at a time.
    if (fresh === 0 || (ends === 'short' && records.length < limit && cursor.full)) return undefined
  } else if (fresh === 0 && paginate === 'offset')
    throw missed(
      where,
      `it says that more pages follow (${pathText(options.more ?? options.end!)}), and holds no record`,
    )
  const at = paginate === 'page' ? (cursor.at as number) + 1 : rows - options.overlap
  const before = { at: cursor.at!, mark: pageMark(page.marks), records: records.length }
  return { at, mark: fresh === 0 ? `page ${at}` : before.mark, before, what: 'records were given', hint }
}

/** What a last page must not say, and what is to be known of it. */
function checkLast(
  where: string,
  options: HttpOptions,
  page: Page,
  { full, led, rows, total }: { full: boolean; led: boolean; rows: number; total?: number },
): void {
  const { paginate, more, end } = options
  const flagged = more !== undefined || end !== undefined
  if (page.hint !== undefined && !flagged && total === undefined) {
    const said = `it is taken for the last page, and leads on (${page.hint})`
    if (paginate === 'none') page.notes.push(said)
    // A page without records may name where the next ones will be.
    else if (page.records.length > 0 || /: true$/.test(page.hint))
      throw missed(where, said, leadsHint(options, page.hint))
  }
  if (led || rows === 0 || flagged) return
  const field =
    paginate === 'link' ? 'a Link header' : pathText(paginate === 'cursor' ? options.cursor : options.next)
  const setting = paginate === 'link' ? 'paginate' : paginate!
  if (full)
    throw missed(
      where,
      `no page has ${field}, and this one is full, so it cannot be the last`,
      `Set ${setting} of this extract to what leads to the next page. If there are just so many records, ask for a larger page.`,
    )
  page.notes.push(`no page has ${field}: page 1, of ${counted(rows, 'record')}, is taken for the last`)
}

function leadsHint({ paginate }: HttpOptions, hint: string): string {
  const field = hint.slice(0, hint.indexOf(':'))
  if (/: true$/.test(hint))
    return `Write more: ${field} into this extract${paginate === 'cursor' ? ', and cursor: the path of what leads on (data.-1.id is the last record’s id)' : ''}.`
  if (hint.startsWith('a Link'))
    return 'Write paginate: link into this extract; paginate: none, if this page is all.'
  return `Write paginate: next and next: ${field}, or paginate: cursor and cursor: ${field}, into this extract; paginate: none, if this page is all.`
}

/** Whether a page that reaches the total is surely the last: it is shorter than the one before, and nothing in it leads on. */
const isLastAtTotal = ({ before }: PageCursor, { records, more, hint }: Page): boolean =>
  before !== undefined && records.length < before.records && !more && hint === undefined

/** Whether a page holds as many records as were asked for, by limit or by a number in the path's own query. */
function isFull({ limit, path }: HttpOptions, records: number): boolean {
  if (records === 0) return false
  if (limit !== undefined) return records >= limit
  const at = path.indexOf('?')
  return at >= 0 && [...new URLSearchParams(path.slice(at)).values()].includes(String(records))
}

export function missed(where: string, what: string, hint?: string): EngineError {
  return new EngineError('RESPONSE_INVALID', `${where}: ${what}`, {
    hint:
      hint ??
      'Records may have been passed over, so nothing is loaded. Start a new run; better, page by cursor, or have the API sort by what does not change.',
  })
}

/**
 * Places of pages that can be asked for before the ones between are there, the next one first: so many as `most`, as far
 * as the total goes. Only guesses: a page may hold fewer records than the one before.
 */
export function guesses(
  { paginate, overlap }: HttpOptions,
  cursor: PageCursor,
  next: PageCursor,
  most: number,
): (string | number)[] {
  const list = [next.at!]
  if ((paginate !== 'page' && paginate !== 'offset') || next.total === undefined || overlap > 0) return list
  const records = next.rows - cursor.rows
  const step = paginate === 'page' ? 1 : records
  for (let ahead = 1; ahead < most && next.rows + ahead * records < next.total; ahead++)
    list.push((next.at as number) + ahead * step)
  return list
}
