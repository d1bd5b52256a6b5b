import { EngineError } from '../../../engine/errors.ts'
import type { Answer, Api } from './api.ts'

/** A number whose digits a double does not print the same way: `12.10`, `123456789012345678`. */
export interface RawNumber {
  rawJSON: string
}

// Of the ECMAScript proposal "JSON.parse source text access"; TypeScript's library does not declare it yet.
const SourceJSON = JSON as unknown as {
  parse(text: string, revive: (key: string, value: unknown, context: { source?: string }) => unknown): unknown
  rawJSON(text: string): RawNumber
  isRawJSON(value: unknown): value is RawNumber
}

/** Parses JSON without losing a digit: a number that a double would write differently comes as {@link RawNumber}. */
export function parseExact(text: string): unknown {
  return SourceJSON.parse(text, (_key, value, { source }) =>
    typeof value === 'number' && source !== undefined && String(value) !== source
      ? SourceJSON.rawJSON(source)
      : value,
  )
}

export const isRawNumber = (value: unknown): value is RawNumber => SourceJSON.isRawJSON(value)

/** A response's JSON. Fails with RESPONSE_INVALID, showing what came instead. */
export function parsePage(api: Api, where: string, answer: Answer): unknown {
  try {
    return parseExact(answer.text)
  } catch (cause) {
    throw unfit(api, where, answer, 'the answer is not JSON', cause)
  }
}

/** The records at `path` of a response. */
export function recordsOf(api: Api, where: string, answer: Answer, page: unknown, path: string): unknown[] {
  // Some APIs answer with the bare list.
  const records = Array.isArray(page) ? page : at(page, path)
  if (Array.isArray(records)) return records
  const found = records === undefined ? `nothing at ${path}` : `no list at ${path}`
  throw unfit(api, where, answer, found)
}

/** The next page's cursor; undefined on the last page. */
export function nextCursor(where: string, page: unknown, path: string): string | undefined {
  const cursor = at(page, path)
  if (cursor === undefined || cursor === null || cursor === '') return undefined
  if (typeof cursor === 'string') return cursor
  if (typeof cursor === 'number') return String(cursor)
  if (isRawNumber(cursor)) return cursor.rawJSON
  throw new EngineError(
    'RESPONSE_INVALID',
    `${where}: ${path} holds ${JSON.stringify(cursor).slice(0, 80)}, which is no cursor`,
  )
}

/** The value at a path of field names joined by dots; undefined where there is none. */
function at(value: unknown, path: string): unknown {
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
    value = (value as Record<string, unknown>)[name]
  }
  return value
}

function unfit(api: Api, where: string, answer: Answer, what: string, cause?: unknown): EngineError {
  const seen = `status ${answer.status}, ${answer.type}: ${api.excerpt(answer.text)}`
  // The parser's own message quotes the text: it stays out of the cause's way to the log.
  const hint = cause ? 'A proxy or a maintenance page may have answered in place of the API.' : undefined
  return new EngineError('RESPONSE_INVALID', `${where}: ${what} (${seen})`, { hint })
}
