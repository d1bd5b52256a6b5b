// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references of job.yaml, not of this file
import { EngineError } from '../../engine/errors.ts'
import { ownValue } from '../../engine/ownValue.ts'
import type { SecretContext } from '../secrets/provider.ts'
import { providerOf, secretAt, shapes } from '../secrets/providers.ts'

/**
 * `${VAR}`, `${VAR:-default}` and `${PROVIDER:ADDRESS}` in job.yaml; a default or an address may hold references of its
 * own. A reference may stand unquoted inside `{ … }`, where YAML gives `{`, `}`, `,` and `:` a meaning of their own; so
 * references are veiled, one character for one, before the parser sees them and unveiled in the scalars it returns.
 * Values are put in afterwards and never parsed. `$${VAR}` stands for the text `${VAR}`, and `$${` for one that nothing closes.
 */
const SPECIAL = '{}[],:#&*!|>%@`"\'?\\ '
const BASE = 0xe000

/** Hides references from the YAML parser; every line and column stays where it is. */
export function veil(text: string): string {
  const parts = partsOf(text)
  return parts.map(part => (typeof part === 'string' ? part : veiled(part.text))).join('')
}

const veiled = (text: string) =>
  Array.from(text, char => {
    const at = SPECIAL.indexOf(char)
    return at < 0 ? char : String.fromCharCode(BASE + at)
  }).join('')

/** The inverse of {@link veil}. */
export function unveil(text: string): string {
  return text.replace(/[\ue000-\ue01f]/g, char => SPECIAL[char.charCodeAt(0) - BASE] ?? char)
}

/** A reference as it stands in a text. */
interface Reference {
  /** With `${` and `}`, and a `$` more where it is none. */
  text: string
  body: string
}

/** A text cut at its references. One ends where its braces do, on the same line. */
function partsOf(text: string): (string | Reference)[] {
  const parts: (string | Reference)[] = []
  let from = 0
  for (let at = text.indexOf('${'); at >= 0; at = text.indexOf('${', at)) {
    const end = endOf(text, at)
    const start = text[at - 1] === '$' && at > from ? at - 1 : at
    if (end === undefined) {
      at += 2
      if (start === at - 2) continue
      parts.push(text.slice(from, start), { text: '$${', body: '' })
      from = at
      continue
    }
    parts.push(text.slice(from, start), { text: text.slice(start, end), body: text.slice(at + 2, end - 1) })
    at = end
    from = end
  }
  parts.push(text.slice(from))
  return parts.filter(part => part !== '')
}

function endOf(text: string, at: number): number | undefined {
  let depth = 0
  for (let index = at + 1; index < text.length && text[index] !== '\n'; index++) {
    if (text[index] === '{') depth++
    else if (text[index] === '}' && --depth === 0) return index + 1
  }
  return undefined
}

/** A text that {@link expand} gives back as this one. */
export const escaped = (text: string): string =>
  partsOf(text)
    .map(part => (typeof part === 'string' ? part.replaceAll('${', () => '$${') : `$${part.text}`))
    .join('')

/** A reference that was replaced. */
export interface Used {
  reference: string
  value: string
  /** False where job.yaml itself holds the value, as a default. */
  given: boolean
  /** True where it is a host, a port, a database or a folder in a URL. */
  place?: true
}

export interface Expansion {
  text: string
  /** Why the text could not be expanded, one line a reference. */
  problems: string[]
  used: Used[]
}

/** Replaces references by the environment's values, and by what providers give. */
export async function expand(text: string, context: SecretContext): Promise<Expansion> {
  const expansion: Expansion = { text: '', problems: [], used: [] }
  const parts = partsOf(text)
  const values: Value[] = []
  for (const part of parts) {
    const used: Used[] = []
    let value = typeof part === 'string' ? part : part.text.slice(1)
    if (typeof part === 'string') {
      if (part.includes('${'))
        expansion.problems.push('a reference ${ has no }: close it, or write $${ for the text itself')
    } else if (!part.text.startsWith('$$'))
      value = (await valueFor(part, context, { problems: expansion.problems, used })) ?? part.text
    values.push({ value, used })
    expansion.used.push(...used)
  }
  fitUrl(parts, values)
  expansion.text = values.map(({ value }) => value).join('')
  return expansion
}

