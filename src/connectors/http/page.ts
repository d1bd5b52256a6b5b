import { EngineError } from '../../../engine/errors.ts'
import type { Answer, Api } from './api.ts'
import { at, isRawNumber, parseExact } from './json.ts'
import { nextLink } from './link.ts'
import type { HttpOptions } from './options.ts'
import type { Page } from './pageCursor.ts'

/**
 * What an answer holds, by the extract's options. Fails with RESPONSE_INVALID, showing what came instead. `where` names
 * the page.
 */
export function pageOf(api: Api, where: string, answer: Answer, options: HttpOptions): Page {
  let body: unknown
  try {
    body = parseExact(answer.text)
  } catch {
    // The parser's own message quotes the text: it stays out of the way to the log.
    throw unfit(api, where, answer, 'the answer is not JSON', {
      hint: 'A proxy or a maintenance page may have answered in place of the API.',
    })
  }
  const records = recordsOf(api, where, answer, body, options.records)
  const next = nextOf(api, where, answer, body, options)
  const total = options.total === undefined ? undefined : totalOf(where, body, options.total)
  return { records, ...(next !== undefined && { next }), ...(total !== undefined && { total }) }
}

function recordsOf(api: Api, where: string, answer: Answer, body: unknown, path: string): unknown[] {
  // Some APIs answer with the bare list.
  const records = Array.isArray(body) ? body : at(body, path.split('.'))
  if (Array.isArray(records)) return records
  const found = records === undefined ? `nothing at ${path}` : `no list at ${path}`
  throw unfit(api, where, answer, found, { hint: 'Set records of this extract to where the list is.' })
}

function nextOf(
  api: Api,
  where: string,
  { url, link }: Answer,
  body: unknown,
  { paginate, cursor, next }: HttpOptions,
): string | undefined {
  if (paginate === 'cursor') return textAt(where, body, cursor, 'cursor')
  if (paginate !== 'next' && paginate !== 'link') return undefined
  const target = paginate === 'next' ? textAt(where, body, next, 'URL') : nextLink(link)
  return target === undefined ? undefined : api.kept(api.follow(target, url, where))
}

function textAt(where: string, body: unknown, path: string, what: string): string | undefined {
  const value = at(body, path.split('.'))
  if (value === undefined || value === null || value === '') return undefined
  if (typeof value === 'string') return value
  if (typeof value === 'number') return String(value)
  if (isRawNumber(value)) return value.rawJSON
  throw new EngineError(
    'RESPONSE_INVALID',
    `${where}: ${path} holds ${JSON.stringify(value).slice(0, 80)}, which is no ${what}`,
  )
}

function totalOf(where: string, body: unknown, path: string): number {
  const value = at(body, path.split('.'))
  const total = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value
  if (typeof total === 'number' && Number.isSafeInteger(total) && total >= 0) return total
  throw new EngineError(
    'RESPONSE_INVALID',
    `${where}: ${path} holds ${JSON.stringify(value)?.slice(0, 80) ?? 'nothing'}, which is no number of records`,
    { hint: 'Set total of this extract to where the number is, or leave it out.' },
  )
}

function unfit(
  api: Api,
  where: string,
  answer: Answer,
  what: string,
  context: { hint: string },
): EngineError {
  const seen = `status ${answer.status}, ${answer.type}: ${api.excerpt(answer.text)}`
  return new EngineError('RESPONSE_INVALID', `${where}: ${what} (${seen})`, context)
}
