import { isMapping } from '../../util/mapping.ts'
import { type FieldPath, isRawNumber, pathText, resolvePath } from './json.ts'

const MORE =
  /^(has_?(more|next)(_?(pages?|records|results|items))?|more(_?(pages|records|results|items))?|is_?truncated)$/i
const NEXT = /^(next(_?(page|link|url|cursor|page_?token|records_?url))?|@odata\.nextlink|odata\.nextlink)$/i

/**
 * The field of a response that, by its usual name, says that more pages follow: `has_more: true`, `next: "…"`; undefined
 * where none does. Looked for in the response and one level below.
 */
export function leadsOn(body: unknown): string | undefined {
  for (const [path, value] of fields(body)) {
    const name = path.at(-1)!
    const leads =
      (MORE.test(name) && (value === true || value === 'true')) ||
      (NEXT.test(name) && ((typeof value === 'string' && value !== '') || typeof value === 'number'))
    if (leads) return `${path.join('.')}: ${MORE.test(name) ? String(value) : 'a value'}`
  }
  return undefined
}

const ERROR = /^(errors?|error_?(code|message|description)?|faults?|exceptions?)$/i
const ASIDE = /^(errors|warnings|messages|notices|links)$/i
const SUCCESS = /^(ok|success|succeeded)$/i
const STATUS = /^((http_?)?(status|code)(_?code)?|result|outcome)$/i
const FAILED = /^(errors?|fail(ed|ure)?|denied|unauthori[sz]ed|forbidden|[45]\d\d)$/i
const NONE = /^(|null|none|false|no|no[_ -]?errors?|ok|success|0+)$/i
const TOLD = /^((error_?)?(message|msg|detail|title|reason|description))$/i
/** Words of what is told where there are no records because something failed. */
const TROUBLE =
  /error|fail|invalid|unauthori[sz]ed|unauthenticated|forbidden|denied|not allowed|permission|credential|expired|log ?in|sign ?in|limit|quota|too many|exceeded|unavailable|maintenance|try again|timed? ?out|not found|no such|unknown|missing|required/i
/** Objects that tell of the answer. Others are of what was asked for: `filters: { status: failed }`. */
const ENVELOPE = /^_?(meta(data)?|headers?|response\w*|status|result)$/i

/** Whether a field says that the answer is a failure. */
function isFailure(name: string, value: unknown): boolean {
  if (ERROR.test(name)) return !isNone(value)
  if (SUCCESS.test(name)) return value === false || value === 'false'
  if (STATUS.test(name)) return typeof value !== 'object' && FAILED.test(String(value))
  return TOLD.test(name) && typeof value === 'string' && TROUBLE.test(value)
}

/** Whether the value of an error's field says that there is none. */
const isNone = (value: unknown): boolean =>
  typeof value === 'object' && value !== null
    ? Object.values(value).every(isNone)
    : NONE.test(String(value ?? ''))

/** The field beside the list at `at` by which a response says that it is a failure, with how many errors there are. */
export function failureBeside(body: unknown, at: readonly string[]): string | undefined {
  for (const [path, value] of beside(body, at)) {
    const name = path.at(-1)!
    // What is told in words may be told of a list that is whole.
    if (TOLD.test(name) || !isFailure(name, value)) continue
    return `${path.join('.')}${Array.isArray(value) ? ` (${value.length})` : ''}`
  }
  return undefined
}

/** Whether a response without a list at `path` is one without records, or another than was expected. */
export function emptyWhy(
  body: unknown,
  path: FieldPath,
  columns: readonly string[],
): { rows: 0; note?: string } | { rows?: undefined; hint: string } {
  const missing = 'Set records of this extract to where the list is.'
  if (body === null) return { rows: 0 }
  if (typeof body !== 'object' || isRawNumber(body)) return { hint: missing }
  const way = resolvePath(body, path)
  const all = [...fields(body)]
  const error = [...(way ? beside(body, way) : all)].find(([path, value]) => isFailure(path.at(-1)!, value))
  if (error) return { hint: `The answer says ${error[0].join('.')}: it is no list of records.` }
  const list = all.find(
    ([at, value]) => Array.isArray(value) && (value.length > 0 || !ASIDE.test(at.at(-1)!)),
  )
  if (list)
    return { hint: `There is a list at ${list[0].join('.')}: records: ${list[0].join('.')}, if it is that.` }
  const own = all.find(([at, value]) => at.length === 1 && columns.includes(at[0]!) && value !== null)
  if (own)
    return {
      hint: `It has ${own[0][0]}, as a record does: this path gives one record, not a list. Ask for the path that lists them.`,
    }
  return all.length === 0 || way
    ? { rows: 0 }
    : { rows: 0, note: `nothing at ${pathText(path)}: taken for no records` }
}

/** The fields of each object on the way to a list, but for the way itself, and those of envelopes among them. */
function* beside(body: unknown, at: readonly string[]): Generator<[string[], unknown]> {
  let inner = body
  for (const [depth, key] of at.entries()) {
    const object = inner as Record<string, unknown>
    if (!Array.isArray(inner))
      for (const [[name, ...deep], value] of fields(object))
        if (name !== key && (deep.length === 0 || ENVELOPE.test(name!)))
          yield [[...at.slice(0, depth), name!, ...deep], value]
    inner = object[key]
  }
}

/** The fields of a response, and those one level below. */
function* fields(body: unknown): Generator<[string[], unknown]> {
  if (!isObject(body)) return
  for (const [name, value] of Object.entries(body)) {
    yield [[name], value]
    if (isObject(value)) for (const [inner, deep] of Object.entries(value)) yield [[name, inner], deep]
  }
}

const isObject = (value: unknown): value is Record<string, unknown> => isMapping(value) && !isRawNumber(value)
