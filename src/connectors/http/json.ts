/** A number whose digits a double does not print the same way: `12.10`, `123456789012345678`. */
export interface RawNumber {
  rawJSON: string
}

type Reviver = (this: unknown, key: string, value: unknown, context: { source?: string }) => unknown

// Of the ECMAScript proposal "JSON.parse source text access"; TypeScript's library does not declare it yet.
const SourceJSON = JSON as unknown as {
  parse(text: string, revive: Reviver): unknown
  rawJSON(text: string): RawNumber
  isRawJSON(value: unknown): value is RawNumber
}

/** An object has a key twice, of which a parser keeps one value. */
export class RepeatedKey extends Error {}

/**
 * Parses JSON without losing a digit or a value: a number that a double would write differently comes as {@link RawNumber}.
 * Fails with {@link RepeatedKey}.
 */
export function parseExact(text: string): unknown {
  // The root is given as a value of an object, too.
  let keys = -1
  const value = SourceJSON.parse(text, function (_key, value, { source }) {
    if (!Array.isArray(this)) keys++
    return typeof value === 'number' && source !== undefined && String(value) !== source
      ? SourceJSON.rawJSON(source)
      : value
  })
  if (colonsOf(text) !== keys)
    throw new RepeatedKey(`has the key ${JSON.stringify(repeatedKey(text))} twice in one object`)
  return value
}

/** Where the string that begins at `from` ends. */
function stringEnd(text: string, from: number): number {
  let at = from
  for (;;) {
    at = text.indexOf('"', at + 1)
    let escapes = 0
    while (text.charCodeAt(at - 1 - escapes) === BACKSLASH) escapes++
    if (escapes % 2 === 0) return at
  }
}

const QUOTE = 34
const COLON = 58
const BACKSLASH = 92

/** How many keys JSON writes. */
function colonsOf(text: string): number {
  let colons = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) at = stringEnd(text, at)
    else if (code === COLON) colons++
  }
  return colons
}

function repeatedKey(text: string): string | undefined {
  const open: Set<string>[] = []
  let last = ''
  for (let at = 0; at < text.length; at++) {
    const mark = text[at]
    if (mark === '"') {
      const end = stringEnd(text, at)
      last = text.slice(at, end + 1)
      at = end
    } else if (mark === '{') open.push(new Set())
    else if (mark === '}') open.pop()
    else if (mark === ':') {
      const key = JSON.parse(last) as string
      const keys = open.at(-1)!
      if (keys.has(key)) return key
      keys.add(key)
    }
  }
  return undefined
}

export const isRawNumber = (value: unknown): value is RawNumber => SourceJSON.isRawJSON(value)

/**
 * Where a value is: field names and positions in lists (from 0; from -1 backwards), joined by dots or listed. A list is
 * taken as it stands; in a text, a name that itself has dots is found before it is read as a path.
 */
export type FieldPath = string | readonly string[]

/** The keys that a path leads by; undefined where nothing is there. */
export function resolvePath(value: unknown, path: FieldPath): string[] | undefined {
  return typeof path === 'string' ? byDots(value, path.split('.')) : byNames(value, path)
}

/** The value at a path; undefined where there is none. */
export function valueAt(value: unknown, path: FieldPath): unknown {
  const keys = resolvePath(value, path)
  return keys?.reduce<unknown>((inner, key) => (inner as Record<string, unknown>)[key], value)
}

/** A path as it is written in a job. */
export function pathText(path: FieldPath): string {
  return typeof path === 'string' ? path : path.length === 1 ? path[0]! : JSON.stringify(path)
}

function byNames(value: unknown, names: readonly string[]): string[] | undefined {
  const keys: string[] = []
  for (const name of names) {
    const key = keyOf(value, name)
    if (key === undefined) return undefined
    keys.push(key)
    value = (value as Record<string, unknown>)[key]
  }
  return keys
}

// The longest name that is there first: `@odata.nextLink` is one key.
function byDots(value: unknown, names: string[]): string[] | undefined {
  if (names.length === 0) return []
  for (let taken = names.length; taken > 0; taken--) {
    const key = keyOf(value, names.slice(0, taken).join('.'))
    if (key === undefined) continue
    const rest = byDots((value as Record<string, unknown>)[key], names.slice(taken))
    if (rest) return [key, ...rest]
  }
  return undefined
}

function keyOf(value: unknown, name: string): string | undefined {
  if (typeof value !== 'object' || value === null || isRawNumber(value)) return undefined
  const key = Array.isArray(value) && /^-\d+$/.test(name) ? String(value.length + Number(name)) : name
  return Object.hasOwn(value, key) ? key : undefined
}

/** A value as messages show it: a text cut short, of what holds other values which fields, but none of those. */
export function shownValue(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value)
  if (value === undefined) return 'nothing'
  if (value === null || typeof value !== 'object' || isRawNumber(value)) return JSON.stringify(value)
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : `a list of ${value.length}`
  const names = Object.keys(value)
  if (names.length === 0) return 'an empty object'
  return `an object of ${names.slice(0, 8).join(', ')}${names.length > 8 ? ' …' : ''}`
}