async function valueFor(
  { text: reference, body }: Reference,
  context: SecretContext,
  { problems, used }: Omit<Expansion, 'text'>,
): Promise<string | undefined> {
  const [, name, fallback] = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s.exec(body) ?? []
  if (name !== undefined) {
    const value = ownValue(context.env, name)
    // As in the shell, `:-` also covers a variable that is set but empty.
    if (value || (value === '' && fallback === undefined)) {
      used.push({ reference, value, given: true })
      return value
    }
    if (fallback !== undefined) return nested(fallback, reference, context, { problems, used })
    problems.push(
      `environment variable ${name} is not set: export it, or give a default, \${${name}:-default}`,
    )
    return undefined
  }
  const [, scheme, address = ''] = /^([a-z][a-z0-9-]*):(.+)$/s.exec(body) ?? []
  const provider = scheme === undefined ? undefined : providerOf(scheme)
  if (!provider) {
    problems.push(`${reference} is no reference; expected \${NAME}, \${NAME:-default}, ${shapes()}`)
    return undefined
  }
  const where = provider.verbatim ? address : await nested(address, undefined, context, { problems, used })
  if (where === undefined) return undefined
  try {
    const value = await secretAt(provider, where, context)
    used.push({ reference, value, given: true })
    return value
  } catch (error) {
    // What passes is for a later try: it must not be taken for a job that is wrong.
    if (!(error instanceof EngineError) || error.retryable)
      throw error instanceof EngineError
        ? new EngineError(error.code, `${reference}: ${error.message}`, { cause: error, hint: error.hint })
        : error
    problems.push(`${reference}: ${error.message}${error.hint ? `. ${error.hint}` : ''}`)
    return undefined
  }
}

/** Whether a problem is a variable that is not set, as {@link expand} tells it. */
export const isUnset = (problem: string): boolean => /environment variable \w+ is not set: /.test(problem)

async function nested(
  text: string,
  reference: string | undefined,
  context: SecretContext,
  { problems, used }: Omit<Expansion, 'text'>,
): Promise<string | undefined> {
  const inner = await expand(text, context)
  problems.push(...inner.problems)
  used.push(...inner.used)
  if (inner.problems.length > 0) return undefined
  if (reference !== undefined && inner.used.length === 0)
    used.push({ reference, value: inner.text, given: false })
  return inner.text
}

/** What one part of a text became. */
interface Value {
  value: string
  used: Used[]
}

/** What stands for a reference while a text is looked at as a URL. */
const PLACE = '\ue0ff'

/**
 * In a URL, what references gave for user and password is encoded, since it may hold any character; what they gave for
 * host, database or folder is marked as a place.
 */
function fitUrl(parts: (string | Reference)[], values: Value[]): void {
  const skeleton = parts.map(part => (typeof part === 'string' ? part : PLACE)).join('')
  const [, scheme, credentials = '', host, path] =
    /^([a-z][a-z0-9+.-]*:(?:\/\/)?)(?:([^/?#]*)@)?([^/?#]*)([^?#]*)/i.exec(skeleton) ?? []
  if (scheme === undefined) return
  const from = scheme.length + credentials.length
  const places =
    from + (skeleton[from] === '@' ? 1 : 0) + host!.length + (/^https?:/i.test(scheme) ? 0 : path!.length)
  let at = 0
  for (const [index, part] of parts.entries()) {
    const start = at
    at += typeof part === 'string' ? part.length : 1
    const own = values[index]!
    if (typeof part === 'string' || start < scheme.length) continue
    if (start < from) own.value = encodedAs(own.value, credentials === PLACE)
    else if (start < places) for (const each of own.used) each.place = true
  }
}

/** A value as a part of a URL's user and password; `whole`: it gave both, and the first colon parts them. */
function encodedAs(value: string, whole: boolean): string {
  const cut = whole ? value.indexOf(':') : -1
  if (cut < 0) return encodeURIComponent(value)
  return `${encodeURIComponent(value.slice(0, cut))}:${encodeURIComponent(value.slice(cut + 1))}`
}
