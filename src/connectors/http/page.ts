import { EngineError } from '../../../engine/errors.ts'
import type { Answer, Api } from './api.ts'
import { emptyWhy, failureBeside, leadsOn } from './envelope.ts'
import {
  type FieldPath,
  isRawNumber,
  parseExact,
  pathText,
  RepeatedKey,
  resolvePath,
  shownValue,
  valueAt,
} from './json.ts'
import { nextLink } from './link.ts'
import type { HttpOptions } from './options.ts'
import type { Page } from './pageCursor.ts'

/**
 * What an answer holds, by the extract's options; `mark` gives a record's. Fails with RESPONSE_INVALID, showing what came
 * instead. `where` names the page.
 */
export function pageOf(
  api: Api,
  where: string,
  answer: Answer,
  options: HttpOptions,
  mark: (record: unknown) => string,
): Page {
  const { text } = answer
  if (answer.status === 204) return { text, records: [], marks: [], at: [], leads: false, notes: [] }
  let body: unknown
  try {
    body = parseExact(text)
  } catch (error) {
    if (error instanceof RepeatedKey)
      throw new EngineError('RESPONSE_INVALID', `${where}: the answer ${error.message}`, {
        hint: 'One of the two values would be lost: ask who runs the API.',
      })
    // The parser's own message quotes the text: it stays out of the way to the log.
    throw unfit(api, where, answer, 'the answer is not JSON', {
      hint: /^\s*[[{]/.test(text)
        ? 'It is cut, has more than one value, or holds what JSON does not know, such as NaN.'
        : 'A proxy or a maintenance page may have answered in place of the API.',
    })
  }
  const notes: string[] = []
  const part = 'the status 206 says that the answer is a part of the list'
  if (answer.status === 206 && options.paginate === undefined)
    throw unfit(api, where, answer, part, {
      hint: 'Write how the rest is asked for into this extract, such as paginate: page; paginate: none, if this part is all.',
    })
  if (answer.status === 206 && options.paginate === 'none') notes.push(part)
  const found = recordsOf(api, where, answer, body, options, notes)
  const failed = failureBeside(body, found.at)
  if (failed !== undefined && found.records.length === 0)
    throw unfit(api, where, answer, `the answer says ${failed}, and its list is empty`, {
      hint: 'It has failed, and is not the end of the list. Run the job again; ask who runs the API if it stays so.',
    })
  if (failed !== undefined) notes.push(`the answer says ${failed} beside its records: some may be missing`)
  const next = nextOf(api, where, answer, body, options)
  const more = flagOf(where, body, options)
  const total = options.total === undefined ? undefined : totalOf(where, body, options.total, found.records)
  const hint =
    leadsOn(body) ?? (nextLink(answer.link) === undefined ? undefined : 'a Link header with rel=next')
  return {
    text,
    ...found,
    marks: found.records.map(mark),
    leads: leads(answer, body, options),
    notes,
    ...(next !== undefined && { next }),
    ...(more !== undefined && { more }),
    ...(total !== undefined && { total }),
    ...(hint !== undefined && { hint }),
  }
}

/** The list of records, and the keys that lead to it. */
function recordsOf(
  api: Api,
  where: string,
  answer: Answer,
  body: unknown,
  { records: path, schema }: HttpOptions,
  notes: string[],
): { records: unknown[]; at: string[] } {
  // Some APIs answer with the bare list.
  if (Array.isArray(body)) return { records: body, at: [] }
  const at = resolvePath(body, path)
  const records = at && valueAt(body, at)
  if (Array.isArray(records)) return { records, at: at! }
  if (records === undefined || records === null) {
    const empty = emptyWhy(body, path, Object.keys(schema))
    if (empty.rows === 0) {
      if (empty.note !== undefined) notes.push(empty.note)
      return { records: [], at: [] }
    }
    throw unfit(api, where, answer, `nothing at ${pathText(path)}`, { hint: empty.hint })
  }
  throw unfit(api, where, answer, `no list at ${pathText(path)}`, {
    hint: 'Set records of this extract to where the list is.',
  })
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

/** Whether the field or header that leads to the next page is there, be it empty. */
function leads({ link }: Answer, body: unknown, { paginate, cursor, next }: HttpOptions): boolean {
  if (paginate === 'link') return link !== null
  if (paginate !== 'cursor' && paginate !== 'next') return true
  return resolvePath(body, paginate === 'cursor' ? cursor : next) !== undefined
}

function textAt(where: string, body: unknown, path: FieldPath, what: string): string | undefined {
  const value = valueAt(body, path)
  if (value === undefined || value === null || value === '' || value === false) return undefined
  if (typeof value === 'string') return value
  if (typeof value === 'number') return String(value)
  if (isRawNumber(value)) return value.rawJSON
  throw new EngineError(
    'RESPONSE_INVALID',
    `${where}: ${pathText(path)} holds ${shownValue(value)}, which is no ${what}`,
  )
}

/** Whether more pages follow, by the field that says so; undefined where the job names none. */
function flagOf(where: string, body: unknown, { more, end }: HttpOptions): boolean | undefined {
  const path = more ?? end
  if (path === undefined) return undefined
  const value = valueAt(body, path)
  const said = [true, 'true', 1].includes(value as never)
    ? true
    : [false, 'false', 0].includes(value as never)
      ? false
      : undefined
  if (said !== undefined) return more === undefined ? !said : said
  throw new EngineError(
    'RESPONSE_INVALID',
    `${where}: ${pathText(path)} holds ${shownValue(value)}, which is neither true nor false`,
    {
      hint: `Set ${more === undefined ? 'end' : 'more'} of this extract to where the flag is, or leave it out.`,
    },
  )
}

function totalOf(where: string, body: unknown, path: FieldPath, records: unknown[]): number | undefined {
  const value = valueAt(body, path)
  if (value === undefined && records.length === 0) return undefined
  const total = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value
  if (typeof total === 'number' && Number.isSafeInteger(total) && total >= 0) return total
  throw new EngineError(
    'RESPONSE_INVALID',
    `${where}: ${pathText(path)} holds ${shownValue(value)}, which is no number of records`,
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
