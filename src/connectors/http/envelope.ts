import { isMapping } from '../../util/mapping.ts'
import { type FieldPath, isRawNumber, pathText } from './json.ts'

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

/** Whether a response without a list at `path` is one without records, or another than was expected. */
export function emptyWhy(
  body: unknown,
  path: FieldPath,
): { rows: 0; note?: string } | { rows?: undefined; hint: string } {
  const missing = 'Set records of this extract to where the list is.'
  if (body === null) return { rows: 0 }
  if (typeof body !== 'object' || isRawNumber(body)) return { hint: missing }
  const all = [...fields(body)]
  const list = all.find(
    ([at, value]) => Array.isArray(value) && (value.length > 0 || !ASIDE.test(at.at(-1)!)),
  )
  if (list)
    return { hint: `There is a list at ${list[0].join('.')}: records: ${list[0].join('.')}, if it is that.` }
  const error = all.find(
    ([at, value]) =>
      (ERROR.test(at.at(-1)!) && value !== null && value !== '' && value !== false && value !== 0) ||
      (SUCCESS.test(at.at(-1)!) && value === false),
  )
  if (error) return { hint: `The answer says ${error[0].join('.')}: it is no list of records.` }
  return all.length === 0 || all.some(([at]) => at.join('.') === pathText(path))
    ? { rows: 0 }
    : { rows: 0, note: `nothing at ${pathText(path)}: taken for no records` }
}

function* fields(body: unknown): Generator<[string[], unknown]> {
  if (!isObject(body)) return
  for (const [name, value] of Object.entries(body)) {
    yield [[name], value]
    if (isObject(value)) for (const [inner, deep] of Object.entries(value)) yield [[name, inner], deep]
  }
}

const isObject = (value: unknown): value is Record<string, unknown> => isMapping(value) && !isRawNumber(value)
