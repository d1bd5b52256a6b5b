import { EngineError } from '../../../engine/errors.ts'
import { counted } from '../../../engine/plural.ts'
import { Refusal } from './api.ts'
import type { HttpOptions } from './options.ts'
import { isBeyond, missed, type Page, type PageCursor } from './pageCursor.ts'

/** How APIs say that they have more than they give. */
const WINDOW =
  /result window|only the first [\d,.]+|max(imum)? (number of )?(offset|results?)|can ?not page (beyond|past)/i

/**
 * The page that stands for one that an API does not give, where the list has ended before it. Fails with `failure`,
 * which says what was answered (`text`), where it has not.
 */
export function absentPage(
  where: string,
  { ends, paginate }: HttpOptions,
  cursor: PageCursor,
  failure: EngineError,
  text: string,
): Page {
  const isUnknown = failure instanceof Refusal && failure.status === 404
  if (isBeyond(cursor)) {
    if (WINDOW.test(text)) throw windowed(where, cursor, failure)
    const note = `it is beyond the total of ${counted(cursor.rows, 'record')}, and taken for the end: ${failure.message}`
    return absent(isUnknown ? [] : [note])
  }
  if (!isUnknown || cursor.page === 1) throw failure
  if (ends === 'short' && !cursor.full) return absent([])
  if (ends === 'short' || (paginate !== 'page' && paginate !== 'offset')) throw failure
  throw new EngineError(failure.code, failure.message, {
    cause: failure,
    hint: 'If the API has no page beyond its last one, write ends: short and limit: (records of a page) into this extract.',
  })
}

const absent = (notes: string[]): Page => ({
  text: '',
  records: [],
  marks: [],
  at: [],
  leads: false,
  isAbsent: true,
  notes,
})

const windowed = (where: string, { rows }: PageCursor, failure: EngineError) =>
  missed(
    where,
    `all pages before it hold ${counted(rows, 'record')}, as their total says, and the API gives no more than so many: ${failure.message}`,
    'Page by cursor, where the API has it; else write several extracts, each with a path whose query asks for a part of it (path: /orders?year=2026).',
  )
